"""Turns for reading are true to their own text and say nothing about any condition."""

import random
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from tools.nano.language import (
    DISEASES,
    compare_turn,
    lookup_turn,
    pairs_turn,
    reading_turn,
    scene_turn,
)
from tools.nano.scenes import draw_scene

from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS, read_findings
from skingpt_r1.text.narrative import parse_narrative


def judged(question):
    return question.partition("[text] ")[2].removesuffix(" [/text]")


def split(pair):
    """What is said, what is observed, and the verdict."""
    said, _, rest = pair.partition(" observed ")
    observed, _, verdict = rest.rpartition(" ")
    return said, observed, verdict


def test_a_look_up_tells_what_the_text_says():
    rng = random.Random(0)
    for _ in range(100):
        question, answer = lookup_turn(rng)
        narrative = parse_narrative(judged(question))
        said = read_findings(narrative.observation)
        for part in answer.split("; "):
            name, _, value = part.partition(" ")
            if name == "diagnosis":
                assert value == narrative.diagnosis
            else:
                assert value == said.get(name, "nothing")


def test_notes_of_a_comparison_are_true_to_the_text():
    rng, missing = random.Random(1), Counter()
    for _ in range(200):
        question, answer = compare_turn(rng)
        narrative = parse_narrative(judged(question))
        named, reasoning, *pairs, absent, stray = answer.removesuffix(".").split("; ")
        assert named == f"diagnosis {narrative.diagnosis}"
        end, _, verdict = reasoning.removeprefix("reasoning ").rpartition(" ")
        assert end in narrative.reasoning.lower()
        assert (verdict == "fits") is (end == narrative.diagnosis)
        observed = read_findings(narrative.observation)
        for pair in pairs:
            value, seen, verdict = split(pair)
            slot = next(s for s in WORDS if value in WORDS[s])
            assert read_findings(narrative.reasoning)[slot] == value
            assert seen == observed.get(slot, "nothing")
            assert verdict == ("fits" if seen == value else "other")
        count = sum(slot not in observed for slot in RENDERED_SLOTS)
        assert absent == f"missing {count}"
        assert 0 <= int(stray.removeprefix("made up ")) <= 3
        missing[count] += 1
    assert len(missing) > 4


def test_a_list_is_compared_with_the_scene():
    rng, words = np.random.default_rng(0), random.Random(2)
    for _ in range(50):
        scene = draw_scene(rng, 28).attributes
        question, answer = scene_turn(scene, words)
        for said, seen in zip(judged(question).split(", "), answer.split("; "), strict=True):
            name, _, value = said.partition(" ")
            verdict = "fits" if value == scene[name] else "other"
            assert split(seen) == (value, scene[name], verdict)


def test_pairs_are_told_apart():
    rng, verdicts = random.Random(4), Counter()
    for _ in range(50):
        question, answer = pairs_turn(rng)
        for given, said in zip(judged(question).split(", "), answer.split("; "), strict=True):
            one, two, verdict = split(said)
            assert given == f"{one} and {two}"
            assert verdict == ("fits" if one == two else "other")
            verdicts[verdict] += 1
    assert min(verdicts.values()) > 100


@pytest.mark.parametrize("slot", ["colour", "surface", "border"])
def test_diagnoses_do_not_depend_on_the_findings(slot):
    rng = random.Random(3)
    told = [parse_narrative(judged(compare_turn(rng)[0])) for _ in range(3000)]
    pairs = Counter((n.diagnosis, read_findings(n.observation).get(slot)) for n in told)
    values = sorted({value for _, value in pairs if value})
    table = [[pairs[name, value] for value in values] for name in DISEASES]
    assert chi2_contingency(table).pvalue > 0.001


def test_the_same_state_gives_the_same_turn():
    scene = draw_scene(np.random.default_rng(0), 28).attributes
    turns = [reading_turn(scene, random.Random(seed)) for seed in range(20)]
    assert turns == [reading_turn(scene, random.Random(seed)) for seed in range(20)]
    assert len({question.partition(" [text]")[0].split("?")[0] for question, _ in turns}) == 4
