import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.case import Case, Split
from skingpt_r1.data.splits import official_split, shared_groups, split_cases
from skingpt_r1.errors import DatasetError, RecipeError

THREE = {Split.TRAIN: 0.7, Split.VALIDATION: 0.1, Split.TEST: 0.2}


def case(number, group, label="a", split=None, dataset="toy"):
    return Case(
        id=f"{number:05}",
        images=(Path(f"{number}.png"),),
        dataset=dataset,
        group=str(group),
        label=label,
        split=split,
    )


def ids(parts):
    return {part: [case.id for case in members] for part, members in parts.items()}


fractions = st.sampled_from(
    [
        THREE,
        {Split.TRAIN: 0.5, Split.TEST: 0.5},
        {Split.TRAIN: 0.9, Split.TEST: 0.1},
        {Split.TRAIN: 1.0},
        {Split.TEST: 0.34, Split.VALIDATION: 0.33, Split.TRAIN: 0.33},
    ]
)


@st.composite
def pure_cases(draw):
    """Groups of one label each, one to six cases a group."""
    labels = draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=3, max_size=60))
    sizes = draw(st.lists(st.integers(1, 6), min_size=len(labels), max_size=len(labels)))
    rows = [(g, labels[g]) for g, size in enumerate(sizes) for _ in range(size)]
    return [case(number, group, label) for number, (group, label) in enumerate(rows)]


@st.composite
def mixed_cases(draw):
    rows = draw(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcd")), min_size=20, max_size=120)
    )
    cases = [case(number, group, label) for number, (group, label) in enumerate(rows)]
    return cases + [case(1000 + n, f"own {n}", "a") for n in range(3)]


@settings(max_examples=100, deadline=None)
@given(pure_cases() | mixed_cases(), fractions, st.integers(0, 2**32))
def test_parts_share_no_group_and_lose_no_case(cases, wanted, seed):
    parts = split_cases(cases, wanted, seed)
    assert set(parts) == set(wanted)
    assert sorted(name for names in ids(parts).values() for name in names) == [c.id for c in cases]
    assert shared_groups(parts) == []


@settings(max_examples=60, deadline=None)
@given(pure_cases() | mixed_cases(), fractions, st.integers(0, 99), st.randoms())
def test_same_seed_same_parts_in_any_order(cases, wanted, seed, shuffler):
    shuffled = list(cases)
    shuffler.shuffle(shuffled)
    turned = dict(reversed(wanted.items()))
    assert ids(split_cases(cases, wanted, seed)) == ids(split_cases(shuffled, turned, seed))


@settings(max_examples=100, deadline=None)
@given(pure_cases(), fractions, st.integers(0, 99))
def test_a_label_with_enough_groups_is_in_every_part(cases, wanted, seed):
    parts = split_cases(cases, wanted, seed)
    for label in {c.label for c in cases}:
        groups = {c.group for c in cases if c.label == label}
        holding = sum(any(c.label == label for c in members) for members in parts.values())
        assert holding == min(len(groups), len(wanted))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(10, 80), min_size=1),
    fractions,
    st.integers(0, 99),
)
def test_labels_are_spread_in_proportion(sizes, wanted, seed):
    labels = [label for label, size in sizes.items() for _ in range(size)]
    parts = split_cases([case(n, n, label) for n, label in enumerate(labels)], wanted, seed)
    for part, members in parts.items():
        count = Counter(c.label for c in members)
        for label, size in sizes.items():
            assert abs(count[label] - wanted[part] * size) <= 1.5


def test_groups_of_many_sizes_stay_near_the_fractions():
    rng = random.Random(0)
    cases = []
    for group in range(400):
        label = rng.choice("aaaaabbc")
        cases += [case(len(cases) + i, group, label) for i in range(rng.randint(1, 12))]
    parts = split_cases(cases, THREE, 1)
    for part, share in THREE.items():
        assert len(parts[part]) / len(cases) == pytest.approx(share, abs=0.02)
        for label in "abc":
            of_label = [c for c in cases if c.label == label]
            found = sum(c.label == label for c in parts[part])
            assert found / len(of_label) == pytest.approx(share, abs=0.03)


def test_another_seed_gives_other_parts():
    cases = [case(n, n // 2, "ab"[n % 4 // 2]) for n in range(200)]
    results = {str(ids(split_cases(cases, THREE, seed))) for seed in range(5)}
    assert len(results) == 5


def test_the_same_group_name_in_two_data_sets_is_two_groups():
    cases = [case(n, "1", dataset=name) for n, name in enumerate(["x", "y"])]
    parts = split_cases(cases, {Split.TRAIN: 0.5, Split.TEST: 0.5}, 0)
    assert [len(members) for members in parts.values()] == [1, 1]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {Split.TRAIN: 0.5},
        {Split.TRAIN: 1.2, Split.TEST: -0.2},
        {Split.TRAIN: 1.0, Split.TEST: 0.0},
        {Split.TRAIN: float("nan"), Split.TEST: 0.5},
    ],
)
def test_impossible_fractions(wanted):
    with pytest.raises(RecipeError, match="together they must be 1"):
        split_cases([case(n, n) for n in range(9)], wanted, 0)


def test_too_few_groups_and_repeated_ids():
    with pytest.raises(DatasetError, match="2 groups cannot fill 3 parts"):
        split_cases([case(n, n % 2) for n in range(9)], THREE, 0)
    with pytest.raises(DatasetError, match="unique ids") as caught:
        split_cases([case(1, 1), case(1, 2), case(2, 3)], THREE, 0)
    assert caught.value.problems == ("id '00001' of toy appears 2 times",)


def test_the_official_split_is_honoured(caplog):
    cases = [case(3, 1, split=Split.TRAIN), case(1, 2, split=Split.TEST), case(2, 3, split="train")]
    assert ids(official_split(cases)) == {Split.TRAIN: ["00002", "00003"], Split.TEST: ["00001"]}
    assert caplog.text == ""
    parts = official_split([*cases, case(4, 1, split=Split.TEST)])
    assert len(parts[Split.TEST]) == 2
    assert "shares 1 groups" in caplog.text
    assert shared_groups(parts) == [("toy", "1")]


def test_a_partial_official_split_is_refused():
    with pytest.raises(DatasetError, match="1 of 2 cases have no official split") as caught:
        official_split([case(1, 1, split=Split.TRAIN), case(2, 2)])
    assert caught.value.problems == ("00002",)
    with pytest.raises(DatasetError, match="0 of 0"):
        official_split([])
