from functools import cache

import numpy as np
import pytest

from skingpt_r1.render.conditions import (
    CONDITIONS,
    CONFUSABLE,
    DRAWING_ORDER,
    FITS,
    allowed_values,
    draw_findings,
    finding_weights,
)
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS, check_findings

BY_NAME = {condition.name: condition for condition in CONDITIONS}


@cache
def draws(name):
    rng = np.random.default_rng(3)
    return [draw_findings(BY_NAME[name], rng) for _ in range(150)]


def overlap(first, second, slot):
    """Share of probability that two distributions have in common, after fitting."""
    one = [finding[slot] for finding in draws(first)]
    two = [finding[slot] for finding in draws(second)]
    return sum(min(one.count(value), two.count(value)) for value in WORDS[slot]) / 150


def test_sixteen_conditions_with_different_names():
    assert len(BY_NAME) == len(CONDITIONS) == 16
    assert set(DRAWING_ORDER) == set(RENDERED_SLOTS)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_weights_are_probabilities_of_known_values(condition):
    assert set(condition.weights) == set(RENDERED_SLOTS)
    for slot, weights in condition.weights.items():
        assert set(weights) <= set(WORDS[slot])
        assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_findings_are_complete_valid_and_fit_each_other(name):
    for findings in draws(name):
        assert tuple(findings) == RENDERED_SLOTS
        assert check_findings(findings) == []
        for (slot, value, other), fitting in FITS.items():
            assert findings[slot] != value or findings[other] in fitting


def test_solitary_means_one():
    for name in BY_NAME:
        for findings in draws(name):
            assert (findings["count"] == "one") == (findings["arrangement"] == "solitary")


def test_no_finding_alone_gives_the_condition_away():
    seen = {}
    for condition in CONDITIONS:
        for slot in RENDERED_SLOTS:
            for value in condition.weights[slot]:
                seen.setdefault((slot, value), set()).add(condition.name)
    alone = {key: names for key, names in seen.items() if len(names) < 2}
    assert alone == {}


@pytest.mark.parametrize(("first", "second"), CONFUSABLE)
def test_confusable_pairs_share_slots_and_differ(first, second):
    shared = [slot for slot in RENDERED_SLOTS if overlap(first, second, slot) >= 0.3]
    different = [slot for slot in RENDERED_SLOTS if overlap(first, second, slot) < 0.7]
    assert len(shared) >= 4
    assert different


def test_any_two_conditions_differ_in_some_finding():
    for i, first in enumerate(CONDITIONS):
        for second in CONDITIONS[i + 1 :]:
            assert min(overlap(first.name, second.name, slot) for slot in RENDERED_SLOTS) < 0.5


def test_weights_of_values_that_do_not_fit_go_to_those_that_do():
    nevus = BY_NAME["melanocytic nevus"]
    weights = finding_weights(nevus, "surface", {"morphology": "macule"})
    assert "warty" not in weights
    assert sum(weights.values()) == pytest.approx(1)


def test_where_nothing_of_the_condition_fits_every_fitting_value_is_equally_likely():
    melanoma = BY_NAME["melanoma"]
    weights = finding_weights(melanoma, "size", {"morphology": "vesicle"})
    assert weights == {"small": 1.0}


def test_allowed_values_of_a_slot_without_rules_are_all_values():
    assert allowed_values("colour", {"morphology": "ring"}) == tuple(WORDS["colour"])
