"""The product from end to end against stored values: equal, or near where a model computes."""

import json

import golden_run
import pytest

# Processors round differently: norms of weights after a few steps, mean scores of ten texts.
NORM, SCORE = 0.1, 1.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    golden_run.golden_run(folder)
    return golden_run.summary(folder)


@pytest.fixture(scope="module")
def stored():
    return json.loads(golden_run.GOLDEN.read_text("utf-8"))


EXACT = ["files", "cases", "texts", "ratings", "columns", "tables", "ablation"]


@pytest.mark.parametrize("part", EXACT)
def test_what_no_model_computes_is_equal(run, stored, part):
    assert run[part] == stored[part]


def test_rows_of_fixed_answers_are_equal(run, stored):
    assert run["controls"] == pytest.approx(stored["controls"], abs=1e-9)


def test_adapters_have_the_same_tensors(run, stored):
    assert list(run["adapters"]) == list(stored["adapters"])
    for name, tensors in stored["adapters"].items():
        assert list(run["adapters"][name]) == list(tensors)
        for tensor, (*shape, norm) in tensors.items():
            *now, value = run["adapters"][name][tensor]
            assert now == shape, tensor
            assert value == pytest.approx(norm, rel=NORM, abs=NORM), tensor


def test_mean_scores_are_near(run, stored):
    assert run["scores"] == pytest.approx(stored["scores"], abs=SCORE)


def test_a_run_can_be_compared_with_itself_and_with_another(tmp_path, capsys):
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text(
            f'{{"value": {value}, "seconds": 3}}\n', "utf-8"
        )
    assert golden_run.compare(tmp_path / "a", tmp_path / "a") == 0
    assert golden_run.compare(tmp_path / "a", tmp_path / "b") == 1
    assert "rows.jsonl: line 1" in capsys.readouterr().out
