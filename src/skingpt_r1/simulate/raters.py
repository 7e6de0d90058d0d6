"""Simulated raters: formulas, not people. For research, not for diagnosis.

They give the true scores with a lasting bias and with noise, whose sizes are our choice. They also
write notes on damaged narratives, in the form of `format_notes`: an evaluator that writes such
notes first has its comparison on paper before a score depends on it. The notes are true: they come
from the rendered case and the known damage.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from skingpt_r1.case import Case
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.simulate.damage import INVENTED, UNSAFE, Damage, gravities, looks_of, num_invented
from skingpt_r1.text.narrative import Narrative
from skingpt_r1.text.rubric import DIMENSIONS, Protocol, Scores
from skingpt_r1.text.taxonomy import is_malignant
from skingpt_r1.text.wording import FITS, NOTHING, OTHER, fit_word, format_notes

LARGEST_BIAS = 0.25
NOISE = (0.15, 0.25)


@dataclass(frozen=True, slots=True)
class Rater:
    """One simulated rater, `simulated-1` and so on."""

    name: str
    bias: tuple[float, ...]  # what it adds to every score, one value per dimension
    noise: float  # standard deviation of what it adds by chance


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
    """What a rater gives for six true scores: plus bias and noise, within 0-5, on one decimal."""
    scale = Protocol.DECIMAL_0_5
    given = (
        score + bias + rng.gauss(0.0, rater.noise)
        for score, bias in zip(true, rater.bias, strict=True)
    )
    return Scores(tuple(round(min(max(value, scale.low), scale.high), 1) for value in given))


CAREFUL = "careful"
_ADVICE_WORDS = {"mild": "thin", "serious": "harm", "grave": "harm harm"}
_NAMES = sorted((condition.name for condition in CONDITIONS), key=len, reverse=True)


def write_notes(narrative: Narrative, case: Case, damage: Damage) -> str:
    """The notes on a narrative that `damage.write_damaged` wrote about a case."""
    assert case.label is not None
    advice = CAREFUL
    if UNSAFE in damage.parts:
        advice = " ".join(_ADVICE_WORDS[gravity] for gravity in gravities(damage.parts[UNSAFE]))
    return format_notes(
        narrative,
        reasoned=_named(narrative.reasoning),
        expected=case.findings,
        made_up=num_invented(damage.parts[INVENTED]) if INVENTED in damage.parts else 0,
        picture=_picture(narrative, case.label),
        advice=advice,
    )


def _picture(narrative: Narrative, label: str) -> str:
    """Whether the named diagnosis fits; if not, how far off it is."""
    named = narrative.diagnosis
    if named == label:
        return f"{label} {FITS}"
    compared = [
        " ".join((one, two, fit_word(one, two)))
        for one, two in (
            (looks_of(named) or NOTHING, looks_of(label) or NOTHING),
            (_course(named), _course(label)),
        )
    ]
    listed = FITS if label in narrative.differential else OTHER
    return "; ".join((f"{label} {OTHER}", *compared, f"listed {listed}"))


def _course(name: str) -> str:
    return "malignant" if is_malignant(name) else "benign"


def _named(text: str) -> str:
    """The rendered condition that a reasoning names."""
    lowered = text.lower()
    return next((name for name in _NAMES if name in lowered), NOTHING)
