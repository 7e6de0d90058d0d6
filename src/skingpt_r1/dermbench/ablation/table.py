"""The numbers of an ablation: intervals over seeds and cases together.

Each resample draws seeds and groups of cases anew, so that an interval holds for other cases and
for training again; with one seed it holds for other cases alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import (
    NO_INTERVAL,
    Bootstrap,
    Floats,
    Integers,
    Interval,
    bootstrap_weights,
    percentile_interval,
    ratio,
)
from skingpt_r1.text.tokens import table

TABLE = "ablation"


class Measured(NamedTuple):
    """One metric of a cell.

    Attributes:
        values: `[seeds, n]`, one for each case and seed.
        classes: `[n]`, the mean is taken within each class first; all 0 for a plain mean.
    """

    values: Floats
    classes: Integers


class AblationRow(NamedTuple):
    """One cell, or the difference of two.

    Attributes:
        name: of the cell; `better - worse` for a difference.
        runs: the folders that its numbers are from, one for each seed.
        seeds: of these runs.
        cases: unseen cases.
        metrics: metric -> mean over seeds and cases.
        by_seed: metric -> the mean of each seed.
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    cases: int
    metrics: Mapping[str, Interval]
    by_seed: Mapping[str, tuple[float, ...]]


def measure(
    name: str,
    metrics: Mapping[str, Measured],
    groups: Mapping[str, Sequence[str]],
    runs: Sequence[str],
    seeds: Sequence[int],
    boot: Bootstrap,
) -> AblationRow:
    """The row of a cell.

    Args:
        name: of the cell.
        metrics: metric -> values.
        groups: metric -> group of each of its cases.
        runs: the folders of its runs.
        seeds: of its runs.
        boot: of the intervals.
    """
    found = {metric: over_seeds(item, groups[metric], boot) for metric, item in metrics.items()}
    return AblationRow(
        name,
        tuple(runs),
        tuple(seeds),
        max(item.values.shape[1] for item in metrics.values()),
        {metric: interval for metric, interval in found.items() if interval is not None},
        {metric: _by_seed(item) for metric, item in metrics.items()},
    )


def difference(better: Measured, worse: Measured) -> Measured:
    """Paired by seed and case."""
    return Measured(better.values - worse.values, better.classes)


def over_seeds(item: Measured, groups: Sequence[str], boot: Bootstrap) -> Interval | None:
    """The mean with an interval over seeds and groups of cases."""
    values, classes = item
    num_seeds, n = values.shape
    member = np.eye(int(classes.max()) + 1)[classes]
    generator = np.random.default_rng([boot.seed, num_seeds])
    drawn: list[NDArray[np.float64]] = []
    for weights in bootstrap_weights(n, groups, **boot._asdict()):
        chosen = generator.integers(0, num_seeds, (len(weights), num_seeds))
        share = (chosen[:, :, None] == np.arange(num_seeds)).mean(axis=1)
        drawn.append(_class_means((share @ values) * weights, weights, member))
    value = float(_class_means(values.mean(axis=0)[None], np.ones((1, n)), member)[0])
    return percentile_interval(value, np.concatenate(drawn), n, len(set(groups)))


def ablation_rows(rows: Sequence[AblationRow]) -> list[ResultRow]:
    """As `results.json` has them."""
    return [
        interval.row(TABLE, row.name, metric)
        for row in rows
        for metric, interval in row.metrics.items()
    ]


def ablation_markdown(rows: Sequence[AblationRow]) -> str:
    """The table as Markdown: one line for each cell, with its runs."""
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.metrics))
    head = ["cell", *(f"{metric}, %" for metric in metrics), "runs"]
    lines = [
        [row.name, *(cell_text(row, metric) for metric in metrics), ", ".join(row.runs) or "-"]
        for row in rows
    ]
    return "\n".join(table(head, lines)) + "\n"


def cell_text(row: AblationRow, metric: str) -> str:
    """`51.6 (45.9 to 57.2)`, in per cent; a dash where the metric is not known."""
    found = row.metrics.get(metric)
    if found is None:
        return "-"
    if found.ends is None:
        return f"{100 * found.value:.1f} ({NO_INTERVAL})"
    return "{:.1f} ({:.1f} to {:.1f})".format(*(100 * x for x in (found.value, *found.ends)))


def _class_means(sums: Floats, weights: Floats, member: Floats) -> Floats:
    hits, counts = sums @ member, weights @ member
    found: Floats = np.nanmean(ratio(hits, counts), axis=1)
    return found


def _by_seed(item: Measured) -> tuple[float, ...]:
    member = np.eye(int(item.classes.max()) + 1)[item.classes]
    ones = np.ones_like(item.values)
    return tuple(_class_means(item.values, ones, member).tolist())
