"""Bootstrap intervals, paired tests, agreement of two raters and calibration.

Cases of one patient or lesion are not independent: functions that take `groups` resample whole
groups, and one group alone gives no interval. What is resampled depends on the seed alone.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from skingpt_r1.records import ResultRow

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NO_INTERVAL = "one group: no interval"  # stands in tables in the place of the ends
_TAILS = (0.5 - 0.95 / 2, 0.5 + 0.95 / 2)  # outside them the interval ends
_CHUNK = 4_000_000  # index entries held at once while resampling


class Interval(NamedTuple):
    """A number with its confidence interval."""

    value: float  # the estimate on the data itself
    low: float | None  # lower end; None, with `high`, where all observations are of one group
    high: float | None  # upper end
    n: int  # number of observations

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and the whole of it lies on one side of zero."""
        return self.ends is not None and (self.ends[0] > 0 or self.ends[1] < 0)

    def row(self, table: str, system: str, metric: str) -> ResultRow:
        """As `results.json` has it."""
        return ResultRow(
            table=table, system=system, metric=metric,
            value=self.value, low=self.low, high=self.high, n=self.n,
        )  # fmt: skip


class Bootstrap(NamedTuple):
    """How intervals are drawn: equal seeds give equal intervals."""

    seed: int = 0
    resamples: int = 2000


def per_cent(value: float, low: float | None, high: float | None) -> str:
    """`51.6 (45.9 to 57.2)`."""
    ends = NO_INTERVAL if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    return f"{100 * value:.1f} ({ends})"


