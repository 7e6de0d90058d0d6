"""An ablation on a tiny backbone: equal cases, seeds, runs by name, and intervals over both."""

import json

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score
from tiny_distill import write_backbone
from tiny_run import tiny_recipe

from skingpt_r1.dermbench.ablation.compare import ACCURACY, BALANCED
from skingpt_r1.dermbench.ablation.run import (
    AblationRecipe,
    Measured,
    ablation_markdown,
    load_ablation,
    over_seeds,
    run_ablation,
)
from skingpt_r1.dermbench.answers import read_answers
from skingpt_r1.errors import RecipeError
from skingpt_r1.recipes import RECIPES
from skingpt_r1.render.case import plan_case
from skingpt_r1.stats.intervals import Bootstrap, bootstrap_mean, bootstrap_statistic

BOOT = Bootstrap(seed=2, resamples=400)


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """A recipe file of the tiny backbone, and an ablation of two cells and two seeds."""
    folder = tmp_path_factory.mktemp("recipes")
    backbone = write_backbone(folder / "backbone")
    short = {"train__max_steps": 2, "train__save_every": 2, "data__count": 40}
    values = tiny_recipe(backbone, **short).model_dump(mode="json")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(values), "utf-8")
    ablation = {
        "name": "tiny_ablation",
        "seeds": [0, 3],
        "resamples": 100,
        "cells": [
            {"name": "slow", "recipe": "tiny.yaml", "features": "one",
             "settings": ["train.learning_rate=1.0e-5"]},
            {"name": "fast: + text", "recipe": "tiny.yaml", "features": "one", "start": "slow"},
        ],
        "differences": [["fast: + text", "base"], ["fast: + text", "slow"]],
    }  # fmt: skip
    (folder / "ablation.yaml").write_text(yaml.safe_dump(ablation), "utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(recipes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    rows = run_ablation(load_ablation(recipes / "ablation.yaml"), recipes, folder)
    return folder, rows


def test_one_row_for_each_cell_and_difference(finished):
    _, rows = finished
    assert [row.name for row in rows] == [
        "base", "slow", "fast: + text", "fast: + text - base", "fast: + text - slow",
    ]  # fmt: skip
    assert {row.cases for row in rows} == {16}
    assert all({ACCURACY, BALANCED} <= set(row.metrics) for row in rows)


def test_every_cell_names_its_runs_and_they_are_there(finished):
    folder, rows = finished
    cells = {row.name: row for row in rows[:3]}
    assert cells["base"].runs == ("seed_0/filtered",)
    assert cells["fast: + text"].runs == ("seed_0/filtered/fast_text", "seed_3/filtered/fast_text")
    for row in cells.values():
        assert all((folder / run).is_dir() for run in row.runs)
        assert len(row.runs) == len(row.seeds)
    written = json.loads((folder / "ablation.json").read_text("utf-8"))
    assert [row["runs"] for row in written] == [list(row.runs) for row in rows]
    assert "seed_3/filtered/slow" in (folder / "ablation.md").read_text("utf-8")


def test_numbers_are_those_of_the_answers(finished):
    folder, rows = finished
    for row in rows[1:3]:
        seen = []
        for seed in (0, 3):
            answers = read_answers(folder / f"seed_{seed}" / "filtered", row.name)
            assert len(answers) == 16
            seen.append(np.mean([is_right(answer) for answer in answers.values()]))
        assert row.by_seed[ACCURACY] == pytest.approx(seen)
        assert row.metrics[ACCURACY].value == pytest.approx(np.mean(seen))


def is_right(answer):
    """By the number in the id, and without the code under test."""
    _, seed, index = answer.id.split("-")
    label = plan_case(int(index), int(seed)).condition.name
    return answer.text.partition("<answer>")[2].partition("</answer>")[0].strip() == label


def test_results_rows(finished):
    folder, rows = finished
    written = json.loads((folder / "results.json").read_text("utf-8"))
    assert {row["table"] for row in written} == {"ablation"}
    assert len(written) == sum(len(row.metrics) for row in rows)


def test_a_second_call_trains_nothing(finished, recipes, monkeypatch):
    folder, rows = finished
    stages = []
    again = run_ablation(
        load_ablation(recipes / "ablation.yaml"),
        recipes,
        folder,
        lambda name, *_: stages.append(name),
    )
    assert again == rows
    assert not [name for name in stages if "features" in name or "answers" in name]


def test_the_plain_backbone_is_asked_once(recipes, tmp_path):
    stages = []
    run_ablation(
        load_ablation(recipes / "ablation.yaml"),
        recipes,
        tmp_path,
        lambda name, *_: stages.append(name),
    )
    assert "seed 0, filtered: answers: base" in stages
    assert "seed 3, filtered: answers: base" not in stages
    assert "seed 3, filtered: answers: slow" in stages


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("seeds=[1, 1]", "1 stands there twice"),
        ("seeds=[]", "at least 1 item"),
        ("cells=[]", "at least 1 item"),
        ("differences=[[slow, nobody]]", "no cell is called 'nobody'; known: base"),
        ("cells=[{name: base, recipe: r, features: f}]", "always there"),
        ("cells=[{name: a, recipe: r, features: f, corpus: unfiltered}]", "corpus is missing"),
        ("cells=[{name: a, recipe: r, features: f, start: b}]", "no cell before it"),
        ("cells=[{name: a, recipe: r, feature: f}]", "unknown key"),
    ],
)
def test_impossible_recipes(setting, words, recipes):
    changes = [setting] if setting.startswith("diff") else ["differences=[]", setting]
    with pytest.raises(RecipeError, match=words):
        load_ablation(recipes / "ablation.yaml", changes)


