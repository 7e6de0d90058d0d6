"""The sixteen rendered conditions of `conditions.yaml`, and the findings of a picture of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skingpt_r1.recipes import package_yaml
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Condition:
    """One rendered condition."""

    name: str  # the diagnosis, as the label of the case
    # slot -> value -> how often; the weights of a slot add up to one
    weights: Mapping[str, Weights] = field(hash=False)
    marks: frozenset[str] = frozenset()  # details beside the eight findings; see `lesions.py`


_DATA: Mapping[str, Any] = package_yaml("render/conditions.yaml")
# What goes together in one picture: (slot, value) allows only these values of the other slot.
FITS: Mapping[tuple[str, ...], Sequence[str]] = {
    tuple(place.split()): allowed.split() for place, allowed in _DATA["fits"].items()
}
# Pairs that share most findings and differ in one or two that can be seen.
CONFUSABLE: Sequence[tuple[str, str]] = [(one, two) for one, two in _DATA["confusable"]]

# Later slots are drawn among the values that fit the earlier ones.
DRAWING_ORDER = (
    "morphology", "size", "count", "colour", "border", "surface", "arrangement", "distribution",
)  # fmt: skip


def _weights(text: str) -> Weights:
    """Read "red 3, pink 1" as weights that add up to one."""
    pairs = [part.rsplit(" ", 1) for part in text.split(", ")]
    total = sum(float(weight) for _, weight in pairs)
    return {value: float(weight) / total for value, weight in pairs}


def _read_condition(name: str, table: Mapping[str, str]) -> Condition:
    table = {**table, "distribution": "localised 1, widespread 1"}
    weights = {slot: _weights(table[slot]) for slot in RENDERED_SLOTS}
    return Condition(name, weights, frozenset(table.get("marks", "").split()))


CONDITIONS = tuple(_read_condition(*item) for item in _DATA["conditions"].items())


def allowed_values(slot: str, drawn: Mapping[str, str]) -> tuple[str, ...]:
    """The values of a slot that fit the findings drawn so far."""
    values = tuple(WORDS[slot])
    for known, value in drawn.items():
        fitting = FITS.get((known, value, slot), values)
        values = tuple(item for item in values if item in fitting)
    return values


def finding_weights(condition: Condition, slot: str, drawn: Mapping[str, str]) -> dict[str, float]:
    """Probability of each value of a slot, given the findings drawn before it.

    Weights of values that do not fit are shared among those that do. Where none of the condition's
    own values fits, the values that fit are equally likely.
    """
    allowed = allowed_values(slot, drawn)
    weights = {v: w for v, w in condition.weights[slot].items() if v in allowed and w > 0}
    if not weights:
        weights = dict.fromkeys(allowed, 1.0)
    total = sum(weights.values())
    return {value: weight / total for value, weight in weights.items()}


def draw_findings(condition: Condition, rng: np.random.Generator) -> dict[str, str]:
    """Findings of one picture of the condition, in the order of `RENDERED_SLOTS`."""
    drawn: dict[str, str] = {}
    for slot in DRAWING_ORDER:
        weights = finding_weights(condition, slot, drawn)
        drawn[slot] = str(rng.choice(list(weights), p=list(weights.values())))
    return {slot: drawn[slot] for slot in RENDERED_SLOTS}
