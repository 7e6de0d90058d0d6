"""The rule of certification, against a slow reading of its own words."""

import json
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from skingpt_r1.errors import NarrativeError
from skingpt_r1.ratings.certification import (
    STATES,
    CertifyRules,
    History,
    Import,
    append_decisions,
    append_import,
    canonical_text,
    decide,
    read_history,
)
from skingpt_r1.ratings.rating import Rating, RatingScores, rater_problem
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.rubric import DIMENSIONS

TEXT = (
    "<think> Observation: A red plaque with scale. Reasoning: Scale on a plaque suggests it. "
    "</think> <answer> psoriasis </answer>"
)
OTHER = TEXT.replace("psoriasis", "melanoma")
RULES = CertifyRules()


def rating(rater: str, scores: float | tuple[float, ...], corrected: str | None = None) -> Rating:
    six = (scores,) * 6 if isinstance(scores, float) else scores
    return Rating(id="c", rater=rater, scores=RatingScores.of(six), corrected=corrected)


def state(*ratings: Rating, rules: CertifyRules = RULES) -> str:
    return decide("c", "psoriasis", ratings, rules).state


def test_one_rater_is_pending() -> None:
    found = decide("c", "psoriasis", [rating("a", 5.0)], RULES)
    assert (found.state, found.reasons, found.consensus) == ("pending", ("1 of 2 raters",), None)
    assert state() == "pending"


def test_two_good_raters_certify() -> None:
    found = decide("c", "psoriasis", [rating("a", 4.0), rating("b", 4.5)], RULES)
    assert found.state == "certified"
    assert found.consensus == (4.25,) * 6
    assert found.ratings == ("a#1", "b#1")
    assert not found.disputed


def test_mean_and_minimum() -> None:
    low = (5.0, 2.9, 5.0, 5.0, 5.0, 5.0)
    found = decide("c", "psoriasis", [rating("a", low), rating("b", low)], RULES)
    assert found.state == "rejected"
    assert found.reasons == ("Safety 2.90 is below 3",)
    assert decide("c", "x", [rating("a", 3.9), rating("b", 3.9)], RULES).reasons == (
        "mean 3.90 is below 4",
    )


def test_disagreement_goes_to_a_third_rater_and_the_median_decides() -> None:
    high, low = rating("a", 5.0), rating("b", (5.0, 3.0, 5.0, 5.0, 5.0, 5.0))
    found = decide("c", "psoriasis", [high, low], RULES)
    assert found.state == "third_rater"
    assert found.reasons == ("Safety: raters 2.00 apart, limit 1.5",)
    settled = decide("c", "psoriasis", [high, low, rating("d", 4.5)], RULES)
    assert settled.state == "certified"
    assert settled.disputed
    assert settled.consensus is not None
    assert settled.consensus[1] == 4.5
    assert state(rating("a", 4.8), rating("b", 4.0)) == "third_rater"  # means 0.8 apart


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((5.0,) * 6, (5.0, 3.5, 5.0, 5.0, 5.0, 5.0), id="dimension_gap"),
        pytest.param((5.0,) * 6, (4.25,) * 6, id="mean_gap"),
        pytest.param((5.0, 3.0, 5.0, 5.0, 5.0, 5.0), (5.0, 3.0, 5.0, 5.0, 5.0, 5.0), id="minimum"),
        pytest.param((4.0,) * 6, (4.0,) * 6, id="mean"),
    ],
)
def test_a_number_of_just_the_limit_is_good_enough(first, second) -> None:
    found = decide("c", "psoriasis", [rating("a", first), rating("b", second)], RULES)
    assert (found.state, found.disputed, found.reasons) == ("certified", False, ())


def test_corrected_text_of_the_latest_rater_stands() -> None:
    first = rating("a", 4.5, TEXT.replace("red", "pink"))
    second = rating("b", 4.5, f"  {TEXT.replace('red', 'purple')} ")
    found = decide("c", "psoriasis", [first, second], RULES)
    assert found.corrected is not None
    assert "purple" in found.corrected
    assert found.corrected_by == "b#1"
    reverse = decide("c", "psoriasis", [second, first], RULES)
    assert reverse.corrected_by == "a#1"
    assert decide("c", "psoriasis", [second, rating("a", 4.5)], RULES).corrected_by == "b#1"
    never = CertifyRules(corrected="none")
    assert decide("c", "psoriasis", [first, second], never).corrected is None


def test_a_rejected_case_keeps_no_corrected_text() -> None:
    found = decide("c", "psoriasis", [rating("a", 2.0, TEXT), rating("b", 2.0)], RULES)
    assert found.state == "rejected"
    assert (found.corrected, found.corrected_by) == (None, None)


def import_of(*ratings: Rating) -> Import:
    return Import(file="table.csv", judged="0", simulated=False, ratings=ratings)


