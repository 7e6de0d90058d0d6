"""How far raters agree, for each dimension and for the mean: pairs of raters on the same cases."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skingpt_r1.ratings.verdict import PROTOCOL, Rating
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import kappa, mean_absolute_error
from skingpt_r1.text.rubric import DIMENSIONS

AGREEMENT_TABLE = "agreement of raters"
OVERALL = "Overall"
# Kappa needs classes: scores rounded to half points, as in `skingpt dermeval agree`.
_STEP = 0.5
_CLASSES = round(PROTOCOL.high / _STEP) + 1

Floats = NDArray[np.float64]


class Agreement(NamedTuple):
    """Agreement in one dimension, or in the mean of the six.

    Attributes:
        name: a dimension, or `Overall`.
        pairs: number of (case, two raters).
        error: mean absolute difference of the two; None without pairs.
        kappa: quadratic-weighted, of all pairs in both orders; None where it is not defined.
        alpha: Krippendorff's, interval distance; None where it is not defined.
    """

    name: str
    pairs: int
    error: float | None
    kappa: float | None
    alpha: float | None


def rater_agreement(ratings: Iterable[Sequence[Rating]]) -> list[Agreement]:
    """Agreement in every dimension and overall.

    Args:
        ratings: of each case, one of each of its raters; cases with one rater say nothing.
    """
    cases = [tuple(rated) for rated in ratings if len(rated) > 1]
    raters = sorted({rating.rater for rated in cases for rating in rated})
    tables = {name: np.full((len(raters), len(cases)), np.nan) for name in (*DIMENSIONS, OVERALL)}
    place = {name: row for row, name in enumerate(raters)}
    for column, rated in enumerate(cases):
        for rating in rated:
            for name, score in zip(DIMENSIONS, rating.scores, strict=True):
                tables[name][place[rating.rater], column] = score
            tables[OVERALL][place[rating.rater], column] = rating.mean
    return [_agreement(name, table) for name, table in tables.items()]


def agreement_rows(found: Sequence[Agreement]) -> Iterator[ResultRow]:
    """Agreement as rows of `results.json`; what is not defined has no row."""
    for item in found:
        measures = {"MAE": item.error, "weighted kappa": item.kappa, "alpha": item.alpha}
        for metric, value in measures.items():
            if value is not None:
                yield ResultRow(
                    table=AGREEMENT_TABLE,
                    system=item.name,
                    metric=metric,
                    value=float(value),
                    n=item.pairs,
                )


def agreement_text(found: Sequence[Agreement]) -> str:
    """A table for people; a dash where a measure is not defined."""
    lines = [f"{'':<24}{'pairs':>8}{'MAE':>8}{'kappa':>8}{'alpha':>8}"]
    lines += [
        f"{item.name:<24}{item.pairs:>8,}"
        + "".join(_cell(value) for value in (item.error, item.kappa, item.alpha))
        for item in found
    ]
    return "\n".join(lines)


def ratings_by_case(ratings: Mapping[str, Mapping[str, Rating]]) -> list[list[Rating]]:
    """The current ratings of every case, as `rater_agreement` wants them."""
    return [list(of_case.values()) for of_case in ratings.values()]


def _cell(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:>8.3f}"


def _agreement(name: str, table: Floats) -> Agreement:
    pairs = [
        np.column_stack([table[a], table[b]])[~np.isnan(table[a] + table[b])]
        for a, b in combinations(range(len(table)), 2)
    ]
    both = np.concatenate(pairs) if pairs else np.empty((0, 2))
    if not len(both):
        return Agreement(name, 0, None, None, None)
    error = mean_absolute_error(both[:, 0], both[:, 1])
    # Both orders, as no rater of a pair is the first one.
    classes = np.floor(np.concatenate([both, both[:, ::-1]]) / _STEP + 0.5 + 1e-9)
    weighted = kappa(classes[:, 0], classes[:, 1], categories=_CLASSES)
    return Agreement(name, len(both), error, _defined(weighted), interval_alpha(table))


def interval_alpha(table: Floats) -> float | None:
    """Krippendorff's alpha with interval distance, in memory that does not grow with the cases.

    `1 - D_o / D_e`: the mean squared difference of two ratings of one case over that of any two
    ratings. The library, which the tests compare with, keeps a table of all values for each case.

    Args:
        table: [raters, cases], NaN where a rater did not rate.

    Returns:
        None where it is not defined: no case with two ratings, or no variation.

    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section F.
    """
    counts = (~np.isnan(table)).sum(axis=0)
    values, counts = table[:, counts > 1], counts[counts > 1]
    total = int(counts.sum())
    if not total or np.nanmin(values) == np.nanmax(values):
        return None
    # Differences do not depend on the origin, and squares of small numbers lose less.
    values = values - np.nanmean(values)
    within = counts * np.nansum(values**2, axis=0) - np.nansum(values, axis=0) ** 2
    observed = float((within / (counts - 1)).sum()) / total
    expected = float(np.nansum(values**2) - np.nansum(values) ** 2 / total) / (total - 1)
    return 1 - observed / expected


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
