"""Wrong names are wrong, and as far off as their strength says."""

import random
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skingpt_r1.render.conditions import CONDITIONS, CONFUSABLE
from skingpt_r1.simulate.damage import LOOKS, looks_of, misname, wrong_names
from skingpt_r1.text.taxonomy import Closeness, closeness, diagnoses, is_malignant

NAMES = [condition.name for condition in CONDITIONS]
OTHERS = ("nummular eczema", "lichen planus")
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("diagnosis", [*NAMES, "wart", "naevus", "a name nobody knows"])
def test_confusable_names_and_the_family_come_first(diagnosis) -> None:
    ranks = wrong_names(diagnosis)
    assert not [name for name in ranks if closeness(name, diagnosis) >= Closeness.PARENT]
    paired = {name for pair in CONFUSABLE if diagnosis in pair for name in pair} - {diagnosis}
    near = [name in paired or closeness(name, diagnosis) is Closeness.SAME_FAMILY for name in ranks]
    assert near == sorted(near, reverse=True)
    assert len(set(ranks)) == len(ranks) >= 14


def test_every_condition_looks_like_another_and_confusable_ones_alike() -> None:
    assert sorted(chain.from_iterable(LOOKS.values())) == sorted(NAMES)
    assert all(len(names) > 1 for names in LOOKS.values())
    assert all(looks_of(one) == looks_of(two) for one, two in CONFUSABLE)
    assert looks_of("naevus") == "pigmented"
    assert looks_of("wart") is None


@given(st.sampled_from(NAMES), st.floats(0.01, 1), seeds)
def test_a_name_is_as_far_off_as_its_strength(diagnosis, strength, seed) -> None:
    named, listed = misname(diagnosis, OTHERS, strength, random.Random(seed))
    assert closeness(named, diagnosis) < Closeness.PARENT
    assert (looks_of(named) == looks_of(diagnosis)) == (strength <= 0.6)
    assert (diagnosis in listed) == (strength <= 0.45)
    if strength > 0.6:
        swapped = is_malignant(named) != is_malignant(diagnosis)
        assert swapped == (strength > 0.82)
    assert named not in listed
    assert len(set(listed)) == len(OTHERS)


@pytest.mark.parametrize("strength", [0.3, 0.5, 0.7, 1.0])
def test_there_is_a_wrong_name_for_every_diagnosis(strength) -> None:
    for diagnosis in (*diagnoses(), "a name nobody knows"):
        named, _ = misname(diagnosis, (), strength, random.Random(0))
        assert closeness(named, diagnosis) < Closeness.PARENT
