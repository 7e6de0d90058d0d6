"""Turns for reading are true to their own text and say nothing about any condition."""

import random
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from skingpt_r1.findings import RENDERED_SLOTS, WORDS, read_findings
from skingpt_r1.nano.diseases import DISEASES
from skingpt_r1.nano.reading import compare_turn, lookup_turn, reading_turn, scene_turn
from skingpt_r1.nano.scenes import draw_scene
from skingpt_r1.narrative import parse_narrative


def judged(question):
    return question.partition("[text] ")[2].removesuffix(" [/text]")


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
        assert reasoning.removeprefix("reasoning ") in narrative.reasoning.lower()
        observed = read_findings(narrative.observation)
        for pair in pairs:
            value, seen = pair.split(" observed ")
            slot = next(s for s in WORDS if value in WORDS[s])
            assert read_findings(narrative.reasoning)[slot] == value
            assert seen == observed.get(slot, "nothing")
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
            assert seen == f"{value} observed {scene[name]}"


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
    assert len({question.partition(" [text]")[0].split("?")[0] for question, _ in turns}) == 3
