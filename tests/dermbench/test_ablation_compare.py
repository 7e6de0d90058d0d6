"""Two systems and the plain backbone on the same unseen cases."""

import json

import pytest
from tiny_distill import write_backbone
from tiny_run import tiny_recipe

from skingpt_r1.dermbench.ablation.compare import ACCURACY, BASE, TrainedSystem, compare
from skingpt_r1.errors import RecipeError

DIFFERENCES = (("Fast: + text", BASE), ("Fast: + text", "slow"))


class Stages:
    """Remembers the stages that were told."""

    def __init__(self):
        self.names = []

    def __call__(self, stage, _done, _total):
        self.names.append(stage)


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    backbone = write_backbone(tmp_path_factory.mktemp("backbone"))
    short = {"train__max_steps": 2, "train__save_every": 2, "data__count": 40}
    slow = tiny_recipe(backbone, train__learning_rate=1e-4, **short)
    fast = tiny_recipe(backbone, **short)
    return TrainedSystem("slow", slow, "shared"), TrainedSystem("Fast: + text", fast, "shared")


@pytest.fixture(scope="module")
def finished(systems, tmp_path_factory):
    folder, stages = tmp_path_factory.mktemp("comparison"), Stages()
    found = compare(systems, folder, table="tiny", differences=DIFFERENCES, progress=stages)
    return folder, found, stages


def test_every_system_answers_the_same_cases(finished):
    _, found, _ = finished
    assert list(found.tried) == [BASE, "slow", "Fast: + text"]
    names = [case.id for case in found.cases]
    assert len(names) == 4
    for tried in found.tried.values():
        assert [answer.id for answer in tried.answers] == names
        labels = [tried.said.classes[row] for row in tried.said.labels]
        assert labels == [case.label for case in found.cases]


def test_results_are_written(finished):
    folder, found, _ = finished
    written = json.loads((folder / "results.json").read_text("utf-8"))
    assert written == [row.model_dump() for row in found.rows]
    assert {row["table"] for row in written} == {"tiny"}
    assert list(dict.fromkeys(row["system"] for row in written)) == [
        BASE,
        "slow",
        "Fast: + text",
        "Fast: + text - base",
        "Fast: + text - slow",
    ]
    metrics = {(row["system"], row["metric"]): row for row in written}
    for name, tried in found.tried.items():
        row = metrics[name, ACCURACY]
        assert row["value"] == tried.said.right.mean()
        assert row["n"] == len(tried.answers)


def test_features_are_computed_once(finished):
    folder, _, stages = finished
    assert [path.name for path in (folder / "features").iterdir()] == ["shared"]
    first, second = (stages.names.index(f"answers: {name}") for name in ("slow", "Fast: + text"))
    assert "features" in stages.names[:first]
    assert "features" not in stages.names[first:second]


def test_each_system_has_its_own_folder_and_the_pictures_are_shared(finished):
    folder, _, _ = finished
    assert {path.name for path in folder.iterdir()} == {
        "answers",
        "fast_text",
        "features",
        "pictures",
        "results.json",
        "slow",
    }
    assert {path.name for path in (folder / "answers").iterdir()} == {
        "base.jsonl",
        "Fast-+-text.jsonl",
        "slow.jsonl",
    }


def test_a_second_call_does_no_new_work(finished, systems):
    folder, found, _ = finished
    kept = [*(folder / "answers").iterdir(), *folder.glob("*/metrics.jsonl")]
    before = {path: path.read_bytes() for path in kept}
    assert len(before) == 5
    stages = Stages()
    again = compare(systems, folder, table="tiny", differences=DIFFERENCES, progress=stages)
    assert again.rows == found.rows
    assert {name: tried.answers for name, tried in again.tried.items()} == {
        name: tried.answers for name, tried in found.tried.items()
    }
    assert not [name for name in stages.names if name.startswith(("features", "answers"))]
    assert {path: path.read_bytes() for path in kept} == before


def test_what_was_stopped_is_asked_for_the_rest_and_ends_the_same(finished, systems):
    folder, found, _ = finished
    path = folder / "answers" / "slow.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    again = compare(systems, folder, table="tiny", differences=DIFFERENCES)
    assert again.rows == found.rows
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "change", [{"data__count": 48}, {"seed": 9}, {"evaluate__count": 3}], ids=str
)
def test_other_cases_are_refused_before_any_work(systems, tmp_path, change):
    other = tiny_recipe(systems[0].recipe.backbone, **{"data__count": 40, **change})
    with pytest.raises(RecipeError, match="other differs from slow in data, seed or evaluate"):
        compare(
            [systems[0], TrainedSystem("other", other, "shared")],
            tmp_path,
            table="t",
            differences=(),
        )
    assert not list(tmp_path.iterdir())


def test_a_system_may_start_from_another(systems, tmp_path, monkeypatch):
    asked = []

    def stop(recipe, folder, **_):
        asked.append((folder.name, recipe.start))
        raise InterruptedError

    monkeypatch.setattr("skingpt_r1.distill.run.run_recipe", stop)
    after = systems[1]._replace(start="slow")
    with pytest.raises(InterruptedError):
        compare([after, systems[0]], tmp_path, table="t", differences=())
    assert asked == [("fast_text", tmp_path / "slow" / "adapter")]
