import math
import random
import subprocess
import sys
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from skingpt_r1.stats import intervals as stats

grades = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=40)


def slow_cluster_bootstrap(values: list[float], groups: list[str], rows: np.ndarray) -> list[float]:
    names = list(dict.fromkeys(groups))
    means = []
    for row in rows:
        drawn = [v for code in row for v, g in zip(values, groups, strict=True) if g == names[code]]
        means.append(sum(drawn) / len(drawn))
    return means


def test_cluster_bootstrap_equals_the_slow_one() -> None:
    generator = random.Random(1)
    values = [generator.random() for _ in range(30)]
    groups = [f"g{generator.randrange(8)}" for _ in values]
    count = len(set(groups))
    rows = np.random.default_rng(5).integers(0, count, size=(200, count))
    means = slow_cluster_bootstrap(values, groups, rows)
    low, high = np.quantile(means, [0.025, 0.975])
    found = stats.bootstrap_mean(values, groups, seed=5, resamples=200)
    assert found == pytest.approx((sum(values) / 30, low, high, 30))
    data = np.array(values)
    same = stats.bootstrap_statistic(
        lambda rows: float(data[rows].mean()), 30, groups, seed=5, resamples=200
    )
    assert same == pytest.approx(found)


def test_groups_widen_the_interval_and_singletons_do_not() -> None:
    values = [0.0] * 50 + [1.0] * 50
    alone = stats.bootstrap_mean(values)
    assert alone == stats.bootstrap_mean(values, list(range(100)))
    grouped = stats.bootstrap_mean(values, [index // 10 for index in range(100)])
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert alone.low < 0.5 < alone.high
    assert not alone.excludes_zero or alone.low > 0


def test_coverage_of_the_bootstrap_is_near_its_level() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        sample = generator.normal(1.0, 2.0, size=60)
        found = stats.bootstrap_mean(sample, seed=seed, resamples=300)
        hits += found.low <= 1.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_share_never_has_a_narrower_interval_than_its_groups_allow(
    cases: list[tuple[bool, int]],
) -> None:
    hits, groups = [float(hit) for hit, _ in cases], [group for _, group in cases]
    found = stats.bootstrap_share(hits, groups, resamples=100)
    plain = stats.bootstrap_mean(hits, groups, resamples=100)
    count = len(set(groups))
    if count == 1:
        assert found == plain
        return
    alone = stats.wilson(round(plain.value * count), count)
    assert found.value == plain.value
    assert found.low == min(plain.low, alone.low, plain.value)
    assert found.high == max(plain.high, alone.high, plain.value)
    assert found.low < found.high
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_paired_difference_is_the_mean_of_differences() -> None:
    first, second = [1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]
    found = stats.paired_difference(first, second)
    assert found == stats.bootstrap_mean([1.0, 0.0, 0.0, 1.0])
    assert stats.paired_difference([2.0] * 5, [1.0] * 5).excludes_zero
    assert stats.paired_difference(second, first).value == -found.value


def test_memory_chunks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(range(20))
    whole = stats.bootstrap_mean(values, resamples=100)
    monkeypatch.setattr(stats, "_CHUNK", 70)
    assert stats.bootstrap_mean(values, resamples=100) == whole


def test_a_statistic_that_is_sometimes_undefined() -> None:
    found = stats.bootstrap_statistic(
        lambda rows: float("nan") if 0 not in rows else float(len(set(rows))), 5, resamples=100
    )
    assert found.value == 5
    with pytest.raises(ValueError, match="not finite"):
        stats.bootstrap_statistic(lambda _: math.nan, 5, resamples=10)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (3, 7), (81, 263)])
def test_wilson_solves_its_equation(successes: int, n: int) -> None:
    # The ends are the shares p at which |successes/n - p| equals z standard errors of p.
    found = stats.wilson(successes, n)
    z = 1.959963984540054
    for end in {found.low, found.high} - {0.0, 1.0}:
        assert abs(successes / n - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n))
    assert found.low <= found.value <= found.high


@given(grades, st.booleans())
@settings(max_examples=60, deadline=None)
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]], weighted: bool) -> None:
    first, second = zip(*pairs, strict=True)
    found = stats.kappa(first, second, categories=6, weighted=weighted)
    if len(set(first) | set(second)) == 1:
        assert math.isnan(found)
        return
    expected = cohen_kappa_score(
        first, second, labels=list(range(6)), weights="quadratic" if weighted else None
    )
    assert found == pytest.approx(expected)


