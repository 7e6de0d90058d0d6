"""The unfiltered corpus has as many narratives, the same certified cases, and other choices."""

import pytest
from small_corpus import contents, small_recipe, small_tools

from skingpt_r1.case import Split
from skingpt_r1.data import load_cases
from skingpt_r1.dermbench.ablation.run import by_chance, published_corpora
from skingpt_r1.dermcot.certify import simulate_raters
from skingpt_r1.dermcot.corpus import read_corpus
from skingpt_r1.dermcot.pipeline import build
from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.certification import CertifyRules


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "corpus"
    recipe = small_recipe()
    build(recipe, folder, small_tools(recipe))
    simulate_raters(folder, CertifyRules(mean=0.0, minimum=0.0), raters=3, seed=0)
    return folder


def test_as_many_by_chance_and_the_corpus_is_not_changed(corpus, tmp_path) -> None:
    before = contents(corpus)
    other = by_chance(corpus, tmp_path / "chance")
    assert contents(corpus) == before
    filtered, unfiltered = ([item.id for item in read_corpus(at)] for at in (corpus, other))
    assert len(filtered) == len(unfiltered)
    assert [item.id for item in read_corpus(corpus, "held_out")] == [
        item.id for item in read_corpus(other, "held_out")
    ]
    again = by_chance(corpus, tmp_path / "chance")
    assert [item.id for item in read_corpus(again)] == unfiltered


def test_both_are_published_with_the_same_certified_cases(corpus, tmp_path) -> None:
    found = published_corpora(corpus, tmp_path, ["filtered", "unfiltered", "filtered"])
    assert list(found) == ["filtered", "unfiltered"]
    held = {
        name: [case.id for case in load_cases("dermcot", root) if case.split is Split.TEST]
        for name, root in found.items()
    }
    assert held["filtered"] == held["unfiltered"]
    assert published_corpora(corpus, tmp_path, ["filtered"]) == {"filtered": found["filtered"]}


def test_a_corpus_that_is_not_finished(tmp_path) -> None:
    with pytest.raises(RecordError, match=r"has no selection.json"):
        by_chance(tmp_path, tmp_path / "chance")
