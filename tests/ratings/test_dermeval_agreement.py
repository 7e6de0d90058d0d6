"""Agreement of two files against libraries and examples; nothing is dropped in silence."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn.metrics import cohen_kappa_score

from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.agreement import (
    ALPHA,
    METRICS,
    OVERALL,
    draw_bland_altman,
    interval_alpha,
    limits_of_agreement,
    measure_agreement,
    pair_ratings,
    weighted_kappa,
)
from skingpt_r1.ratings.rating import Judged
from skingpt_r1.text.rubric import DIMENSIONS, Scores


def judged(name, *verdicts, text="a text", group=None):
    scores = tuple(Scores(tuple(map(float, values))) for values in verdicts)
    return Judged(name, (), text, group or name, None, scores, unscored=int(not verdicts))


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
