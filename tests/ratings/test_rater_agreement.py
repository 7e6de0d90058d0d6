"""Agreement of raters, against formulas written out."""

from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.ratings.agreement import (
    AGREEMENT_TABLE,
    OVERALL,
    agreement_text,
    interval_alpha,
    rater_agreement,
)
from skingpt_r1.ratings.rating import Rating, RatingScores
from skingpt_r1.text.rubric import DIMENSIONS

SCORE = st.integers(0, 50).map(lambda n: n / 10)


def ratings(table: list[list[float | None]]) -> list[list[Rating]]:
    """One row for each rater, one column for each case; all dimensions alike."""
    return [
        [
            Rating(id=str(case), rater=f"r{rater}", scores=RatingScores.of((row[case],) * 6))
            for rater, row in enumerate(table)
            if row[case] is not None
        ]
        for case in range(len(table[0]))
    ]


def slow_alpha(table: list[list[float | None]]) -> float:
    """Krippendorff's alpha with interval distance, by its definition."""
    units = [[row[c] for row in table if row[c] is not None] for c in range(len(table[0]))]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    n = len(values)
    observed = (
        sum(sum((a - b) ** 2 for a in unit for b in unit) / (len(unit) - 1) for unit in units) / n
    )
    expected = sum((a - b) ** 2 for a in values for b in values) / (n * (n - 1))
    return 1 - observed / expected


def slow_kappa(pairs: list[tuple[float, float]]) -> float:
    halves = [(int(2 * a + 0.5 + 1e-9), int(2 * b + 0.5 + 1e-9)) for a, b in pairs]
    both = [*halves, *((b, a) for a, b in halves)]
    observed = np.mean([(a - b) ** 2 for a, b in both])
    expected = np.mean([(a - d) ** 2 for a, _ in both for _, d in both])
    return float(1 - observed / expected)


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.one_of(st.none(), SCORE), min_size=4, max_size=4), min_size=2, max_size=4)
)
def test_against_the_definitions(table: list[list[float | None]]) -> None:
    found = {(row.system, row.metric): row for row in rater_agreement(ratings(table))}
    pairs = [
        (a[c], b[c])
        for a, b in combinations(table, 2)
        for c in range(4)
        if a[c] is not None and b[c] is not None
    ]
    if not pairs:
        assert not found
        return
    assert {system for system, _ in found} == {*DIMENSIONS, OVERALL}
    assert {row.n for row in found.values()} == {len(pairs)}
    error = found["Safety", "MAE"].value
    assert error == pytest.approx(np.mean([abs(a - b) for a, b in pairs]))
    if row := found.get(("Safety", "weighted kappa")):
        assert row.value == pytest.approx(slow_kappa(pairs))
    if row := found.get(("Safety", "alpha")):
        assert row.value == pytest.approx(slow_alpha(table))
    assert found[OVERALL, "MAE"].value == pytest.approx(error)


def of_accuracy(table: list[list[float | None]]) -> dict[str, float]:
    rows = rater_agreement(ratings(table))
    return {row.metric: row.value for row in rows if row.system == "Accuracy"}


def test_perfect_and_no_agreement() -> None:
    same = of_accuracy([[1.0, 3.0, 5.0], [1.0, 3.0, 5.0]])
    assert same == {"MAE": 0, "weighted kappa": 1, "alpha": 1}
    assert of_accuracy([[4.0, 4.0], [4.0, 4.0]]) == {"MAE": 0}
    assert of_accuracy([[1.0, 5.0], [5.0, 1.0]])["weighted kappa"] < 0


def test_table_and_text() -> None:
    rows = rater_agreement(ratings([[1.0, 3.0, 5.0], [2.0, 3.0, 5.0]]))
    assert len(rows) == 3 * 7
    assert {row.table for row in rows} == {AGREEMENT_TABLE}
    assert {row.n for row in rows} == {3}
    assert "Accuracy" in agreement_text(rows)
    assert rater_agreement([]) == []
    assert agreement_text([]).count("-") >= 21


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda raters: st.lists(
            st.lists(st.none() | SCORE, min_size=raters, max_size=raters), min_size=2, max_size=9
        )
    )
)
def test_alpha_is_the_library_s(cases):
    table = np.array(cases, dtype=float).T
    rated = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    found = interval_alpha(table)
    if not rated.size or np.nanmin(rated) == np.nanmax(rated):
        assert np.isnan(found)
    else:
        wanted = krippendorff.alpha(table, level_of_measurement="interval")
        assert found == pytest.approx(wanted, abs=1e-9)
