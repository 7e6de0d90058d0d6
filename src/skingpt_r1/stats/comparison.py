"""Systems against each other on the same cases: intervals, ranks and paired tests with Holm.

A value that is missing (unscored) is NaN: it takes no part in means, and a pair of systems is
compared on the cases where both have a value. How many there are is said beside every number.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from skingpt_r1.stats.intervals import (
    Bootstrap,
    Floats,
    Interval,
    count_groups,
    holm,
    mcnemar,
    percentile_interval,
    ratio,
    resampled_sums,
)

ALPHA = 0.05  # a smaller adjusted p-value is shown as a difference
Test = Literal["paired bootstrap", "exact McNemar"]


class SystemValues(NamedTuple):
    """One metric of several systems on the same cases: `[n, systems]`, NaN where there is none."""

    systems: Sequence[str]
    values: Floats
    groups: Sequence[str]


class Comparison(NamedTuple):
    """Two systems: mean of `first - second` over the cases where both have a value.

    `p` is that of the test alone, `p_holm` is corrected for all pairs of the table.
    """

    first: str
    second: str
    difference: Interval
    test: Test
    p: float
    p_holm: float


def means(table: SystemValues, boot: Bootstrap) -> dict[str, Interval | None]:
    """The mean of each system over its own values; None where it has none."""
    value, drawn = _means(table, boot)
    counts, num_groups = _sizes(table)
    return {
        name: percentile_interval(float(value[0, n]), drawn[:, n], counts[n], num_groups[n])
        for n, name in enumerate(table.systems)
    }


def ranks(table: SystemValues, boot: Bootstrap) -> dict[str, Interval | None]:
    """The place of each system by its mean, 1 the largest, ties at their mean place.

    In each resample the systems are ranked anew. A system without values has no rank.
    """
    value, drawn = _means(table, boot)
    kept = np.isfinite(value[0])
    if not kept.any():
        return dict.fromkeys(table.systems)
    here, resampled = (scipy_stats.rankdata(-means[:, kept], axis=1) for means in (value, drawn))
    found: dict[str, Interval | None] = dict.fromkeys(table.systems)
    counts, num_groups = _sizes(table)
    for place, n in enumerate(np.flatnonzero(kept).tolist()):
        found[table.systems[n]] = percentile_interval(
            float(here[0, place]), resampled[:, place], counts[n], num_groups[n]
        )
    return found


def compare_pairs(
    table: SystemValues, boot: Bootstrap, *, baseline: str | None = None, binary: bool = False
) -> list[Comparison]:
    """Every pair of systems, with Holm's correction over the pairs of this call.

    Right and wrong answers are compared by the exact test of McNemar where no two cases share a
    group; else, and for scores, by the paired bootstrap over groups, see `bootstrap_p_value`.

    With a `baseline` every other system is compared with it alone, as `other - baseline`; `binary`
    values are right (1) or wrong (0).
    """
    pairs = _pairs(table.systems, baseline)
    columns, kept = [], []
    for first, second in pairs:
        gap = table.values[:, first] - table.values[:, second]
        both = np.isfinite(gap)
        kept.append(both)
        columns += [np.where(both, gap, 0.0), both.astype(np.float64)]
    compared = [n for n, both in enumerate(kept) if both.any()]
    if not compared:
        return []
    sums = resampled_sums(np.column_stack(columns), table.groups, **boot._asdict())
    owners = np.asarray(table.groups)
    exact = binary and len(set(table.groups)) == len(table.groups)
    rows = []
    for n in compared:
        first, second = pairs[n]
        gap = ratio(sums[:, 2 * n], sums[:, 2 * n + 1])
        value = float(columns[2 * n].sum() / kept[n].sum())
        num_groups = len(set(owners[kept[n]]))
        difference = percentile_interval(value, gap, int(kept[n].sum()), num_groups)
        assert difference is not None
        one, two = (table.values[kept[n], place] for place in (first, second))
        p = mcnemar(one, two) if exact else bootstrap_p_value(value, gap, num_groups)
        rows.append((table.systems[first], table.systems[second], difference, p))
    adjusted = holm([p for *_, p in rows])
    test: Test = "exact McNemar" if exact else "paired bootstrap"
    return [
        Comparison(first, second, difference, test, p, float(corrected))
        for (first, second, difference, p), corrected in zip(rows, adjusted, strict=True)
    ]


def bootstrap_p_value(value: float, drawn: Floats, num_groups: int) -> float:
    """Two-sided p-value of a difference from its resampled values.

    Twice the share of resamples on the far side of zero. Where none is there, the share says no
    more than the number of resamples does, and Student's t with the bootstrap's standard error
    takes its place. Never below `2 ** (1 - groups)`, what a test by changes of sign could reach.
    """
    values = drawn[np.isfinite(drawn)]
    far = min((values <= 0).sum(), (values >= 0).sum()) + 1
    p = 2 * far / (len(values) + 1)
    if far == 1 and num_groups > 1:
        # The bootstrap's spread is that of a variance divided by groups, not by groups - 1.
        error = float(values.std()) * np.sqrt(num_groups / (num_groups - 1))
        p = 2 * float(scipy_stats.t.sf(abs(value) / error, num_groups - 1)) if error else 0.0
    return float(min(1.0, max(p, 2.0 ** (1 - min(num_groups, 1000)))))


def _means(table: SystemValues, boot: Bootstrap) -> tuple[Floats, Floats]:
    """`[1, systems]` and `[resamples, systems]`."""
    known = np.isfinite(table.values)
    columns = np.column_stack([np.where(known, table.values, 0.0), known.astype(np.float64)])
    drawn = resampled_sums(columns, table.groups, **boot._asdict())
    one, many = (ratio(*np.split(sums, 2, axis=1)) for sums in (columns.sum(axis=0)[None], drawn))
    return one, many


def _sizes(table: SystemValues) -> tuple[list[int], list[int]]:
    """For each system the cases with a value, and the groups that these are of."""
    known = np.isfinite(table.values)
    counts: list[int] = known.sum(axis=0).tolist()
    return counts, count_groups(table.groups, known).tolist()


def _pairs(systems: Sequence[str], baseline: str | None) -> list[tuple[int, int]]:
    if baseline is None:
        return list(combinations(range(len(systems)), 2))
    other = list(systems).index(baseline)
    return [(place, other) for place in range(len(systems)) if place != other]