@given(grades)
@settings(max_examples=60, deadline=None)
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    found = stats.spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic)
    slow = sum(abs(a - b) for a, b in pairs) / len(pairs)
    assert stats.mean_absolute_error(first, second) == pytest.approx(slow)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_mcnemar_sums_the_binomial_tail(pairs: list[tuple[bool, bool]]) -> None:
    b = sum(x and not y for x, y in pairs)
    c = sum(y and not x for x, y in pairs)
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    first, second = zip(*pairs, strict=True)
    assert stats.mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_holm_is_the_textbook_procedure(p_values: list[float]) -> None:
    with patch("gc.collect"):  # slow among so many tests
        adjusted = stats.holm(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        assert adjusted[index] == pytest.approx(running)
    assert all(adjusted[i] <= adjusted[j] + 1e-12 for i, j in pairwise(order))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_calibration_error_is_the_weighted_gap(pairs: list[tuple[float, bool]]) -> None:
    total = 0.0
    for index in range(10):
        inside = [(p, c) for p, c in pairs if min(int(p * 10), 9) == index]
        if inside:
            gap = sum(c for _, c in inside) / len(inside) - sum(p for p, _ in inside) / len(inside)
            total += len(inside) / len(pairs) * abs(gap)
    confidences, correct = zip(*pairs, strict=True)
    assert stats.calibration_error(confidences, correct) == pytest.approx(total)


ONE_GROUP = {
    "mean": lambda groups: stats.bootstrap_mean([1.0, 2.0, 4.0], groups),
    "share": lambda groups: stats.bootstrap_share([1.0, 1.0, 0.0], groups),
    "share of all": lambda groups: stats.bootstrap_share([1.0, 1.0, 1.0], groups),
    "difference": lambda groups: stats.paired_difference([1, 2, 4], [1, 1, 1], groups),
    "statistic": lambda groups: stats.bootstrap_statistic(lambda at: float(at.sum()), 3, groups),
    "drawn": lambda groups: stats.percentile_interval(1.0, [0.0, 2.0], 3, len(set(groups))),
}


@pytest.mark.parametrize("name", ONE_GROUP)
def test_one_group_gives_no_interval_and_two_give_one(name: str) -> None:
    alone, two = ONE_GROUP[name](["p"] * 3), ONE_GROUP[name](["p", "p", "q"])
    assert (alone.ends, alone.low, alone.high, alone.n) == (None, None, None, 3)
    assert not alone.excludes_zero
    assert alone.value == two.value
    assert two.low < two.high


def test_one_case_is_one_group_and_many_equal_ones_are_many() -> None:
    assert stats.bootstrap_mean([3.0]) == (3.0, None, None, 1)
    assert stats.bootstrap_mean([3.0, 3.0]) == (3.0, 3.0, 3.0, 2)
    assert stats.bootstrap_share([1.0]) == (1.0, None, None, 1)
    # Wilson's interval is a formula over cases, and nothing is drawn.
    assert stats.wilson(1, 1).low == pytest.approx(0.2065, abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1))
@settings(max_examples=60, deadline=None)
def test_groups_behind_a_column(cases: list[tuple[int, bool, bool]]) -> None:
    groups, *columns = zip(*cases, strict=True)
    found = stats.count_groups(groups, np.column_stack(columns))
    slow = [len({g for g, has in zip(groups, column, strict=True) if has}) for column in columns]
    assert found.tolist() == slow


def test_statistics_of_others_are_loaded_where_they_are_needed() -> None:
    program = (
        "import sys; import skingpt_r1, skingpt_r1.cli.main, skingpt_r1.stats.intervals as s\n"
        "assert not {'statsmodels', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "assert s.mcnemar([1, 1, 0], [0, 1, 1]) == 1.0\n"
        "assert 'statsmodels' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.bootstrap_mean([]),
        lambda: stats.bootstrap_mean([1.0, math.nan]),
        lambda: stats.bootstrap_mean([1.0, 2.0], ["a"]),
        lambda: stats.bootstrap_share([0.0, 0.5]),
        lambda: stats.paired_difference([1.0], [1.0, 2.0]),
        lambda: stats.bootstrap_statistic(float, 0),
        lambda: stats.wilson(3, 2),
        lambda: stats.wilson(0, 0),
        lambda: stats.kappa([0.5], [1]),
        lambda: stats.kappa([7], [1], categories=6),
        lambda: stats.holm([1.5]),
        lambda: stats.calibration_error([1.5], [1]),
    ],
)
def test_impossible_input_is_a_value_error(call: object) -> None:
    with pytest.raises(ValueError):
        call()  # type: ignore[operator]
