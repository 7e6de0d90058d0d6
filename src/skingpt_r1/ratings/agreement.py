"""How far two rating files agree: error, rank, weighted kappa and Krippendorff's alpha.

Each file is reduced to its mean rater first. What only one file has, and what is unscored, is
counted and told.

How far raters agree, for each dimension and for the mean: pairs of raters on the same cases.

The picture of an agreement: difference against mean, one panel for each dimension.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import krippendorff
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.rating import Judged
from skingpt_r1.ratings.verdict import PROTOCOL, Rating
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import (
    Integers,
    bootstrap_statistic,
    kappa,
    mean_absolute_error,
    spearman,
)
from skingpt_r1.text.rubric import DIMENSIONS, Protocol

Floats = NDArray[np.float64]

OVERALL = "Overall"
KAPPA_STEP = 0.5  # scores are put into classes of this width for the kappa
TABLE = "agreement"


@dataclass(frozen=True)
class Pairs:
    """The narratives that both files have scored.

    Attributes:
        ids: of the narratives.
        groups: what must not be split.
        first: [narratives, 7], mean rater of the first file: six dimensions and their mean.
        second: the same of the second file.
        only_first: narratives that only the first file has.
        only_second: narratives that only the second file has.
        unscored_first: narratives of both files without any scored row in the first.
        unscored_second: narratives of both files without any scored row in the second.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    first: Floats
    second: Floats
    only_first: int
    only_second: int
    unscored_first: int
    unscored_second: int


def pair_ratings(first: Sequence[Judged], second: Sequence[Judged]) -> Pairs:
    """Match two files by the id of the narrative.

    Raises:
        RecordError: no narrative has scores in both, or one id stands for different texts.
    """
    other = {item.id: item for item in second}
    both = [(item, other[item.id]) for item in first if item.id in other]
    changed = [one.id for one, two in both if one.text != two.text]
    if changed:
        raise RecordError(
            f"{len(changed)} narratives have another text in the second file: "
            f"{', '.join(changed[:10])}; the same id must stand for the same narrative"
        )
    scored = [(one, two) for one, two in both if one.ratings and two.ratings]
    if not scored:
        raise RecordError(
            f"no narrative has scores in both files: {len(first)} and {len(second)} narratives, "
            f"{len(both)} ids in common; compare files about the same narratives"
        )
    return Pairs(
        ids=tuple(one.id for one, _ in scored),
        groups=tuple(one.group for one, _ in scored),
        first=_columns([one for one, _ in scored]),
        second=_columns([two for _, two in scored]),
        only_first=len(first) - len(both),
        only_second=len(second) - len(both),
        unscored_first=sum(not one.ratings for one, _ in both),
        unscored_second=sum(not two.ratings for _, two in both),
    )


