"""Simulated raters: known scores with a lasting bias and with noise. They are nobody.

Sizes are our choice. For research, not for diagnosis.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from skingpt_r1.text.rubric import DIMENSIONS, Protocol, Scores

LARGEST_BIAS = 0.25
NOISE = (0.15, 0.25)


@dataclass(frozen=True, slots=True)
class Rater:
    """One simulated rater.

    Attributes:
        name: `simulated-1` and so on.
        bias: what it adds to every score, one value per dimension.
        noise: standard deviation of what it adds by chance.
    """

    name: str
    bias: tuple[float, ...]
    noise: float


def make_raters(count: int, seed: int) -> tuple[Rater, ...]:
    """Simulated raters whose biases cancel in every dimension.

    Biases are drawn evenly within `LARGEST_BIAS` and then centred, so that a single rater has none
    and the mean rater has none. The noise is drawn evenly within `NOISE`.
    """
    if count < 1:
        raise ValueError(f"{count} raters; at least one is needed")
    rng = random.Random(f"raters:{seed}")
    drawn = [[rng.uniform(-LARGEST_BIAS, LARGEST_BIAS) for _ in DIMENSIONS] for _ in range(count)]
    centre = [math.fsum(column) / count for column in zip(*drawn, strict=True)]
    return tuple(
        Rater(
            f"simulated-{number}",
            tuple(value - middle for value, middle in zip(biases, centre, strict=True)),
            rng.uniform(*NOISE),
        )
        for number, biases in enumerate(drawn, start=1)
    )


def rate(rater: Rater, true: Sequence[float], rng: random.Random) -> Scores:
    """What a rater gives: true score, bias and noise, clipped to 0-5, on one decimal.

    Args:
        rater: its bias and noise.
        true: six scores in the order of `DIMENSIONS`.
        rng: draws the noise.
    """
    scale = Protocol.DECIMAL_0_5
    given = (
        score + bias + rng.gauss(0.0, rater.noise)
        for score, bias in zip(true, rater.bias, strict=True)
    )
    return Scores(tuple(round(min(max(value, scale.low), scale.high), 1) for value in given))


def mean_scores(scores: Sequence[Scores]) -> tuple[float, ...]:
    """The mean rater: the mean of each dimension over several verdicts, not rounded."""
    if not scores:
        raise ValueError("no scores to take the mean of")
    columns = zip(*(one.values for one in scores), strict=True)
    return tuple(math.fsum(column) / len(scores) for column in columns)
