"""How far two rating files agree: error, rank, weighted kappa and Krippendorff's alpha.

Each file is reduced to its mean rater first. What only one file has, and what is unscored, is
counted and told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import krippendorff
import numpy as np
from numpy.typing import NDArray

from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.rating import Judged
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
