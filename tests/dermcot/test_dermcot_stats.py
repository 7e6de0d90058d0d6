"""Counts of a corpus, against a count by hand; and the recipes that ship."""

from collections import Counter

import pytest
from small_corpus import small_recipe, small_tools

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.corpus import KEPT, STAGES, StageRecord, count_corpus, result_rows
from skingpt_r1.dermcot.pipeline import build
from skingpt_r1.dermcot.recipe import CorpusRecipe
from skingpt_r1.errors import RecipeError, RecordError
from skingpt_r1.recipes import RECIPES, read_recipe
from skingpt_r1.records import read_records
from skingpt_r1.text.rubric import DIMENSIONS

FILES = sorted(RECIPES.glob("dermcot_*.yaml"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats") / "corpus"
    recipe = small_recipe()
    build(recipe, folder, small_tools(recipe))
    return folder


def test_counts_are_those_of_the_files(finished):
    stats = count_corpus(finished)
    assert dict(stats.cases) == {"candidate": 48, "held_out": 12}
    for stage in STAGES:
        records = read_records(corpus.stage_path(finished, stage), StageRecord)
        counts = stats.stages[stage]
        assert counts.entered == len(records)
        assert counts.dropped == Counter(r.dropped for r in records if r.dropped)
        assert counts.passed == sum(r.dropped is None for r in records)
    kept = list(corpus.read_corpus(finished))
    assert stats.scored[KEPT] == len(kept) == stats.stages["select"].passed
    assert stats.kept["diagnosis"] == Counter(record.diagnosis for record in kept)
    assert stats.kept["tone"] == Counter(str(record.tone) for record in kept)
    assert dict(stats.kept["site"]) == {"unknown": len(kept)}
    means = stats.mean_scores(KEPT)
    for name in DIMENSIONS:
        assert means[name] == pytest.approx(sum(r.scores[name] for r in kept) / len(kept))
    assert stats.held_out == len(list(corpus.read_corpus(finished, "held_out")))
    assert (stats.cost_usd, stats.unknown_cost) == (0.0, 0)


def test_slips_among_the_selected(finished):
    stats = count_corpus(finished)
    made = kept = 0
    chosen = {record.id for record in corpus.read_corpus(finished)}
    for found in corpus.entering(finished, "select"):
        texts = (found.records["observe"], found.records["reason"])
        if any(record.provenance.simulated_slip for record in texts):
            made += 1
            kept += found.case.id in chosen
    assert (stats.slips["made"], stats.slips[KEPT]) == (made, kept)
    assert made


def test_rows_are_finite_and_named(finished):
    rows = list(result_rows(count_corpus(finished)))
    keys = [(row.table, row.system, row.metric) for row in rows]
    assert len(set(keys)) == len(keys)
    assert ("stages", "select", "passed") in keys


def test_an_unfinished_corpus_is_counted_too(finished, tmp_path):
    for name in ("stages/0_cases.jsonl", "stages/1_observe.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        lines = (finished / name).read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:20]))
    stats = count_corpus(tmp_path)
    assert list(stats.stages) == ["observe"]
    assert stats.stages["observe"].entered == 20
    assert list(result_rows(stats))


def test_no_corpus_is_told(tmp_path):
    with pytest.raises(RecordError, match="holds no corpus"):
        count_corpus(tmp_path)


def test_the_recipes_are_there():
    names = {"dermcot_synthetic", "dermcot_demo", "dermcot_pad_ufes_20", "dermcot_ham10000"}
    assert {path.stem for path in FILES} >= names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_as_its_file(path):
    assert read_recipe(CorpusRecipe, path).name == path.stem


def test_the_synthetic_recipe_has_the_sizes_of_the_paper():
    recipe = read_recipe(CorpusRecipe, RECIPES / "dermcot_synthetic.yaml")
    assert (recipe.cases.count, recipe.select.keep) == (15_000, 10_000)
    assert recipe.cases.held_out >= 3000


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["select.kep=3"], "unknown key select.kep; nearest: keep"),
        (["cases.count="], "cases.count is missing"),
        (["cases.root=x"], "cases.root goes with a data set"),
        (["cases.dataset=ham10000"], "cases.root is missing"),
        (["narrators.slips=2"], "less than or equal to 1"),
        (["narrators.observe=a/b", "narrators.reason=a/b"], "slips are the offline narrator's"),
        (["cases.dataset=ham10000", "cases.root=x"], "narrators.slips needs synthetic cases"),
        (["select.minimum_mean=6"], "less than or equal to 5"),
        (["name=a b"], "should match pattern"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(RecipeError) as error:
        read_recipe(CorpusRecipe, RECIPES / "dermcot_synthetic.yaml", settings)
    assert words in str(error.value)