def measure_agreement(pairs: Pairs, *, seed: int = 0, resamples: int = 2000) -> list[ResultRow]:
    """A row for each dimension and measure, with bootstrap intervals over groups.

    A measure that is not defined, such as a rank correlation of equal scores, has no row.

    Args:
        pairs: the matched narratives.
        seed: of the resampling.
        resamples: of the bootstrap; the alpha, which is slow, takes a tenth of them.
    """
    rows = []
    for place, dimension in enumerate((*DIMENSIONS, OVERALL)):
        a, b = pairs.first[:, place], pairs.second[:, place]
        for metric, statistic in METRICS.items():
            count = max(resamples // 10, 100) if metric == ALPHA else resamples
            found = _interval(partial(_on, statistic, a, b), pairs, seed, count)
            if found is not None:
                rows.append(found(dimension, metric))
    return rows


def _on(
    statistic: Callable[[Floats, Floats], float], a: Floats, b: Floats, chosen: Integers
) -> float:
    return statistic(a[chosen], b[chosen])


def _interval(
    statistic: Callable[[Integers], float], pairs: Pairs, seed: int, resamples: int
) -> Callable[[str, str], ResultRow] | None:
    n = len(pairs.ids)
    if not np.isfinite(statistic(np.arange(n))):
        return None
    found = bootstrap_statistic(statistic, n, pairs.groups, seed=seed, resamples=resamples)

    def row(dimension: str, metric: str) -> ResultRow:
        return ResultRow(
            table=TABLE,
            system=dimension,
            metric=metric,
            value=found.value,
            low=found.low,
            high=found.high,
            n=n,
        )

    return row


def bias(first: Floats, second: Floats) -> float:
    """Mean of first less second."""
    return float((first - second).mean())


def weighted_kappa(first: Floats, second: Floats) -> float:
    """Quadratically weighted kappa of scores in classes of half a point (our choice)."""
    classes = round(Protocol.DECIMAL_0_5.high / KAPPA_STEP) + 1
    # The tiny shift keeps halves from falling to either side by rounding to even.
    a, b = (np.floor(values / KAPPA_STEP + 0.5 + 1e-9) for values in (first, second))
    return kappa(a, b, categories=classes)


def krippendorff_alpha(first: Floats, second: Floats) -> float:
    """Krippendorff's alpha of two raters on the interval scale; NaN when nothing varies."""
    data = np.stack([first, second])
    if len(np.unique(data)) < 2:
        return float("nan")
    return float(krippendorff.alpha(reliability_data=data, level_of_measurement="interval"))


ALPHA = "Krippendorff's alpha"
METRICS: dict[str, Callable[[Floats, Floats], float]] = {
    "mean absolute error": mean_absolute_error,
    "bias": bias,
    "Spearman": spearman,
    "weighted kappa": weighted_kappa,
    ALPHA: krippendorff_alpha,
}


def _columns(judged: Sequence[Judged]) -> Floats:
    six = np.array([item.mean.values for item in judged])
    return np.column_stack([six, six.mean(axis=1)])


AGREEMENT_TABLE = "agreement of raters"
# Kappa needs classes: scores rounded to half points, as in `skingpt dermeval agree`.
_STEP = 0.5
_CLASSES = round(PROTOCOL.high / _STEP) + 1


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


LIMIT = 1.96  # limits of agreement: so many standard deviations around the mean difference


def draw_bland_altman(pairs: Pairs, path: Path, names: tuple[str, str]) -> None:
    """Draw a PNG; the same numbers give the same bytes.

    Args:
        pairs: the matched narratives.
        path: of the picture.
        names: of the two files, for the axes.
    """
    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    for place, (dimension, panel) in enumerate(
        zip((*DIMENSIONS, OVERALL), axes.flat, strict=False)
    ):
        _draw_panel(panel, pairs.first[:, place], pairs.second[:, place], dimension)
    axes.flat[-1].set_axis_off()
    figure.supxlabel(f"mean of {names[0]} and {names[1]}")
    figure.supylabel(f"{names[0]} - {names[1]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def limits_of_agreement(first: Floats, second: Floats) -> tuple[float, float, float]:
    """Mean difference, and the lower and upper limit of agreement; one pair has no spread."""
    gap = first - second
    middle = float(gap.mean())
    spread = LIMIT * float(gap.std(ddof=1)) if len(gap) > 1 else 0.0
    return middle, middle - spread, middle + spread


def _draw_panel(panel: Axes, first: Floats, second: Floats, title: str) -> None:
    points = np.column_stack([(first + second) / 2, first - second])
    panel.scatter(points[:, 0], points[:, 1], s=8, alpha=0.4, linewidths=0)
    middle, low, high = limits_of_agreement(first, second)
    panel.axhline(middle, color="black", linewidth=1)
    for limit in (low, high):
        panel.axhline(limit, color="black", linewidth=1, linestyle="--")
    panel.set_title(f"{title}\n{middle:+.2f} ({low:+.2f} to {high:+.2f})", fontsize=9)
