"""The rule judge on the 138 public references, where they are at hand."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from real_damage import OPERATIONS, damaged, diagnosis_of

from skingpt_r1.data.readers.dermbench import READER
from skingpt_r1.dermbench.classification.match import compare_labels
from skingpt_r1.dermbench.judges.comparison import read_text, same_name
from skingpt_r1.dermbench.judges.rules import score_by_rules
from skingpt_r1.simulate.damage import BROKEN, OWN_DIMENSION, WRONG
from skingpt_r1.text.rubric import DIMENSIONS

ROOT = Path(__file__).resolve().parents[3] / "shared" / "data" / "dermbench_sample"
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="needs ../shared/data/dermbench_sample")


@pytest.fixture(scope="module")
def cases():
    return READER.load(ROOT)


def test_a_reference_against_itself(cases):
    means = [score_by_rules(case.narrative, case.narrative, case.label).mean for case in cases]
    assert min(means) >= 4.8


def test_a_reference_of_another_category(cases):
    """All pairs: at most 2.5, but where the foreign text concludes with the gold name itself."""
    accuracies, right = [], 0
    for case in cases:
        for other in cases[::2]:
            if other.attributes["category"] == case.attributes["category"]:
                continue
            score = score_by_rules(other.narrative, case.narrative, case.label)["Accuracy"]
            accuracies.append(score)
            if score > 2.5:
                named = read_text(other.narrative).diagnosis
                gold = read_text(case.narrative).diagnosis
                assert compare_labels(named, case.label).match.is_right or same_name(named, gold)
                right += 1
    assert np.mean(accuracies) < 0.3
    assert right / len(accuracies) < 0.005


def test_one_of_another_category_for_each_case(cases):
    order = sorted(cases, key=lambda case: (len(case.narrative), case.id))
    accuracies = [
        score_by_rules(other.narrative, case.narrative, case.label)["Accuracy"]
        for case, other in pairwise(order)
        if case.attributes["category"] != other.attributes["category"]
    ]
    assert len(accuracies) > 100
    assert np.quantile(accuracies, 0.98) <= 2.5


@pytest.mark.parametrize("kind", OPERATIONS)
def test_each_damage_lowers_the_right_dimension(cases, kind):
    drops = []
    for number, case in enumerate(cases):
        if kind in (WRONG, BROKEN) and diagnosis_of(case.narrative) is None:
            continue  # nothing to rename: the text concludes with no one disease
        whole = score_by_rules(case.narrative, case.narrative, case.label)
        hurt = score_by_rules(damaged(case.narrative, kind, number), case.narrative, case.label)
        drops.append(np.subtract(whole.values, hurt.values))
    own = DIMENSIONS.index(OWN_DIMENSION[kind])
    found = np.array(drops)
    assert len(found) >= 133
    assert (found[:, own] > 0).mean() >= 0.97
    assert found[:, own].mean() >= 0.8
    if kind != BROKEN:  # another conclusion is a wrong diagnosis as well
        assert int(found.mean(axis=0).argmax()) == own