def test_a_cell_without_a_recipe_stops_before_any_work(recipes, tmp_path):
    recipe = load_ablation(
        recipes / "ablation.yaml",
        ["differences=[]", "cells=[{name: a, recipe: absent.yaml, features: f}]"],
    )
    with pytest.raises(RecipeError, match=r"there is no recipe .*absent.yaml"):
        run_ablation(recipe, recipes, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_recipe_in_the_package_has_every_cell_that_is_asked_for():
    recipe = load_ablation("ablation_nano")
    assert len(recipe.seeds) >= 3
    words = " ".join(cell.name for cell in recipe.cells)
    for part in ("text", "visual", "experts", "lora", "inject", "pixels", "unfiltered"):
        assert part in words


def test_cells_of_the_package_are_recipes():
    from skingpt_r1.dermbench.ablation.run import _plan

    recipe = load_ablation("ablation_nano")
    planned = _plan(recipe, RECIPES, seed=2)
    systems = {system.name: system.recipe for part in planned.values() for system in part}
    assert {found.seed for found in systems.values()} == {2}
    assert systems["bias, pixels: + text + visual"].adapter.visual.features == "pixels"
    assert systems["bias + inject: + text + visual"].adapter.visual.inject
    assert not systems["bias + lora: + text + visual"].adapter.visual.inject


def test_with_one_seed_the_interval_is_that_of_the_cases():
    values = np.random.default_rng(0).random((1, 30))
    groups = [str(number // 3) for number in range(30)]
    item = Measured(values, np.zeros(30, np.int64), groups)
    found = over_seeds(item, BOOT)
    assert found == pytest.approx(bootstrap_mean(values[0], groups, **BOOT._asdict()))


def test_balanced_accuracy_of_one_seed():
    generator = np.random.default_rng(1)
    classes = generator.integers(0, 3, 40)
    said = generator.integers(0, 3, 40)
    groups = [str(number) for number in range(40)]
    item = Measured((classes == said)[None].astype(float), classes, groups)
    found = over_seeds(item, BOOT)

    def balanced(rows):
        labels = np.unique(classes[rows])
        return recall_score(classes[rows], said[rows], labels=labels, average="macro")

    slow = bootstrap_statistic(balanced, 40, **BOOT._asdict())
    assert found == pytest.approx(slow)


def test_seeds_that_disagree_widen_the_interval():
    cases = np.tile([0.0, 1.0], 100)
    groups = [str(number) for number in range(200)]
    whole = np.zeros(200, np.int64)
    agree = over_seeds(Measured(np.stack([cases, cases, cases]), whole, groups), BOOT)
    apart = np.stack([cases * 0.2, cases, np.maximum(cases, 0.9)])
    item = Measured(apart, whole, groups)
    disagree = over_seeds(item, BOOT)
    assert disagree.high - disagree.low > 2 * (agree.high - agree.low)
    assert disagree.low <= apart.mean(axis=1).min() + 0.1
    same = over_seeds(item - item, BOOT)
    assert tuple(same) == (0.0, 0.0, 0.0, 200)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 3))
def test_the_value_lies_within_its_interval(seeds, cases, seed):
    values = np.random.default_rng(seed).integers(0, 2, (seeds, cases)).astype(float)
    groups = [str(number) for number in range(cases)]
    item = Measured(values, np.zeros(cases, np.int64), groups)
    found = over_seeds(item, Bootstrap(seed, 200))
    if cases == 1:
        assert found.ends is None
    else:
        assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert found.value == pytest.approx(values.mean())


def test_markdown_says_dash_for_what_is_not_known(finished):
    _, rows = finished
    first = rows[0]._replace(metrics={"a": rows[0].metrics[ACCURACY]})
    text = ablation_markdown([first, rows[1]])
    assert text.splitlines()[3].count(" - ") >= 1
    assert text.splitlines()[-1].startswith("| slow |")


def test_the_schema_is_strict():
    with pytest.raises(ValueError, match="extra"):
        AblationRecipe.model_validate({"name": "a", "cells": [], "more": 1})