def bootstrap_mean(
    values: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Mean with a percentile bootstrap interval; groups are resampled whole when given.

    Raises:
        ValueError: no values, a value that is not finite, or groups of another length.
    """
    data = _vector(values)
    codes, count = _codes(groups, len(data))
    sums = np.bincount(codes, weights=data, minlength=count)
    sizes = np.bincount(codes, minlength=count).astype(np.float64)
    means = np.empty(resamples)
    for begin, chosen in _draws(count, resamples, seed):
        means[begin : begin + len(chosen)] = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    return _interval(float(data.mean()), means, len(data), count)


def bootstrap_share(
    hits: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Share of hits with the wider interval of `bootstrap_mean`'s and Wilson's over the groups.

    Raises:
        ValueError: as `bootstrap_mean`, or a value that is neither 0 nor 1.
    """
    if not np.isin(hits, (0.0, 1.0)).all():
        raise ValueError("hits must be 0 or 1; use bootstrap_mean for other values")
    found = bootstrap_mean(hits, groups, seed=seed, resamples=resamples)
    if found.ends is None:
        return found
    # Resampling hits that are all 0 or all 1 gives an interval without width.
    count = _codes(groups, found.n)[1]
    wide = wilson(round(found.value * count), count)
    ends = [*found.ends, *(wide.ends or ()), found.value]
    return Interval(found.value, min(ends), max(ends), found.n)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Mean of `first - second` on the same cases, with its bootstrap interval.

    Raises:
        ValueError: as `bootstrap_mean`, or the two have different lengths.
    """
    a, b = _vector(first), _vector(second)
    if len(a) != len(b):
        raise ValueError(f"paired values must have one length, not {len(a)} and {len(b)}")
    return bootstrap_mean(a - b, groups, seed=seed, resamples=resamples)


def bootstrap_statistic(
    statistic: Callable[[Integers], float],
    n: int,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Percentile bootstrap interval of any statistic of the case indices.

    `statistic` maps an index array, with repetitions, to a number; a resample where it is not
    finite (a class missing, say) is left out.

    Raises:
        ValueError: no cases, groups of another length, or no resample gave a finite number.
    """
    codes, count = _codes(groups, n)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    drawn = [
        statistic(np.concatenate([members[code] for code in row]))
        for _, chosen in _draws(count, resamples, seed)
        for row in chosen
    ]
    finite = np.array(drawn, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        raise ValueError("the statistic was not finite on any resample")
    return _interval(float(statistic(np.arange(n))), finite, n, count)


def bootstrap_weights(
    n: int, groups: Sequence[Hashable] | None = None, *, seed: int = 0, resamples: int = 2000
) -> Iterator[Floats]:
    """How often each resample draws each case: blocks `[some resamples, n]`, `resamples` in all.

    The draws are those of `bootstrap_mean` with the same groups and seed, so that many statistics
    of the same cases can share them.

    Raises:
        ValueError: no cases, or groups of another length.
    """
    codes, count = _codes(groups, n)
    step = max(1, _CHUNK // n)
    for _, block in _draws(count, resamples, seed):
        for begin in range(0, len(block), step):
            chosen = block[begin : begin + step]
            shifted = chosen + np.arange(len(chosen))[:, None] * count
            drawn = np.bincount(shifted.ravel(), minlength=len(chosen) * count)
            yield drawn.astype(np.float64).reshape(len(chosen), count)[:, codes]


def resampled_sums(
    columns: Floats,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Floats:
    """`[resamples, k]`: the sums of the columns `[n, k]` in each resample of the bootstrap.

    Whatever depends on the cases through sums alone (shares, recalls, differences, ranks) has its
    interval from here at the price of one matrix product.

    Raises:
        ValueError: no cases, or groups of another length.
    """
    codes, count = _codes(groups, len(columns))
    by_group = np.zeros((count, columns.shape[1]))
    np.add.at(by_group, codes, columns)
    blocks = bootstrap_weights(count, seed=seed, resamples=resamples)
    return np.concatenate([block @ by_group for block in blocks])


def percentile_interval(value: float, drawn: ArrayLike, n: int, num_groups: int) -> Interval | None:
    """The interval of a statistic from its resampled values; None when it is nowhere finite.

    Resampled values that are not finite (a class missing, say) are left out. `num_groups` are
    those that the statistic rests on, see `count_groups`; one gives no interval.
    """
    values = np.asarray(drawn, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite) or not np.isfinite(value):
        return None
    return _interval(value, finite, n, num_groups)


def ratio(part: Floats, whole: Floats) -> Floats:
    """`part / whole`; NaN where the whole is not positive."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def count_groups(groups: Sequence[Hashable], present: ArrayLike) -> Integers:
    """`[k]`: in how many groups each column of `present` `[n, k]` has a case (is not 0)."""
    cases, columns = np.nonzero(np.asarray(present))
    codes, count = _codes(groups, len(groups))
    met = np.unique(codes[cases] + count * columns)
    return np.bincount(met // count, minlength=np.shape(present)[1])


def wilson(successes: int, n: int) -> Interval:
    """Share of successes with the Wilson score interval.

    Raises:
        ValueError: n is not positive or successes lie outside 0..n.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} is not a share; needs 0 <= successes <= n")
    z = float(scipy_stats.norm.ppf(_TAILS[1]))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return Interval(share, low, high, n)


def kappa(
    first: ArrayLike, second: ArrayLike, *, categories: int | None = None, weighted: bool = True
) -> float:
    """Cohen's kappa of two raters, quadratically weighted by default.

    Categories are integers from 0; `categories` is their number, the largest value + 1 by default.
    NaN when both raters always use one category.

    Raises:
        ValueError: empty, different lengths, or categories that are not integers from 0.
    """
    a, b = _categories(first), _categories(second)
    _same_length(a.tolist(), b.tolist())
    top = int(max(a.max(), b.max()))
    if top >= (k := categories or top + 1):
        raise ValueError(f"category {top} is outside 0..{k - 1}")
    if len({*a.tolist(), *b.tolist()}) == 1:
        return float("nan")
    from statsmodels.stats.inter_rater import cohens_kappa

    observed = np.zeros((k, k))
    np.add.at(observed, (a, b), 1.0)
    kind = "quadratic" if weighted else None
    return float(cohens_kappa(observed, wt=kind, return_results=False))


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN when one side is constant.

    Raises:
        ValueError: empty, different lengths or a value that is not finite.
    """
    a, b = _vector(first), _vector(second)
    _same_length(a.tolist(), b.tolist())
    ranks_a = scipy_stats.rankdata(a) - (len(a) + 1) / 2
    ranks_b = scipy_stats.rankdata(b) - (len(b) + 1) / 2
    scale = float(np.sqrt((ranks_a**2).sum() * (ranks_b**2).sum()))
    return float((ranks_a * ranks_b).sum()) / scale if scale else float("nan")


def mean_absolute_error(first: ArrayLike, second: ArrayLike) -> float:
    """Mean of `|first - second|`.

    Raises:
        ValueError: empty, different lengths or a value that is not finite.
    """
    a, b = _vector(first), _vector(second)
    _same_length(a.tolist(), b.tolist())
    return float(np.abs(a - b).mean())


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided p-value of McNemar's test on paired right/wrong answers.

    Raises:
        ValueError: empty or different lengths.
    """
    a, b = _vector(first).astype(bool), _vector(second).astype(bool)
    _same_length(a.tolist(), b.tolist())
    from statsmodels.stats.contingency_tables import mcnemar as exact_test

    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    return float(exact_test(table, exact=True).pvalue)


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjustment of p-values for several tests, in the order given.

    Raises:
        ValueError: empty, or a value outside 0..1.
    """
    p = _vector(p_values)
    if p.min() < 0 or p.max() > 1:
        raise ValueError("p-values must lie in 0..1")
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p, method="holm")[1])


def calibration_error(confidences: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins; a confidence of 1 is in the last bin.

    Raises:
        ValueError: empty, different lengths, or a confidence outside 0..1.
    """
    confidence, right = _vector(confidences), _vector(correct)
    _same_length(confidence.tolist(), right.tolist())
    if confidence.min() < 0 or confidence.max() > 1:
        raise ValueError("confidences must lie in 0..1")
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _vector(values: ArrayLike) -> Floats:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not len(data):
        raise ValueError(f"expected a non-empty list of numbers, not shape {data.shape}")
    if not np.isfinite(data).all():
        raise ValueError("a value is not finite; leave out what is unscored, and count it")
    return data


def _categories(values: ArrayLike) -> Integers:
    data = _vector(values)
    whole = data.astype(np.int64)
    if (whole != data).any() or whole.min() < 0:
        raise ValueError("categories must be whole numbers from 0")
    return whole


def _same_length(first: Sequence[object], second: Sequence[object]) -> None:
    if len(first) != len(second) or not len(first):
        raise ValueError(f"need two lists of one length above 0, not {len(first)}, {len(second)}")


def _codes(groups: Sequence[Hashable] | None, n: int) -> tuple[Integers, int]:
    if n < 1:
        raise ValueError("no cases to resample")
    if groups is None:
        return np.arange(n, dtype=np.int64), n
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} cases; every case needs its group")
    place: dict[Hashable, int] = {}
    codes = [place.setdefault(group, len(place)) for group in groups]
    return np.array(codes, dtype=np.int64), len(place)


def _draws(count: int, resamples: int, seed: int) -> Iterator[tuple[int, Integers]]:
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // count)
    for begin in range(0, resamples, step):
        yield begin, generator.integers(0, count, size=(min(step, resamples - begin), count))


def _interval(value: float, drawn: Floats, n: int, num_groups: int) -> Interval:
    if num_groups < 2:
        return Interval(value, None, None, n)
    low, high = np.quantile(drawn, _TAILS)
    return Interval(value, float(low), float(high), n)
