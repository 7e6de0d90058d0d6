"""The picture of an agreement: difference against mean, one panel for each dimension."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from skingpt_r1.ratings.agreement import OVERALL, Floats, Pairs
from skingpt_r1.text.rubric import DIMENSIONS

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
