"""Leaks: a system that was trained on questions is refused, or its questions are marked."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from small_bench import bench_recipe

from skingpt_r1.case import Case
from skingpt_r1.dermbench.answers import run_systems
from skingpt_r1.dermbench.questions import data_root, prepare_questions
from skingpt_r1.dermbench.recipe import LeakRecipe
from skingpt_r1.dermbench.records import LEDGER
from skingpt_r1.dermbench.systems.card import (
    SystemCard,
    Training,
    compare_training,
    qualified,
    read_card,
    read_training,
)
from skingpt_r1.dermbench.systems.named import Workbench
from skingpt_r1.dermcot.disjoint import Compared
from skingpt_r1.distill.recipe import make_recipe
from skingpt_r1.errors import DatasetError
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.records import sha256_file
from skingpt_r1.render.layouts import write_cases

CONTROL = "control/majority"


def a_run(folder, *, seed, count=6, split="all"):
    """The folder of a distillation on rendered cases, as far as a leak check reads it."""
    data = {"dataset": "synthetic", "count": count, "size": 48, "seed": seed}
    if split == "all":
        data["split"] = {"train": 1.0}
    values = {
        "name": "run",
        "data": data,
        "evaluate": {"split": "train" if split == "all" else "test"},
        "teacher": {"kind": "none"},
        "losses": {"visual": 0},
    }
    recipe = make_recipe(values)
    folder.mkdir(parents=True)
    content = {"recipe": recipe.model_dump(mode="json"), "seed": 0, "manifest": None}
    (folder / "run.json").write_text(json.dumps(content))
    (folder / "adapter").mkdir()
    write_cases(folder / "pictures", count, seed, 48)
    return folder / "adapter"


def overlap_with(training, folder, recipe, distance=40):
    recipe = recipe.model_copy(update={"leaks": LeakRecipe(picture_distance=distance)})
    bench = Workbench(
        recipe, folder, prepare_questions(recipe, folder), Ledger(folder / LEDGER), None
    )
    return compare_training(SystemCard(system="x", model="x"), training, bench)


def test_a_system_trained_on_questions_is_refused(tmp_path):
    adapter = a_run(tmp_path / "trained", seed=77)
    recipe = bench_recipe(training={CONTROL: adapter})
    with pytest.raises(DatasetError, match="was trained on 6 of the questions") as error:
        run_systems(recipe, tmp_path / "bench", systems=[CONTROL])
    assert "--allow-overlap" in str(error.value)
    assert "same id" in str(error.value)
    assert not (tmp_path / "bench/answers").exists()


def test_overlapping_questions_are_marked(tmp_path):
    recipe = bench_recipe(training={CONTROL: a_run(tmp_path / "trained", seed=77)})
    (tally,) = run_systems(recipe, tmp_path / "bench", systems=[CONTROL], allow_overlap=True)
    assert tally.answered == 10
    card = read_card(tmp_path / "bench", CONTROL)
    assert len(card.overlapping) == 6
    assert sum(line.startswith("same id") for line in card.leaks) == 6
    assert str(tmp_path) not in card.model_dump_json()
    with pytest.raises(DatasetError, match="was trained on 6"):
        run_systems(recipe, tmp_path / "bench", systems=[CONTROL])


def test_training_on_other_cases_is_no_leak(tmp_path):
    training = read_training(a_run(tmp_path / "trained", seed=78))
    assert len(training.cases) == 6
    found = overlap_with(training, tmp_path / "bench", bench_recipe(), distance=0)
    assert (found.compared, found.leaks, found.overlapping, found.unchecked) == (6, (), (), "")


def test_the_same_picture_under_another_name(tmp_path):
    recipe = bench_recipe()
    questions = prepare_questions(recipe, tmp_path / "bench")
    root = data_root(tmp_path / "bench")
    copied = tmp_path / "copied.png"
    shutil.copy(root / questions[2].images[0], copied)
    squeezed = tmp_path / "squeezed.jpg"
    Image.open(root / questions[4].images[0]).save(squeezed, quality=90)
    cases = [
        Compared(
            Case(id=path.stem, images=(path,), dataset="folder", group=path.stem),
            (sha256_file(path),),
        )
        for path in (copied, squeezed)
    ]
    training = Training([qualified(item) for item in cases], frozenset(("folder",)))
    found = overlap_with(training, tmp_path / "bench", recipe)
    assert {questions[2].id, questions[4].id} <= set(found.overlapping)
    assert any(
        line.startswith("identical file: training case 'folder/copied'") for line in found.leaks
    )
    assert any(
        line.startswith("near-identical (") and "training case 'folder/squeezed'" in line
        for line in found.leaks
    )


def compared_case(dataset, name, group, **attributes):
    return Compared(
        Case(id=name, images=(), dataset=dataset, group=group, attributes=attributes), ()
    )


def test_names_are_those_of_the_first_source():
    own = qualified(compared_case("ham10000", "ISIC_1", "HAM_1"))
    published = qualified(compared_case("dermcot", "ISIC_1", "ham10000/HAM_1", source="ham10000"))
    assert replace(own.case, attributes={}) == replace(published.case, attributes={})
    dermnet = qualified(compared_case("dermnet", "x", "psoriasis"))
    dermbench = qualified(compared_case("dermbench", "y", "psoriasis"))
    assert (dermnet.case.dataset, dermnet.case.group) == (
        dermbench.case.dataset,
        dermbench.case.group,
    )
    assert qualified(compared_case("ddi", "1", "1")).case.id == "ddi/1"


def test_known_overlaps_are_shown(tmp_path):
    from test_bench_questions import public_layout

    root = public_layout(tmp_path / "data set")
    recipe = bench_recipe(data={"dataset": "dermbench", "root": root, "count": None})
    training = Training([], frozenset(("skincot",)))
    found = overlap_with(training, tmp_path / "bench", recipe)
    assert any("never train on SkinCoT and report DermBench" in line for line in found.known)
    nothing = overlap_with(Training(None, reason="x"), tmp_path / "bench", recipe)
    assert (nothing.compared, nothing.unchecked, nothing.known) == (None, "x", ())


def test_what_cannot_be_told_is_said(tmp_path):
    assert "does not tell" in read_training(tmp_path).reason
    adapter = a_run(tmp_path / "gone", seed=1)
    run = json.loads((adapter.parent / "run.json").read_text())
    run["recipe"]["data"] |= {"dataset": "ham10000", "root": str(tmp_path / "nowhere")}
    (adapter.parent / "run.json").write_text(json.dumps(run))
    training = read_training(adapter)
    assert training.cases is None
    assert "cannot be read" in training.reason


def test_a_check_draws_no_pictures(tmp_path, monkeypatch):
    """The root of a comparison is relative to where it was begun, which may be anywhere."""
    monkeypatch.chdir(tmp_path)
    adapter = a_run(tmp_path / "comparison/system", seed=77)
    run = json.loads((adapter.parent / "run.json").read_text())
    run["recipe"]["data"]["root"] = "runs/pictures"
    (adapter.parent / "run.json").write_text(json.dumps(run))
    shutil.move(adapter.parent / "pictures", tmp_path / "comparison/pictures")
    assert len(read_training(adapter).cases) == 6
    shutil.rmtree(tmp_path / "comparison/pictures")
    assert "not there any more" in read_training(adapter).reason
    assert not (tmp_path / "runs").exists()


def test_a_built_corpus_is_training_data(tmp_path):
    from small_corpus import small_recipe, small_tools

    from skingpt_r1.dermcot.pipeline import build

    recipe = small_recipe(cases={"count": 16, "held_out": 4}, select={"keep": 5})
    build(recipe, tmp_path / "corpus", small_tools(recipe), lambda *_: None)
    training = read_training(tmp_path / "corpus")
    assert 0 < len(training.cases) <= 5
    assert training.datasets == {"synthetic"}


def test_the_part_that_was_not_trained_on_does_not_count(tmp_path):
    adapter = a_run(tmp_path / "trained", seed=77, count=40, split="parts")
    training = read_training(adapter)
    assert 20 < len(training.cases) < 40
    assert all(Path(item.case.images[0]).is_file() for item in training.cases)


def test_the_start_of_an_adapter_is_training_too(tmp_path):
    first, second = a_run(tmp_path / "a", seed=77), a_run(tmp_path / "b", seed=78)
    run = json.loads((second.parent / "run.json").read_text())
    run["recipe"]["start"] = str(first)
    (second.parent / "run.json").write_text(json.dumps(run))
    names = {item.case.id for item in read_training(second).cases}
    assert names == {
        f"synthetic/{case.id}"
        for seed in (77, 78)
        for case in write_cases(tmp_path / str(seed), 6, seed, 48)
    }
