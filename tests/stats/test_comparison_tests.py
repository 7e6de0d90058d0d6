"""Pairs, ranks and Holm: a difference is shown where there is one, and only there."""

import numpy as np
import pytest

from skingpt_r1.stats import comparison as comparison_tests
from skingpt_r1.stats.comparison import (
    ALPHA,
    SystemValues,
    bootstrap_p_value,
    compare_pairs,
    means,
    ranks,
)
from skingpt_r1.stats.intervals import Bootstrap, bootstrap_mean, holm, mcnemar, paired_difference

BOOT = Bootstrap(seed=1, resamples=400)
NAMES = ("good", "same", "bad")


@pytest.fixture
def table() -> SystemValues:
    generator = np.random.default_rng(0)
    base = generator.normal(3, 0.5, 120)
    values = np.column_stack([base + 1, base + 1 + generator.normal(0, 0.1, 120), base])
    return SystemValues(NAMES, values, [f"g{number // 2}" for number in range(120)])


def test_means_and_differences_are_those_of_the_slow_functions(table: SystemValues) -> None:
    found = means(table, BOOT)
    for place, name in enumerate(NAMES):
        slow = bootstrap_mean(table.values[:, place], table.groups, **BOOT._asdict())
        assert found[name] == pytest.approx(slow)
    pairs = {(item.first, item.second): item for item in compare_pairs(table, BOOT)}
    assert set(pairs) == {("good", "same"), ("good", "bad"), ("same", "bad")}
    slow = paired_difference(table.values[:, 0], table.values[:, 2], table.groups, **BOOT._asdict())
    assert pairs["good", "bad"].difference == pytest.approx(slow)
    assert pairs["good", "bad"].p_holm < ALPHA
    assert pairs["good", "bad"].test == "paired bootstrap"
    assert pairs["good", "same"].p_holm >= ALPHA


def test_values_of_one_group_have_no_interval_though_the_table_has_many(
    table: SystemValues,
) -> None:
    values = table.values.copy()
    values[2:, 1] = np.nan  # "same" is scored on the two pictures of g0 alone
    few = table._replace(values=values)
    for measure in (means, ranks):
        found = measure(few, BOOT)
        assert [found[name].ends is None for name in NAMES] == [False, True, False]
        assert found["same"].n == 2
    pairs = {(item.first, item.second): item for item in compare_pairs(few, BOOT)}
    alone = pairs["good", "same"]
    assert (alone.difference.ends, alone.difference.n, alone.p) == (None, 2, 1.0)
    assert alone.p_holm >= ALPHA > pairs["good", "bad"].p_holm


def test_holm_over_all_pairs(table: SystemValues) -> None:
    pairs = compare_pairs(table, BOOT)
    expected = holm([item.p for item in pairs])
    assert [item.p_holm for item in pairs] == pytest.approx(expected.tolist())


def test_right_and_wrong_by_the_exact_test_of_mcnemar(table: SystemValues) -> None:
    right = (table.values > 3.5).astype(float)
    alone = SystemValues(NAMES, right, [str(number) for number in range(120)])
    (first, *_) = compare_pairs(alone, BOOT, baseline="bad", binary=True)
    assert (first.first, first.second, first.test) == ("good", "bad", "exact McNemar")
    assert first.p == pytest.approx(mcnemar(right[:, 0], right[:, 2]))
    grouped = compare_pairs(alone._replace(groups=table.groups), BOOT, binary=True)
    assert {item.test for item in grouped} == {"paired bootstrap"}


def test_ranks_have_intervals_and_ties_share_a_place(table: SystemValues) -> None:
    found = ranks(table, BOOT)
    assert found["bad"] == (3, 3, 3, 120)
    assert {found["good"].value, found["same"].value} == {1, 2}
    assert found["good"].low == 1
    assert found["good"].high == 2
    tied = ranks(table._replace(values=np.ones((120, 3))), BOOT)
    assert [tied[name].value for name in NAMES] == [2, 2, 2]


def test_what_is_unscored_takes_no_part(table: SystemValues) -> None:
    values = table.values.copy()
    values[:30, 0] = np.nan
    values[:, 1] = np.nan
    partial = table._replace(values=values)
    found = means(partial, BOOT)
    assert found["good"].n == 90
    assert found["good"].value == pytest.approx(values[30:, 0].mean())
    assert found["same"] is None
    assert ranks(partial, BOOT)["same"] is None
    assert ranks(partial, BOOT)["good"].value == 1
    (pair,) = compare_pairs(partial, BOOT)
    assert (pair.first, pair.second, pair.difference.n) == ("good", "bad", 90)
    nothing = partial._replace(values=np.full((120, 3), np.nan))
    assert compare_pairs(nothing, BOOT) == []
    assert ranks(nothing, BOOT) == dict.fromkeys(NAMES)


def test_p_values_under_no_difference_are_spread_evenly(monkeypatch) -> None:
    # The correction is not looked at, and the library collects garbage in every call.
    monkeypatch.setattr(comparison_tests, "holm", list)
    small = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        values = generator.normal(size=(60, 2))
        groups = [str(number) for number in range(60)]
        (pair,) = compare_pairs(SystemValues(("a", "b"), values, groups), Bootstrap(seed, 200))
        small += pair.p < 0.05
    assert 2 <= small <= 22


def test_p_value_of_resamples_on_both_sides() -> None:
    assert bootstrap_p_value(0.1, np.array([-0.1, *[0.1] * 98]), 50) == pytest.approx(4 / 100)
    assert bootstrap_p_value(0.0, np.zeros(99), 50) == 1.0


def test_more_resamples_are_not_needed_for_a_clear_difference(table: SystemValues) -> None:
    few = compare_pairs(table, Bootstrap(0, 50))[1]
    many = compare_pairs(table, Bootstrap(0, 4000))[1]
    assert (few.first, few.second) == ("good", "bad")
    assert few.p < 1e-6
    assert many.p < 1e-6


def test_few_groups_show_nothing_however_large_the_difference() -> None:
    values = np.array([[1.0, 0.0], [1.0, 0.0], [0.9, 0.0]])
    (pair,) = compare_pairs(SystemValues(("a", "b"), values, list("xyz")), BOOT)
    assert pair.p == pytest.approx(0.25)
    (one,) = compare_pairs(SystemValues(("a", "b"), values, ["x"] * 3), BOOT)
    assert one.p == 1.0
