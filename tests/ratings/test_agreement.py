"""Agreement of two files and of all raters, against libraries and formulas written out."""

from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn.metrics import cohen_kappa_score

from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.agreement import (
    AGREEMENT_TABLE,
    ALPHA,
    METRICS,
    OVERALL,
    agreement_text,
    draw_bland_altman,
    interval_alpha,
    limits_of_agreement,
    measure_agreement,
    pair_ratings,
    rater_agreement,
    weighted_kappa,
)
from skingpt_r1.ratings.rating import RatedText, Rating, RatingScores
from skingpt_r1.text.rubric import DIMENSIONS, Scores


def judged(name, *verdicts, text="a text", group=None):
    scores = tuple(Scores(tuple(map(float, values))) for values in verdicts)
    return RatedText(name, (), text, group or name, None, scores, unscored=int(not verdicts))


def two_files(count=12, seed=0):
    rng = np.random.default_rng(seed)
    first, second = [], []
    for number in range(count):
        true = rng.uniform(0.5, 4.5, 6)
        first.append(judged(str(number), *(np.clip(true + rng.normal(0, 0.2, (2, 6)), 0, 5))))
        second.append(judged(str(number), np.clip(true + rng.normal(0, 0.3, 6), 0, 5)))
    return first, second


def test_what_only_one_file_has_is_counted():
    first, second = two_files()
    first[0] = judged("0")
    second[1] = judged("1")
    pairs = pair_ratings(
        [*first, judged("x", (1,) * 6)], [*second, judged("y", (1,) * 6), judged("z")]
    )
    assert (pairs.only_first, pairs.only_second) == (1, 2)
    assert (pairs.unscored_first, pairs.unscored_second) == (1, 1)
    assert len(pairs.ids) == 10


def test_files_without_a_common_narrative():
    with pytest.raises(RecordError, match="1 and 1 narratives, 0 ids in common"):
        pair_ratings([judged("a", (1,) * 6)], [judged("b", (1,) * 6)])


def test_one_id_with_two_texts():
    with pytest.raises(RecordError, match="another text in the second file: a"):
        pair_ratings([judged("a", (1,) * 6)], [judged("a", (1,) * 6, text="other")])


def test_the_table_is_that_of_the_libraries():
    pairs = pair_ratings(*two_files(40))
    rows = {(row.system, row.metric): row for row in measure_agreement(pairs, resamples=100)}
    assert len(rows) == 7 * len(METRICS)
    for place, name in enumerate((*DIMENSIONS, OVERALL)):
        a, b = pairs.first[:, place], pairs.second[:, place]
        assert rows[name, "mean absolute error"].value == pytest.approx(np.abs(a - b).mean())
        assert rows[name, "Spearman"].value == pytest.approx(scipy_stats.spearmanr(a, b).statistic)
        assert rows[name, "bias"].value == pytest.approx((a - b).mean())
        row = rows[name, ALPHA]
        assert row.low <= row.value <= row.high
        assert row.n == 40
    assert pairs.first[:, -1] == pytest.approx(pairs.first[:, :-1].mean(axis=1))


def test_the_weighted_kappa_is_that_of_the_library():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 11, 60) / 2
    b = np.clip(a + rng.integers(-2, 3, 60) / 2, 0, 5)
    library = cohen_kappa_score((a * 2).astype(int), (b * 2).astype(int), weights="quadratic")
    assert weighted_kappa(a, b) == pytest.approx(library)


def test_the_alpha_of_a_written_out_example():
    """Interval alpha by its definition: 1 - observed / expected mean squared difference."""
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.5, 3.0, 5.0])
    pooled = np.concatenate([a, b])
    n = len(pooled)
    observed = 2 * ((a - b) ** 2).sum() / n
    expected = ((pooled[:, None] - pooled[None]) ** 2).sum() / (n * (n - 1))
    assert interval_alpha(np.stack([a, b])) == pytest.approx(1 - observed / expected)
    assert np.isnan(interval_alpha(np.ones((2, 3))))


def test_measures_that_are_not_defined_have_no_row():
    same = [judged(str(number), (3,) * 6) for number in range(3)]
    rows = measure_agreement(pair_ratings(same, same), resamples=100)
    assert {row.metric for row in rows} == {"mean absolute error", "bias"}


def test_limits_of_agreement():
    middle, low, high = limits_of_agreement(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0]))
    assert (middle, low, high) == pytest.approx((0.0, -1.96, 1.96))
    assert limits_of_agreement(np.array([1.0]), np.array([0.5])) == (0.5, 0.5, 0.5)


def test_the_picture_is_a_png_and_repeats(tmp_path):
    pairs = pair_ratings(*two_files())
    for name in ("a", "b"):
        draw_bland_altman(pairs, tmp_path / name / "p.png", ("one", "two"))
    first = (tmp_path / "a" / "p.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "b" / "p.png").read_bytes()


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
