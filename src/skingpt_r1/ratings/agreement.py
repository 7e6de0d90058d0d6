"""How far raters agree: two rating files with intervals, or all pairs of raters of each case.

In both, the mean absolute error, the quadratically weighted kappa of half points and Krippendorff's
alpha of each dimension and of the mean of the six. Of two files each is reduced to its mean rater
first; what only one file has, and what is unscored, is counted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.rating import RatedText, Rating
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import (
    Floats,
    Integers,
    bootstrap_statistic,
    kappa,
    mean_absolute_error,
    spearman,
)
from skingpt_r1.text.rubric import DIMENSIONS, Protocol

OVERALL = "Overall"
SUBJECTS = (*DIMENSIONS, OVERALL)
AGREEMENT_TABLE = "agreement of raters"  # the table of all pairs of raters
KAPPA_STEP = 0.5  # kappa needs classes: scores are rounded to half points (our choice)
_CLASSES = round(Protocol.DECIMAL_0_5.high / KAPPA_STEP) + 1


def with_mean(six: Floats) -> Floats:
    """[n, 7]: the six scores of each narrative and their mean."""
    return np.column_stack([six, six.mean(axis=1)])


def weighted_kappa(first: Floats, second: Floats) -> float:
    """Quadratically weighted kappa of scores in classes of half a point."""
    # The tiny shift keeps halves from falling to either side by rounding to even.
    a, b = (np.floor(values / KAPPA_STEP + 0.5 + 1e-9) for values in (first, second))
    return kappa(a, b, categories=_CLASSES)


def interval_alpha(table: Floats) -> float:
    """Krippendorff's alpha of a table [raters, cases], NaN where a rater did not rate.

    With interval distance, in memory that does not grow with the cases.

    `1 - D_o / D_e`: the mean squared difference of two ratings of one case over that of any two
    ratings. The library `krippendorff`, which the tests compare with, keeps a table of all values
    for each case. NaN where it is not defined: no case with two ratings, or no variation.

    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section F.
    """
    counts = (~np.isnan(table)).sum(axis=0)
    values, counts = table[:, counts > 1], counts[counts > 1]
    total = int(counts.sum())
    if not total or np.nanmin(values) == np.nanmax(values):
        return float("nan")
    # Differences do not depend on the origin, and squares of small numbers lose less.
    values = values - np.nanmean(values)
    within = counts * np.nansum(values**2, axis=0) - np.nansum(values, axis=0) ** 2
    observed = float((within / (counts - 1)).sum()) / total
    expected = float(np.nansum(values**2) - np.nansum(values) ** 2 / total) / (total - 1)
    return 1 - observed / expected


ALPHA = "Krippendorff's alpha"
METRICS: dict[str, Callable[[Floats, Floats], float]] = {
    "mean absolute error": mean_absolute_error,
    "bias": lambda first, second: float((first - second).mean()),
    "Spearman": spearman,
    "weighted kappa": weighted_kappa,
    ALPHA: lambda first, second: interval_alpha(np.stack([first, second])),
}


@dataclass(frozen=True)
class Pairs:
    """The narratives that both files have scored.

    `first` and `second` are [narratives, 7] of the mean rater of each file: six dimensions and
    their mean.
    """

    ids: tuple[str, ...]  # of the narratives
    groups: tuple[str, ...]  # what must not be split
    first: Floats
    second: Floats
    only_first: int  # narratives that only the first file has
    only_second: int
    unscored_first: int  # narratives of both files without any scored row in the first
    unscored_second: int


def pair_ratings(first: Sequence[RatedText], second: Sequence[RatedText]) -> Pairs:
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
        first=with_mean(np.array([one.mean.values for one, _ in scored])),
        second=with_mean(np.array([two.mean.values for _, two in scored])),
        only_first=len(first) - len(both),
        only_second=len(second) - len(both),
        unscored_first=sum(not one.ratings for one, _ in both),
        unscored_second=sum(not two.ratings for _, two in both),
    )


def measure_agreement(pairs: Pairs, *, seed: int = 0, resamples: int = 2000) -> list[ResultRow]:
    """A row for each dimension and measure, with bootstrap intervals over groups.

    A measure that is not defined, such as a rank correlation of equal scores, has no row. The alpha
    takes a tenth of the resamples.
    """

    def on(metric: str, place: int, chosen: Integers) -> float:
        return METRICS[metric](pairs.first[chosen, place], pairs.second[chosen, place])

    rows, n = [], len(pairs.ids)
    for place, subject in enumerate(SUBJECTS):
        for metric in METRICS:
            statistic = partial(on, metric, place)
            if not np.isfinite(statistic(np.arange(n))):
                continue
            count = max(resamples // 10, 100) if metric == ALPHA else resamples
            found = bootstrap_statistic(statistic, n, pairs.groups, seed=seed, resamples=count)
            rows.append(found.row("agreement", subject, metric))
    return rows


def rater_agreement(ratings: Iterable[Iterable[Rating]]) -> list[ResultRow]:
    """Agreement of all pairs of raters in every dimension and overall; `n` counts the pairs.

    The ratings are of each case those of its raters. What is not defined has no row.
    """
    cases = [rated for of_case in ratings if len(rated := tuple(of_case)) > 1]
    raters = sorted({rating.rater for rated in cases for rating in rated})
    tables = np.full((len(SUBJECTS), len(raters), len(cases)), np.nan)
    for column, rated in enumerate(cases):
        for rating in rated:
            scores = (*rating.six.values, rating.six.mean)
            tables[:, raters.index(rating.rater), column] = scores
    tabled = zip(SUBJECTS, tables, strict=True)
    return [row for subject, table in tabled for row in _pooled(subject, table)]


def _pooled(subject: str, table: Floats) -> Iterator[ResultRow]:
    pairs = [np.stack([one, two])[:, ~np.isnan(one + two)] for one, two in combinations(table, 2)]
    if not sum(both.shape[1] for both in pairs):
        return
    a, b = np.concatenate(pairs, axis=1)
    found = {
        "MAE": mean_absolute_error(a, b),
        # Both orders, as no rater of a pair is the first one.
        "weighted kappa": weighted_kappa(np.concatenate([a, b]), np.concatenate([b, a])),
        "alpha": interval_alpha(table),
    }
    for metric, value in found.items():
        if np.isfinite(value):
            yield ResultRow(
                table=AGREEMENT_TABLE, system=subject, metric=metric, value=value, n=len(a)
            )


def agreement_text(rows: Sequence[ResultRow]) -> str:
    """The rows of `rater_agreement` as a table for people; a dash where one is not defined."""
    value = {(row.system, row.metric): f"{row.value:.3f}" for row in rows}
    pairs = {row.system: row.n for row in rows}
    lines = [f"{'':<24}{'pairs':>8}{'MAE':>8}{'kappa':>8}{'alpha':>8}"]
    for name in SUBJECTS:
        cells = [value.get((name, metric), "-") for metric in ("MAE", "weighted kappa", "alpha")]
        lines.append(f"{name:<24}{pairs.get(name, 0):>8,}" + "".join(f"{c:>8}" for c in cells))
    return "\n".join(lines)


LIMIT = 1.96  # limits of agreement: so many standard deviations around the mean difference


def limits_of_agreement(first: Floats, second: Floats) -> tuple[float, float, float]:
    """Mean difference, and the lower and upper limit of agreement; one pair has no spread."""
    gap = first - second
    middle = float(gap.mean())
    spread = LIMIT * float(gap.std(ddof=1)) if len(gap) > 1 else 0.0
    return middle, middle - spread, middle + spread


def draw_bland_altman(pairs: Pairs, path: Path, names: tuple[str, str]) -> None:
    """Difference against mean as a PNG, a panel for each dimension; equal numbers, equal bytes."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    for place, (subject, panel) in enumerate(zip(SUBJECTS, axes.flat, strict=False)):
        _draw_panel(panel, pairs.first[:, place], pairs.second[:, place], subject)
    axes.flat[-1].set_axis_off()
    figure.supxlabel(f"mean of {names[0]} and {names[1]}")
    figure.supylabel(f"{names[0]} - {names[1]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_panel(panel: Axes, first: Floats, second: Floats, title: str) -> None:
    panel.scatter((first + second) / 2, first - second, s=8, alpha=0.4, linewidths=0)
    middle, low, high = limits_of_agreement(first, second)
    panel.axhline(middle, color="black", linewidth=1)
    for limit in (low, high):
        panel.axhline(limit, color="black", linewidth=1, linestyle="--")
    panel.set_title(f"{title}\n{middle:+.2f} ({low:+.2f} to {high:+.2f})", fontsize=9)
