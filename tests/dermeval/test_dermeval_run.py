"""Training an evaluator end to end: what is trained, what is frozen, what a kill cannot change."""

import json
import os
import signal
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from tiny_evaluator import tiny_recipe, write_rating_file

from child_process import run_in_child
from skingpt_r1.dermeval.policy import PolicyObjective, make_policy
from skingpt_r1.dermeval.report import evaluator_card, export_evaluator, load_evaluator
from skingpt_r1.dermeval.run import build_evaluator, train_evaluator
from skingpt_r1.distill import trainer
from skingpt_r1.distill.trainer import make_optimizer
from skingpt_r1.errors import CheckpointError, DatasetError, RecipeError, TrainingError
from skingpt_r1.model.backbone import load_backbone


@pytest.fixture(scope="module")
def unbroken(backbone, files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return train_evaluator(tiny_recipe(backbone, *files), folder)


def weights(folder):
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(left, right):
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


def test_both_stages_leave_an_adapter_and_their_metrics(unbroken):
    folder = unbroken.adapter.parent
    first, second = weights(folder / "supervised"), weights(folder / "policy")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    same(weights(folder), second)
    rows = metrics(folder / "supervised")
    assert rows[-1]["text"] < rows[0]["text"]
    last = metrics(folder / "policy")[-1]
    assert {"policy", "divergence", "supervised", "reward", "unparsed"} <= last.keys()
    assert last["reward"] == -25.0
    assert last["unparsed"] == 1.0
    results = json.loads((folder / "results.json").read_text())
    assert {row["system"] for row in results} >= {"supervised, full", "policy, brief"}


def test_the_backbone_is_bit_identical(unbroken, backbone):
    plain = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in unbroken.model.backbone.state_dict().items()
        if ".lora_" not in name
    }
    same(plain, dict(load_backbone(backbone).model.state_dict()))


def test_trained_set_is_optimizer_set_is_saved_set_in_the_second_stage(unbroken, recipe):
    model = build_evaluator(recipe)
    objective = PolicyObjective(
        model, recipe.policy, max_new_tokens=4, seed=0, reference=model.adapter_state()
    )
    trained = make_policy(objective)
    names = {id(p): name for name, p in trained.state.items()}
    optimizer = make_optimizer(trained, recipe.policy)
    held = {names[id(p)] for group in optimizer.param_groups for p in group["params"]}
    assert held == trained.state.keys() == weights(unbroken.adapter.parent).keys()


def test_the_same_call_again_trains_nothing_and_gives_the_same(unbroken, recipe):
    folder = unbroken.adapter.parent
    before = weights(folder)
    lines = (folder / "policy" / "metrics.jsonl").read_text()
    again = train_evaluator(recipe, folder)
    same(again.model.adapter_state(), before)
    assert (folder / "policy" / "metrics.jsonl").read_text() == lines
    assert again.rows == unbroken.rows


def killed_run(recipe, folder, stage, step):
    """The training, which kills itself behind a step of a stage."""
    log = trainer.log_metrics

    def log_and_die(where, number, **values):
        log(where, number, **values)
        if where.name == stage and number >= step:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.log_metrics = log_and_die
    train_evaluator(recipe, folder)


def test_killed_runs_end_as_the_unbroken_one(unbroken, backbone, files, tmp_path):
    for stage, step in (("supervised", 3), ("policy", 1), ("policy", 3)):
        work = partial(killed_run, tiny_recipe(backbone, *files), tmp_path, stage, step)
        assert run_in_child(work) == -signal.SIGKILL
    done = train_evaluator(tiny_recipe(backbone, *files), tmp_path)
    folder = unbroken.adapter.parent
    same(weights(tmp_path), weights(folder))
    for stage in ("supervised", "policy"):
        assert metrics(tmp_path / stage) == metrics(folder / stage)
    assert done.rows == unbroken.rows


def test_a_changed_recipe_is_refused(unbroken, backbone, files):
    changed = tiny_recipe(backbone, *files, policy__momentum=0.5)
    with pytest.raises(TrainingError, match=r"recipe\.policy\.momentum was 0\.9, is 0\.5"):
        train_evaluator(changed, unbroken.adapter.parent)


def test_the_first_stage_can_stand_alone(backbone, files, tmp_path):
    recipe = tiny_recipe(backbone, *files, policy=None, supervised__max_steps=1)
    done = train_evaluator(recipe, tmp_path)
    assert not (tmp_path / "policy").exists()
    assert {row.system for row in done.rows} == {"supervised, full", "supervised, brief"}


def test_simulated_ratings_are_made_and_probed(backbone, files, tmp_path):
    recipe = tiny_recipe(
        backbone, *files, policy=None, supervised__max_steps=1,
        data={"cases": 4, "test_cases": 2, "size": 56},
    )  # fmt: skip
    done = train_evaluator(recipe, tmp_path)
    assert (tmp_path / "data" / "ratings_train.jsonl").is_file()
    assert any(row.metric == "own dimension falls most, vague wording" for row in done.rows)
    assert any(row.metric == "unscored, injected" for row in done.rows)
    card = evaluator_card(recipe, done.model.config, done.rows)
    assert "Every rating is simulated" in card
    export_evaluator(done.adapter, tmp_path / "export", card)
    rounded = {name: value.half().float() for name, value in done.model.adapter_state().items()}
    same(load_evaluator(tmp_path / "export").adapter_state(), rounded)
    names = {path.name for path in (tmp_path / "export").iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}


def test_a_patient_in_both_files_is_refused(backbone, files, tmp_path):
    with pytest.raises(DatasetError, match=r"8 narratives of data\.test belong to groups"):
        train_evaluator(tiny_recipe(backbone, files[0], files[0]), tmp_path)


def test_files_without_scores_are_refused(backbone, files, tmp_path):
    path = write_rating_file(tmp_path, "unscored.jsonl", range(20, 22))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["scores"]
        row["unscored"] = "refusal"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DatasetError, match=r"no narrative of data\.train has scores"):
        train_evaluator(tiny_recipe(backbone, path, files[1]), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapter__text_adapter": "bias"}, "an evaluator needs adapter.text_adapter"),
        ({"data__test": None}, "give both files or neither"),
        ({"policy__momentum": 1.0}, "policy.momentum"),
        ({"policy__momentun": 0.5}, "unknown key policy.momentun; nearest: momentum"),
    ],
)
def test_recipes_that_cannot_work(backbone, files, changes, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(backbone, *files, **changes)


def test_a_folder_without_an_evaluator(tmp_path):
    with pytest.raises(CheckpointError, match="there is no evaluator in"):
        load_evaluator(tmp_path)
