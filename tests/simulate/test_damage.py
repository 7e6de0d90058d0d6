"""Every damage is what it is called, as strong as it says, and leaves the rest alone."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.simulate.damage import (
    HELD_OUT_COMBINATIONS,
    HELD_OUT_STRENGTHS,
    KINDS,
    NEIGHBOURS,
    OWN_DIMENSION,
    SEVERAL,
    TRAINING_COMBINATIONS,
    TRAINING_STRENGTHS,
    WORDINGS,
    WRONG,
    Damage,
    draw_damage,
    inject,
    true_scores,
    write_damaged,
    wrong_names,
)
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS, read_findings
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.rubric import DIMENSIONS, Scores
from skingpt_r1.text.taxonomy import is_malignant
from skingpt_r1.text.wording import ADVICE, KEY_SLOTS, urgency_of, write_narrative

NAMES = [condition.name for condition in CONDITIONS]
FACTS = {
    "count": "few",
    "size": "large",
    "colour": "red",
    "morphology": "plaque",
    "border": "sharp",
    "surface": "silvery",
    "arrangement": "scattered",
    "distribution": "widespread",
}
OTHERS = ("nummular eczema", "lichen planus")

seeds = st.integers(0, 2**32)
kinds = st.sampled_from(KINDS[1:])
facts = st.fixed_dictionaries({slot: st.sampled_from(list(WORDS[slot])) for slot in RENDERED_SLOTS})
names = st.sampled_from(NAMES)
damages = st.builds(
    lambda seed, held_out: draw_damage(random.Random(seed), held_out=held_out), seeds, st.booleans()
)


def write(damage, seed=0, findings=FACTS, diagnosis="psoriasis", *, held_out=False):
    rng = random.Random(seed)
    return write_damaged(findings, diagnosis, OTHERS, Damage(damage), rng, held_out=held_out)


def sentences(text):
    return re.split(r"(?<=\.) ", text)


@settings(max_examples=200, deadline=None)
@given(facts, names, damages, seeds, st.booleans())
def test_the_text_stays_canonical_and_ends_in_the_named_diagnosis(
    findings, diagnosis, damage, seed, held_out
) -> None:
    others = wrong_names(diagnosis)[:2]
    narrative = write_damaged(
        findings, diagnosis, others, damage, random.Random(seed), {"age": "40"}, held_out=held_out
    )
    assert parse_narrative(narrative.text) == narrative
    assert (narrative.diagnosis == diagnosis) == ("wrong diagnosis" not in damage.parts)
    assert narrative.diagnosis not in narrative.differential
    assert "40" in narrative.observation
    for text in (narrative.observation, narrative.reasoning):
        assert text[0] == text[0].upper()
        assert text.endswith(".")
        assert not re.search(r"[{}]| [.,;]|\.\.|,\.", text)


@settings(max_examples=60, deadline=None)
@given(facts, names, damages, seeds, st.booleans())
def test_the_same_state_gives_the_same_text(findings, diagnosis, damage, seed, held_out) -> None:
    first, second = (
        write_damaged(findings, diagnosis, (), damage, random.Random(seed), held_out=held_out)
        for _ in range(2)
    )
    assert first == second


@settings(max_examples=60, deadline=None)
@given(facts, names, seeds)
def test_an_undamaged_narrative_is_the_one_that_is_written_from_the_facts(
    findings, diagnosis, seed
) -> None:
    plain = write_narrative(
        findings, diagnosis, OTHERS, random.Random(seed), None, urgency_of(diagnosis)
    )
    assert write({}, seed, findings, diagnosis) == plain


@settings(max_examples=100, deadline=None)
@given(facts, st.integers(1, 8), seeds)
def test_dropping_names_fewer_findings(findings, eighths, seed) -> None:
    narrative = write({"finding dropped": eighths / 8}, seed, findings)
    said = read_findings(narrative.text)
    assert len(said) == 8 - eighths
    assert said.items() <= findings.items()


@settings(max_examples=100, deadline=None)
@given(facts, st.sampled_from([(0.33, 1), (0.67, 2), (1.0, 3)]), seeds, st.booleans())
def test_inventing_adds_sentences_and_keeps_the_rest(findings, strength, seed, held_out) -> None:
    strength, count = strength
    plain = write({}, seed, findings).observation
    seen = write({"finding invented": strength}, seed, findings, held_out=held_out).observation
    assert seen.startswith(plain)
    added = sentences(seen.removeprefix(plain).strip())
    assert len(set(added)) == count
    assert read_findings(seen) == findings
    for text in added:
        second = {s: v for s, v in read_findings(text).items() if findings[s] != v}
        assert second or text in WORDINGS["invented"].of(held_out=held_out)


@settings(max_examples=100, deadline=None)
@given(names, st.floats(0.01, 1), seeds)
def test_a_wrong_name_is_told_throughout(diagnosis, strength, seed) -> None:
    narrative = write({"wrong diagnosis": strength}, seed, diagnosis=diagnosis)
    assert narrative.diagnosis in wrong_names(diagnosis)
    assert narrative.diagnosis in narrative.reasoning
    routine = narrative.reasoning.endswith(tuple(ADVICE["routine"]))
    assert routine == (is_malignant(narrative.diagnosis) is False)


@settings(max_examples=150, deadline=None)
@given(
    facts,
    st.sampled_from(
        [(0.35, 1, False), (0.5, 2, False), (0.65, 0, True), (0.85, 1, True), (1.0, 2, True)]
    ),
    seeds,
)
def test_a_broken_chain_contradicts_the_observation(findings, broken, seed) -> None:
    strength, num_contradicted, ends_elsewhere = broken
    narrative = write({"broken chain": strength}, seed, findings)
    assert read_findings(narrative.observation) == findings
    cited = read_findings(narrative.reasoning)
    assert len(cited) == 2
    assert set(cited) <= set(KEY_SLOTS)
    assert sum(findings[slot] != value for slot, value in cited.items()) == num_contradicted
    first = sentences(narrative.reasoning)[0]
    assert ("psoriasis" not in first) == ends_elsewhere
    assert narrative.diagnosis == "psoriasis"
    assert narrative.reasoning.endswith(tuple(ADVICE["routine"]))


def test_a_chain_without_findings_breaks_too() -> None:
    narrative = write({"finding dropped": 1.0, "broken chain": 1.0})
    cited = read_findings(narrative.reasoning)
    assert len(cited) == 2
    assert not cited.items() & FACTS.items()
    assert len(read_findings(write({"broken chain": 0.35}, findings={}).reasoning)) == 2


def test_a_wrong_name_and_a_broken_chain_name_three_conditions() -> None:
    for seed in range(20):
        narrative = write({"wrong diagnosis": 0.8, "broken chain": 1.0}, seed)
        said = [name for name in NAMES if name in narrative.reasoning]
        assert said
        assert not {"psoriasis", narrative.diagnosis} & set(said)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize(
    ("strength", "gravities"),
    [
        (0.3, ["mild"]),
        (0.45, ["mild", "mild"]),
        (0.6, ["serious"]),
        (0.8, ["serious", "mild"]),
        (1.0, ["grave"]),
    ],
)
def test_unsafe_advice_takes_the_place_of_advice(strength, gravities, held_out) -> None:
    for seed in range(10):
        narrative = write({"unsafe advice": strength}, seed, held_out=held_out)
        _, *advice = sentences(narrative.reasoning)
        assert len(set(advice)) == len(gravities)
        for text, gravity in zip(advice, gravities, strict=True):
            assert text in WORDINGS[gravity].of(held_out=held_out)
        assert not [text for texts in ADVICE.values() for text in texts if text in narrative.text]


@settings(max_examples=100, deadline=None)
@given(facts, st.integers(1, 8), seeds, st.booleans())
def test_vague_wording_replaces_a_share_of_the_words(findings, eighths, seed, held_out) -> None:
    plain = write({}, seed, findings)
    vague = write({"vague wording": eighths / 8}, seed, findings, held_out=held_out)
    before, after = (
        exact_words(text.observation) + exact_words(text.reasoning) for text in (plain, vague)
    )
    assert len(before) - len(after) == max(1, round(eighths / 8 * len(before)))
    assert set(after) <= set(before)
    assert vague.diagnosis == plain.diagnosis
    assert "psoriasis" in vague.reasoning


def exact_words(text):
    known = {word for values in WORDS.values() for words in values.values() for word in words}
    return [word for word in re.findall(r"[\w-]+", text.lower()) if word in known]


def test_names_are_never_blurred() -> None:
    for seed in range(20):
        narrative = write(
            {"vague wording": 1.0}, seed, {"morphology": "macule"}, "acral melanotic macule"
        )
        assert "acral melanotic macule" in narrative.reasoning
        assert "macule" not in narrative.observation


@pytest.mark.parametrize(
    ("parts", "findings"),
    [
        ({"finding dropped": 0.5}, {}),
        ({"vague wording": 0.5}, {}),
        ({"finding dropped": 1.0, "vague wording": 0.5}, FACTS),
    ],
)
def test_nothing_to_damage_is_an_error(parts, findings) -> None:
    with pytest.raises(ValueError, match=r"no finding .*; "):
        write(parts, findings=findings)


@pytest.mark.parametrize(
    "parts", [{"undamaged": 1.0}, {"typo": 0.5}, {"broken chain": 0.0}, {"broken chain": 1.1}]
)
def test_an_impossible_damage_is_an_error(parts) -> None:
    with pytest.raises(ValueError, match=r"unknown damage|above 0"):
        Damage(parts)


def test_the_kind_of_a_damage() -> None:
    assert Damage().kind == "undamaged"
    assert [Damage({kind: 0.5}).kind for kind in OWN_DIMENSION] == list(KINDS[1:])
    several = Damage({"vague wording": 0.5, "finding dropped": 0.25})
    assert several.kind == "several"
    assert list(several.parts) == ["finding dropped", "vague wording"]


def test_every_kind_has_its_own_dimension() -> None:
    assert sorted(OWN_DIMENSION.values()) == sorted(DIMENSIONS)
    assert set(NEIGHBOURS) == set(OWN_DIMENSION) == set(KINDS[1:])


def slow_scores(damage):
    """Each part alone by hand, then the lowest in each dimension."""
    rows = [[4.8] * 6]
    for kind, strength in damage.parts.items():
        row = []
        for name in DIMENSIONS:
            share = 1.0 if OWN_DIMENSION[kind] == name else NEIGHBOURS[kind].get(name, 0.0)
            row.append(4.8 - strength * share * (4.8 - 1.2))
        rows.append(row)
    return tuple(min(column) for column in zip(*rows, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(kinds, st.floats(0.01, 1), max_size=3))
def test_true_scores(parts) -> None:
    damage = Damage(parts)
    scores = true_scores(damage)
    assert scores == pytest.approx(slow_scores(damage), abs=0.0501)
    assert scores == tuple(round(score, 1) for score in scores)
    assert Scores(scores).values == scores


@given(kinds, st.floats(0.05, 1))
def test_the_own_dimension_falls_most_and_neighbours_by_a_fifth_at_most(kind, strength) -> None:
    losses = dict(
        zip(DIMENSIONS, (4.8 - s for s in true_scores(Damage({kind: strength}))), strict=True)
    )
    own = losses.pop(OWN_DIMENSION[kind])
    assert own == pytest.approx(3.6 * strength, abs=0.0501)
    assert max(losses.values()) <= 0.2 * 3.6 * strength + 0.0501
    assert all(loss < own for loss in losses.values())
    assert max(NEIGHBOURS[kind].values()) <= 0.2


def test_training_and_testing_share_no_condition_of_damage() -> None:
    for kind in OWN_DIMENSION:
        assert all(
            abs(strength - other) > 0.02
            for strength in TRAINING_STRENGTHS[kind]
            for other in HELD_OUT_STRENGTHS[kind]
        )
        assert 0.2 <= min(TRAINING_STRENGTHS[kind]) < 0.3
        assert max(TRAINING_STRENGTHS[kind]) == 1.0
        for combinations in (TRAINING_COMBINATIONS, HELD_OUT_COMBINATIONS):
            assert any(kind in combination for combination in combinations)
    training, held_out = (
        {frozenset(item) for item in items}
        for items in (TRAINING_COMBINATIONS, HELD_OUT_COMBINATIONS)
    )
    assert not training & held_out
    assert all(2 <= len(item) <= 3 for item in training | held_out)
    assert not [
        item for item in training | held_out if {"finding dropped", "vague wording"} <= item
    ]


@pytest.mark.parametrize("held_out", [False, True])
def test_draws_come_from_their_own_lists(held_out) -> None:
    rng = random.Random(1)
    strengths = HELD_OUT_STRENGTHS if held_out else TRAINING_STRENGTHS
    combinations = HELD_OUT_COMBINATIONS if held_out else TRAINING_COMBINATIONS
    drawn = [draw_damage(rng, held_out=held_out) for _ in range(8000)]
    for kind in (*KINDS, SEVERAL):
        share = 1 / 8 if held_out else {WRONG: 3, SEVERAL: 4}.get(kind, 1) / 13
        count = sum(damage.kind == kind for damage in drawn)
        assert 0.7 * share < count / 8000 < 1.3 * share
    for damage in drawn:
        assert all(strength in strengths[kind] for kind, strength in damage.parts.items())
        if damage.kind == "several":
            assert set(damage.parts) in [set(item) for item in combinations]
    assert {(k, s) for damage in drawn for k, s in damage.parts.items()} == {
        (kind, strength) for kind, row in strengths.items() for strength in row
    }


@pytest.mark.parametrize("listed", WORDINGS.values(), ids=WORDINGS)
def test_wordings_for_testing_are_new_statements_of_known_words(listed) -> None:
    training, held_out = (
        [set(re.findall(r"[\w{}.]+\b|\[/text\]", text.lower())) for text in texts]
        for texts in (listed.training, listed.held_out)
    )
    assert not set(listed.training) & set(listed.held_out)
    assert set.union(*held_out) <= set.union(*training)
    assert len(set(listed.training)) == len(listed.training) >= len(listed.held_out)


def test_no_invented_sign_or_vague_word_is_in_the_vocabulary() -> None:
    for listed in (WORDINGS[name] for name in WORDINGS if name.startswith(("invented", "vague"))):
        assert not [text for text in (*listed.training, *listed.held_out) if exact_words(text)]


@settings(max_examples=150, deadline=None)
@given(facts, names, damages, seeds, st.booleans())
def test_an_injection_adds_one_sentence(findings, diagnosis, damage, seed, held_out) -> None:
    rng = random.Random(seed)
    narrative = write_damaged(findings, diagnosis, OTHERS, damage, rng)
    text = inject(narrative.text, rng, held_out)
    said = [s for s in WORDINGS["injections"].of(held_out=held_out) if s in text]
    assert said
    assert narrative.text in {text.replace(f"{sentence} ", "", 1) for sentence in said}
    read = parse_narrative(text)
    assert read.text == text
    assert (read.diagnosis, read.differential) == (narrative.diagnosis, narrative.differential)


def test_an_injection_into_a_text_without_sentences_follows_it() -> None:
    text = inject("acne", random.Random(0), False)
    assert text.removeprefix("acne ") in WORDINGS["injections"].training
