"""A run end to end: what is trained, what is frozen, and what a kill cannot change."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_distill import make_model, small_adapter, write_backbone
from tiny_run import KILL_AT_STEP, killed_run, tiny_recipe

from child_process import run_in_child
from skingpt_r1.case import Split
from skingpt_r1.distill import run as run_module
from skingpt_r1.distill.run import run_recipe
from skingpt_r1.distill.trainer import last_checkpoint, make_optimizer, make_trained
from skingpt_r1.errors import FeatureStoreError, RecipeError, TrainingError
from skingpt_r1.model.backbone import load_backbone
from skingpt_r1.model.skingpt import SkinGPT

SCRIPT = Path(__file__).with_name("tiny_run.py")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def unbroken(backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return run_recipe(tiny_recipe(backbone), folder)


def _weights(folder):
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def _metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _assert_same(left, right, tolerance=0.0):
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.allclose(tensor, right[name], rtol=0, atol=tolerance), name


def test_training_lowers_the_loss_and_leaves_a_run_folder(unbroken):
    rows = _metrics(unbroken.folder)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {"step", "text", "balance", "tone", "learning_rate"} <= rows[0].keys()
    assert "visual" not in rows[0]
    run = json.loads((unbroken.folder / "run.json").read_text())
    assert run["recipe"]["train"]["learning_rate"] == 1e-2
    assert run["manifest"]["cases"]["train"] == len(unbroken.parts[Split.TRAIN])


def _plain(module):
    """The backbone's own weights, by their names without low-rank matrices."""
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in module.state_dict().items()
        if ".lora_" not in name
    }


def test_frozen_weights_are_bit_identical(unbroken, backbone):
    _assert_same(_plain(unbroken.model.backbone), _plain(load_backbone(backbone).model))


def test_lora_training_leaves_the_backbone_bit_identical(backbone, tmp_path):
    recipe = tiny_recipe(
        backbone,
        adapter__text_adapter="lora",
        adapter__visual__features="tower",
        adapter__visual__inject=True,
        train__max_steps=2,
        data__count=40,
        train__precision="bf16",
    )
    run = run_recipe(recipe, tmp_path)
    _assert_same(_plain(run.model.backbone), _plain(load_backbone(backbone).model))
    assert any(t.any() for n, t in _weights(tmp_path).items() if "lora_B" in n)


def test_trained_set_is_optimizer_set_is_saved_set(unbroken):
    trained = make_trained(unbroken.model)
    names = {id(p): name for name, p in trained.state.items()}
    optimizer = make_optimizer(trained, tiny_recipe("x").train)
    held = {names[id(p)] for group in optimizer.param_groups for p in group["params"]}
    asked = {names[id(p)] for p in trained.objective.parameters() if p.requires_grad}
    assert held == asked == _weights(unbroken.folder).keys() == trained.state.keys()


def test_a_weight_that_would_not_be_saved_stops_the_run(backbone):
    trained = make_trained(make_model(backbone, small_adapter()))
    trained.objective.extra = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(TrainingError, match="extra"):
        make_optimizer(trained, tiny_recipe("x").train)


def test_parts_may_have_their_own_learning_rates(backbone):
    trained = make_trained(make_model(backbone, small_adapter(text_adapter="lora")))
    recipe = tiny_recipe("x", train__visual_learning_rate=3e-3, train__lora_learning_rate=2e-4)
    rates = [group["lr"] for group in make_optimizer(trained, recipe.train).param_groups]
    assert rates == [3e-3, 2e-4]


def test_checkpoints_hold_adapters_only(unbroken):
    checkpoint = last_checkpoint(unbroken.folder)
    stored = load_file(checkpoint / "adapter_model.safetensors")
    _assert_same(stored, _weights(unbroken.folder))
    weights = [path.name for path in checkpoint.iterdir() if path.suffix == ".safetensors"]
    assert weights == ["adapter_model.safetensors"]


def test_the_saved_adapter_is_the_trained_one(unbroken, backbone):
    loaded = SkinGPT.from_pretrained(unbroken.folder / "adapter")
    _assert_same(loaded.adapter_state(), unbroken.model.adapter_state())


def test_the_same_call_again_trains_nothing_and_gives_the_same(unbroken, backbone):
    before = _weights(unbroken.folder)
    lines = (unbroken.folder / "metrics.jsonl").read_text()
    again = run_recipe(tiny_recipe(backbone), unbroken.folder)
    _assert_same(again.model.adapter_state(), before)
    assert (unbroken.folder / "metrics.jsonl").read_text() == lines


def test_killed_runs_end_as_the_unbroken_one(unbroken, backbone, tmp_path):
    for place in ("features", "training"):
        code = run_in_child(partial(killed_run, backbone, tmp_path, place))
        assert code == -signal.SIGKILL
        if place == "features":
            assert [p.name for p in (tmp_path / "features").glob("shard*")] == [
                "shard-00000.safetensors"
            ]
        else:
            assert _metrics(tmp_path)[-1]["step"] == KILL_AT_STEP
    run_recipe(tiny_recipe(backbone), tmp_path)
    _assert_same(_weights(tmp_path), _weights(unbroken.folder))
    assert _metrics(tmp_path) == _metrics(unbroken.folder)