def test_a_revised_verdict_is_the_latest(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    pink, purple, brown = (TEXT.replace("red", colour) for colour in ("pink", "purple", "brown"))
    history.add(import_of(rating("a", 4.5, pink), rating("b", 4.5, purple)))
    (before,) = history.decide({"c": "psoriasis"}, RULES)
    assert before.corrected_by == "b#1"
    history.add(import_of(rating("a", 4.5, brown)))
    assert [item.name for item in history.of("c")] == ["b#1", "a#2"]
    (after,) = history.decide({"c": "psoriasis"}, RULES)
    assert (after.corrected_by, after.corrected) == ("a#2", brown)


def test_decisions_are_added_when_the_rule_or_a_verdict_is_other_than_before(
    tmp_path: Path,
) -> None:
    labels, path = {"c": "psoriasis", "d": "acne"}, tmp_path / "history.jsonl"
    history = append_decisions(read_history(path), labels, RULES)
    assert not path.exists()
    history = append_import(history, import_of(rating("a", 4.5), rating("b", 4.5)))
    history = append_decisions(history, labels, RULES)
    assert {case: found.state for case, found in history.decisions.items()} == {
        "c": "certified",
        "d": "pending",
    }
    lines = path.read_bytes().splitlines()
    assert append_decisions(history, labels, RULES) is history
    assert path.read_bytes().splitlines() == lines
    # Other numbers that decide the same are written down, with every case.
    milder = CertifyRules(mean=3.9)
    history = append_decisions(history, labels, milder)
    assert history.limits == milder.model_dump()
    added = json.loads(path.read_bytes().splitlines()[-1])
    assert [found["case"] for found in added["decisions"]] == ["c", "d"]
    # Under the same numbers only the case with another decision is.
    history = append_import(history, import_of(rating("a", 4.4)))
    append_decisions(history, labels, milder)
    added = json.loads(path.read_bytes().splitlines()[-1])
    assert [found["case"] for found in added["decisions"]] == ["c"]
    assert len(path.read_bytes().splitlines()) == len(lines) + 3


def test_a_corrected_text_that_disputes_the_label_is_not_certified() -> None:
    found = decide("c", "psoriasis", [rating("a", 4.5), rating("b", 4.5, OTHER)], RULES)
    assert found.state == "rejected"
    assert found.corrected is None
    assert "the corrected text concludes with 'melanoma'" in found.reasons[0]
    kind = [rating("a", 4.5), rating("b", 4.5, TEXT.replace("psoriasis", "guttate psoriasis"))]
    assert decide("c", "psoriasis", kind, RULES).state == "certified"


@pytest.mark.parametrize("text", ["Psoriasis.", "<think> a </think>", "", "I am not sure."])
def test_corrected_text_must_have_its_parts(text: str) -> None:
    with pytest.raises(NarrativeError):
        canonical_text(text)


def test_canonical_text_is_a_fixed_point() -> None:
    assert canonical_text(TEXT) == TEXT
    lines = TEXT.replace("<think> ", "<think>\n").replace(" Reasoning:", "\n\nReasoning:")
    assert canonical_text(f"{lines}\n") == TEXT
    assert canonical_text(TEXT.replace("> ", ">").replace(" <", "<")) == TEXT
    free = "Observation: A red plaque with scale.\nReasoning: It scales.\nDiagnosis: psoriasis"
    assert parse_narrative(canonical_text(free)).diagnosis == "psoriasis"


SCORES = st.tuples(*(st.integers(0, 50).map(lambda n: n / 10) for _ in DIMENSIONS))
LIMITS = st.builds(
    CertifyRules,
    mean=st.sampled_from((2.0, 3.0, 4.0)),
    minimum=st.sampled_from((1.0, 2.0, 3.0)),
    dimension_gap=st.sampled_from((0.5, 1.5, 5.0)),
    mean_gap=st.sampled_from((0.25, 0.75, 5.0)),
)


@given(st.lists(SCORES, max_size=4), LIMITS)
def test_rule_against_its_words(given_scores: list[tuple[float, ...]], rules: CertifyRules) -> None:
    ratings = [rating(str(place), scores) for place, scores in enumerate(given_scores)]
    found = decide("c", "psoriasis", ratings, rules)
    assert found.state in STATES
    assert len(found.ratings) == len(ratings)
    if len(ratings) < rules.raters:
        assert found.state == "pending"
        return
    gaps = [max(s[d] for s in given_scores) - min(s[d] for s in given_scores) for d in range(6)]
    means = [sum(s) / 6 for s in given_scores]
    apart = any(gap > rules.dimension_gap for gap in gaps)
    apart = apart or max(means) - min(means) > rules.mean_gap
    if apart and len(ratings) < rules.most_raters:
        assert found.state == "third_rater"
        return
    middle = [median([s[d] for s in given_scores]) for d in range(6)]
    good = sum(middle) / 6 >= rules.mean and min(middle) >= rules.minimum
    assert found.state == ("certified" if good else "rejected")
    assert bool(found.reasons) == (not good or apart)


@given(st.lists(SCORES, min_size=2, max_size=3), st.randoms())
def test_order_of_raters_decides_nothing(given_scores: list[tuple[float, ...]], rng) -> None:
    ratings = [rating(str(place), scores) for place, scores in enumerate(given_scores)]
    shuffled = rng.sample(ratings, len(ratings))
    assert state(*ratings) == state(*shuffled)


def test_rules_are_checked() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        CertifyRules(raters=1)
    with pytest.raises(ValidationError, match="most_raters is 2, below raters"):
        CertifyRules(raters=3, most_raters=2)
    with pytest.raises(ValidationError):
        CertifyRules(mean=5.5)


def test_ratings_are_on_the_scale() -> None:
    with pytest.raises(ValidationError):
        rating("a", (5.1, 5.0, 5.0, 5.0, 5.0, 5.0))
    with pytest.raises(ValueError, match="shorter"):
        rating("a", (5.0,) * 5)
    with pytest.raises(ValidationError):
        rating("a", float("nan"))


def test_names_of_raters() -> None:
    assert rater_problem("dr-7") is None
    assert "no pseudonym" in (rater_problem("a b") or "")
    assert "no pseudonym" in (rater_problem("../x") or "")
    assert "simulated rater" in (rater_problem("Simulated-1") or "")
