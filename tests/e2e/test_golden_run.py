"""The product from end to end against stored values; `golden_run.py --store` writes these anew.

Exact is what every processor computes alike. What a model computes may differ a little on another
processor, which can change a word of a text: these values have tolerances.
"""

import json
import os
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from golden_run import GOLDEN, compare, golden_run
from golden_values import exact_values, model_values

EXACT, MODEL = (
    json.loads((GOLDEN / f"{name}.json").read_text("utf-8")) for name in ("exact", "model")
)
# Rows that are there only when some answer was such, or some label was named.
SOMETIMES = re.compile(
    r"precision, |unmatched, |dropped: |length correlation|narratives$|exact$|wrong$|same family$"
    r"|malignant$|benign$|rank$|Spearman|kappa|alpha"
)
NO_TOLERANCE = 1.0  # a p-value of few cases jumps


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of one run, which processes that share the tests share too."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "golden"
    with FileLock(f"{folder}.lock"):
        if not (folder / "digest.json").exists():
            golden_run(folder)
    return folder


@pytest.fixture(scope="module")
def exact(folder: Path) -> dict[str, Any]:
    return json.loads(json.dumps(exact_values(folder)))


@pytest.fixture(scope="module")
def model(folder: Path) -> dict[str, Any]:
    return json.loads(json.dumps(model_values(folder)))


@pytest.mark.parametrize("part", [name for name in EXACT if name != "results"])
def test_exact(part: str, exact: dict[str, Any]) -> None:
    assert exact[part] == EXACT[part]


def test_every_part_is_stored(exact: dict[str, Any], model: dict[str, Any]) -> None:
    assert [*exact] == [*EXACT]
    assert [*model] == [*MODEL]


def test_results_without_a_model(exact: dict[str, Any]) -> None:
    found, stored = dict(rows(exact["results"])), dict(rows(EXACT["results"]))
    assert [*found] == [*stored]
    for key, numbers in stored.items():
        assert found[key] == pytest.approx(numbers, abs=2e-6), key


def test_results_of_models(model: dict[str, Any]) -> None:
    found, stored = (dict(always(values["results"])) for values in (model, MODEL))
    assert sorted(found) == sorted(stored)
    for name in {key[:3] for key in stored}:  # systems of a table stand in the order of their means
        assert [k for k in found if k[:3] == name] == [k for k in stored if k[:3] == name]
    for key, numbers in stored.items():
        values, limit = found[key], tolerance(key, numbers)
        assert [x is None for x in values] == [x is None for x in numbers], key
        assert values[0] == pytest.approx(numbers[0], abs=limit), key
        assert values[-1] == pytest.approx(numbers[-1], rel=0.3), key


def test_tables_stand_in_their_order(model: dict[str, Any]) -> None:
    for name, tables in MODEL["results"].items():
        assert [*model["results"][name]] == [*tables]


def test_adapters(model: dict[str, Any]) -> None:
    assert [*model["adapters"]] == [*MODEL["adapters"]]
    for path, tensors in MODEL["adapters"].items():
        found = model["adapters"][path]
        assert {name: shape for name, (shape, _) in found.items()} == {
            name: shape for name, (shape, _) in tensors.items()
        }
        for name, (_, norm) in tensors.items():
            assert found[name][1] == pytest.approx(norm, rel=0.02, abs=2e-3), name


def test_training(model: dict[str, Any]) -> None:
    for found, stored in zip(model["training"], MODEL["training"], strict=True):
        assert [*found] == [*stored]
        assert found == pytest.approx(stored, rel=0.03, abs=1e-3)


def test_probabilities(model: dict[str, Any]) -> None:
    for name, answers in MODEL["probabilities"].items():
        for found, stored in zip(model["probabilities"][name], answers, strict=True):
            assert found == pytest.approx(stored, abs=0.02)


def test_texts_and_selection(model: dict[str, Any]) -> None:
    pairs = zip(model["texts"], MODEL["texts"], strict=True)
    alike = [SequenceMatcher(None, a, b, autojunk=False).ratio() for a, b in pairs]
    assert sum(alike) / len(alike) > 0.8
    assert len(model["kept"]) == len(MODEL["kept"])
    assert len({*model["kept"]} & {*MODEL["kept"]}) >= 0.8 * len(MODEL["kept"])


def test_a_run_is_equal_to_itself_alone(folder: Path, tmp_path: Path) -> None:
    assert compare(folder, folder) == []
    (tmp_path / "corpus").mkdir()
    changed = (folder / "corpus" / "selection.json").read_text("utf-8").replace("32", "33")
    (tmp_path / "corpus" / "selection.json").write_text(changed, "utf-8")
    told = [line for line in compare(tmp_path, folder) if "only in" not in line]
    assert len(told) == 1
    assert told[0].startswith("corpus/selection.json: line 3: ")


def rows(results: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], list[float | None]]]:
    """(file, table, system, metric) -> value, low, high, n."""
    for name, tables in results.items():
        for table, systems in tables.items():
            for system, metrics in systems.items():
                yield from (((name, table, system, row[0]), row[1:]) for row in metrics)


def always(results: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], list[float | None]]]:
    return (item for item in rows(results) if not SOMETIMES.search(item[0][3]))


def tolerance(key: tuple[str, ...], numbers: list[float | None]) -> float:
    name, table, _, metric = key
    if metric.startswith("p after"):
        return NO_TOLERANCE
    if metric == "passed":
        return 0.1 * (numbers[0] or 0) + 1
    if metric in {"Brier score", "top-5 accuracy"}:
        return 0.08
    on_five = table.startswith("scores") or name == "agreement"
    return 0.4 if on_five else 0.25