def test_two_processes_give_the_single_process_result(unbroken, backbone, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.run(
        [*command, str(SCRIPT), str(backbone), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    _assert_same(_weights(tmp_path), _weights(unbroken.folder), tolerance=1e-4)
    for ours, theirs in zip(_metrics(tmp_path), _metrics(unbroken.folder), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


def test_accumulation_does_not_change_the_result(unbroken, backbone, tmp_path):
    recipe = tiny_recipe(
        backbone, train__batch_size=16, train__gradient_accumulation=1, train__max_steps=4
    )
    other = tiny_recipe(backbone, train__max_steps=4)
    features = unbroken.folder / "features"
    run_recipe(recipe, tmp_path / "one", features=features)
    run_recipe(other, tmp_path / "two", features=features)
    _assert_same(_weights(tmp_path / "one"), _weights(tmp_path / "two"), tolerance=1e-5)


def test_a_changed_recipe_is_refused_with_its_keys(unbroken, backbone):
    changed = tiny_recipe(backbone, train__epochs=4, losses__tone=0.5)
    with pytest.raises(TrainingError) as error:
        run_recipe(changed, unbroken.folder)
    assert "train.epochs was 3, is 4" in str(error.value)
    assert "losses.tone was 0.1, is 0.5" in str(error.value)


def test_features_of_another_recipe_are_refused(unbroken, backbone, tmp_path):
    changed = tiny_recipe(backbone, features__dtype="bf16")
    with pytest.raises(FeatureStoreError, match=r"features\.dtype was 'fp32', is 'bf16'"):
        run_recipe(changed, tmp_path, features=unbroken.folder / "features")


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_nan_stops_before_the_update(unbroken, backbone, tmp_path, monkeypatch, where):
    kept = {}

    def poisoned(model, precision, **settings):
        trained = make_trained(model, precision, **settings)
        kept.update({name: p.detach().clone() for name, p in trained.state.items()})
        kept["live"] = trained.state
        scale = model.language_bias.scale
        if where == "forward":
            trained.objective.language_bias.down.register_forward_hook(
                lambda _module, _inputs, output: output * float("nan")
            )
        else:
            scale.register_hook(lambda gradient: gradient * float("nan"))
        return trained

    monkeypatch.setattr(run_module, "make_trained", poisoned)
    with pytest.raises(TrainingError, match=r"not finite at step 1.*no weight was changed"):
        run_recipe(tiny_recipe(backbone), tmp_path, features=unbroken.folder / "features")
    live = kept.pop("live")
    _assert_same({name: p.detach() for name, p in live.items()}, kept)


def _two_stages(backbone, **changes):
    return tiny_recipe(
        backbone,
        adapter__text_adapter="bias + lora",
        adapter__visual={"features": "tower", "embed_dim": 16, "inject": True},
        adapter__lora={"rank": 2, "tower": True},
        data__count=40,
        teacher={"kind": "built-in", "width": 8, "epochs": 1},
        losses={"visual": 1.0},
        visual_first={"epochs": 6, "batch_size": 8, "learning_rate": 1e-2, "log_every": 1},
        train__max_steps=2,
        **changes,
    )


def test_first_the_teacher_is_learned_and_nothing_that_writes_changes(backbone, tmp_path):
    run = run_recipe(_two_stages(backbone), tmp_path)
    rows = _metrics(tmp_path / "visual_first")
    assert rows[-1]["visual"] < rows[0]["visual"]
    assert {row["text"] for row in rows} == {0.0}
    seen, written = _weights(tmp_path / "visual_first"), _weights(tmp_path)
    blank = {name: not tensor.any() for name, tensor in seen.items() if "lora_B" in name}
    assert {name: "visual" not in name for name in blank} == blank
    changed = {name for name, tensor in written.items() if not torch.equal(tensor, seen[name])}
    assert any("language_model" in name for name in changed)
    assert any("visual.blocks" in name for name in changed)
    _assert_same(_plain(run.model.backbone), _plain(load_backbone(backbone).model))


def test_a_run_that_stopped_between_the_stages_goes_on_with_what_it_saw(
    backbone, tmp_path, monkeypatch
):
    whole = run_recipe(_two_stages(backbone), tmp_path / "whole")
    train = run_module.train

    def stop_before_writing(trained, *arguments, **options):
        if options["folder"] == tmp_path / "cut":
            raise KeyboardInterrupt
        return train(trained, *arguments, **options)

    monkeypatch.setattr(run_module, "train", stop_before_writing)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(_two_stages(backbone), tmp_path / "cut")
    monkeypatch.undo()
    lines = (tmp_path / "cut" / "visual_first" / "metrics.jsonl").read_text()
    cut = run_recipe(_two_stages(backbone), tmp_path / "cut")
    assert (tmp_path / "cut" / "visual_first" / "metrics.jsonl").read_text() == lines
    _assert_same(cut.model.adapter_state(), whole.model.adapter_state())


def test_a_first_stage_without_a_visual_term_is_refused(backbone):
    with pytest.raises(RecipeError, match=r"losses\.visual is 0"):
        tiny_recipe(backbone, visual_first={"epochs": 1})


def test_an_adapter_that_reads_stored_pixels_learns_first_from_the_teacher_too(backbone, tmp_path):
    recipe = tiny_recipe(
        backbone,
        data__count=40,
        teacher={"kind": "built-in", "width": 8, "epochs": 1},
        losses={"visual": 1.0},
        visual_first={"epochs": 6, "batch_size": 8, "learning_rate": 1e-2, "log_every": 1},
        train__max_steps=2,
    )
    run_recipe(recipe, tmp_path)
    rows = _metrics(tmp_path / "visual_first")
    assert rows[-1]["visual"] < rows[0]["visual"]
