import random
from collections import Counter

import numpy as np
from scipy.stats import chi2_contingency, spearmanr
from tools.nano.language import DISEASES, critique_turn, dermatology_turn, general_turn
from tools.nano.scenes import draw_scene

from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.text.findings import read_findings
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.rubric import Scores, parse_scores
from skingpt_r1.text.wording import INSTRUCTION


def scenes(count):
    rng = np.random.default_rng(0)
    return [draw_scene(rng, 28).attributes for _ in range(count)]


def test_general_answers_are_true():
    rng = random.Random(0)
    for scene in scenes(100):
        _, text = general_turn(scene, rng)
        answer = text.rpartition("<answer>")[2].partition("</answer>")[0].strip()
        assert answer in scene.values() or answer.startswith(scene["count"])


def test_dermatology_prose_is_a_readable_narrative_and_true_where_general_words_suffice():
    rng = random.Random(0)
    for scene in scenes(200):
        prompt, text = dermatology_turn(scene, rng)
        assert prompt.startswith(INSTRUCTION)
        narrative = parse_narrative(text)
        assert narrative.diagnosis in DISEASES
        said = read_findings(narrative.observation)
        assert said.get("size", scene["size"]) == scene["size"]
        assert ("count" not in said) or ((said["count"] == "one") == (scene["count"] == "1"))


def test_diagnoses_do_not_depend_on_the_scene():
    """Chi-square of diagnosis against what is in the picture: nothing to learn from."""
    rng = random.Random(1)
    drawn = scenes(300) * 12
    told = [(parse_narrative(dermatology_turn(s, rng)[1]).diagnosis, s) for s in drawn]
    for attribute in ("colour", "size", "shape", "arrangement"):
        columns = sorted({scene[attribute] for _, scene in told})
        counts = Counter((diagnosis, scene[attribute]) for diagnosis, scene in told)
        table = [[counts[d, c] for c in columns] for d in DISEASES]
        assert chi2_contingency(table).pvalue > 0.001, attribute


def test_every_rendered_condition_can_be_named():
    assert {condition.name for condition in CONDITIONS} <= set(DISEASES)


def test_verdicts_are_in_form_and_their_scores_depend_on_nothing():
    rng = random.Random(0)
    drawn = scenes(200) * 3
    told = []
    for scene in drawn:
        question, text = critique_turn(scene, rng)
        found = parse_scores(text, scale=5)
        assert isinstance(found, Scores)
        told.append((len(question), found.mean))
    lengths, means = zip(*told, strict=True)
    assert abs(spearmanr(lengths, means).statistic) < 0.12
    assert 2.3 < sum(means) / len(means) < 2.7
