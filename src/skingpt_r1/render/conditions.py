"""The sixteen rendered conditions of `conditions.yaml`, and the findings of a picture of one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType

import numpy as np
import yaml

from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Condition:
    """One rendered condition.

    Attributes:
        name: the diagnosis, as the label of the case.
        weights: slot -> value -> how often; the weights of a slot add up to one.
        marks: details that the eight findings do not name; see `lesions.py`.
    """

    name: str
    weights: Mapping[str, Weights] = field(hash=False)
    marks: frozenset[str] = frozenset()


# What goes together in one picture: (slot, value) allows only these values of the other slot.
FITS: Mapping[tuple[str, str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("morphology", "macule", "size"): ("small", "medium"),
        ("morphology", "papule", "size"): ("small", "medium"),
        ("morphology", "vesicle", "size"): ("small",),
        ("morphology", "pustule", "size"): ("small",),
        ("morphology", "patch", "size"): ("medium", "large"),
        ("morphology", "plaque", "size"): ("medium", "large"),
        ("morphology", "nodule", "size"): ("medium", "large"),
        ("morphology", "wheal", "size"): ("medium", "large"),
        ("morphology", "ring", "size"): ("medium", "large"),
        ("morphology", "macule", "surface"): ("smooth", "scaly", "rough"),
        ("morphology", "patch", "surface"): ("smooth", "scaly", "rough", "crusted"),
        ("morphology", "macule", "border"): ("sharp", "blurred", "irregular"),
        ("morphology", "patch", "border"): ("sharp", "blurred", "irregular"),
        ("size", "large", "count"): ("one", "few"),
        ("count", "one", "arrangement"): ("solitary",),
        ("count", "few", "arrangement"): ("scattered", "grouped", "linear"),
        ("count", "many", "arrangement"): ("scattered", "grouped", "linear"),
        ("count", "one", "distribution"): ("localised",),
        ("arrangement", "scattered", "distribution"): ("widespread",),
        ("arrangement", "grouped", "distribution"): ("localised",),
        ("arrangement", "linear", "distribution"): ("localised",),
    }
)

# Later slots are drawn among the values that fit the earlier ones.
DRAWING_ORDER = (
    "morphology", "size", "count", "colour", "border", "surface", "arrangement", "distribution",
)  # fmt: skip


def _weights(text: str) -> Weights:
    """Read "red 3, pink 1" as weights that add up to one."""
    pairs = [part.rsplit(" ", 1) for part in text.split(", ")]
    total = sum(float(weight) for _, weight in pairs)
    return MappingProxyType({value: float(weight) / total for value, weight in pairs})


def _read_conditions() -> Iterator[Condition]:
    text = files("skingpt_r1.render").joinpath("conditions.yaml").read_text(encoding="utf-8")
    for name, table in yaml.safe_load(text).items():
        table["distribution"] = "localised 1, widespread 1"
        weights = MappingProxyType({slot: _weights(table[slot]) for slot in RENDERED_SLOTS})
        yield Condition(name, weights, frozenset(table.get("marks", "").split()))


CONDITIONS: tuple[Condition, ...] = tuple(_read_conditions())

# Pairs that share most findings and differ in one or two that can be seen.
CONFUSABLE: tuple[tuple[str, str], ...] = (
    ("psoriasis", "nummular eczema"),
    ("tinea corporis", "granuloma annulare"),
    ("melanocytic nevus", "melanoma"),
    ("melanoma", "seborrheic keratosis"),
    ("vitiligo", "pityriasis versicolor"),
    ("basal cell carcinoma", "molluscum contagiosum"),
    ("actinic keratosis", "nummular eczema"),
)


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
