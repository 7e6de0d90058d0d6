"""The sixteen rendered conditions as data: for each finding, the values it may take and how often.

The weights are our choice. They follow what textbooks call typical, then give every value to more
than one condition, so that no single finding names the condition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

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


def _slot(text: str) -> Weights:
    """Read "red 3, pink 1" as weights that add up to one."""
    pairs = [part.split() for part in text.split(",")]
    total = sum(float(weight) for _, weight in pairs)
    return MappingProxyType({value: float(weight) / total for value, weight in pairs})


def _condition(name: str, table: Mapping[str, str], marks: str = "") -> Condition:
    weights = {slot: _slot(table[slot]) for slot in RENDERED_SLOTS}
    return Condition(name, MappingProxyType(weights), frozenset(marks.split()))


def _table(
    colour: str, morphology: str, border: str, surface: str, count: str, size: str, place: str
) -> dict[str, str]:
    return {
        "colour": colour, "morphology": morphology, "border": border, "surface": surface,
        "count": count, "size": size, "arrangement": place,
        "distribution": "localised 1, widespread 1",
    }  # fmt: skip


CONDITIONS: tuple[Condition, ...] = (
    _condition(
        "psoriasis",
        _table(
            colour="red 80, pink 12, purple 8", morphology="plaque 90, patch 10",
            border="sharp 76, blurred 12, irregular 12",
            surface="silvery 70, scaly 24, crusted 6",
            count="few 60, many 32, one 8", size="large 45, medium 55",
            place="scattered 85, grouped 10, linear 5",
        ),
    ),
    _condition(
        "nummular eczema",
        _table(
            colour="red 55, pink 45", morphology="plaque 85, wheal 5, patch 10",
            border="blurred 74, sharp 26", surface="crusted 64, scaly 26, silvery 10",
            count="few 80, one 12, many 8", size="medium 85, large 15",
            place="scattered 85, grouped 15",
        ),
    ),
    _condition(
        "tinea corporis",
        _table(
            colour="red 65, pink 35", morphology="ring 90, plaque 10",
            border="rolled 70, sharp 30", surface="scaly 78, smooth 16, silvery 6",
            count="one 55, few 45", size="large 65, medium 35", place="scattered 70, grouped 30",
        ),
        "edge-scale",
    ),
    _condition(
        "granuloma annulare",
        _table(
            colour="pink 52, skin-coloured 40, red 8", morphology="ring 86, plaque 7, wheal 7",
            border="rolled 85, sharp 15", surface="smooth 78, scaly 12, shiny 6, dimpled 4",
            count="one 50, few 50", size="large 45, medium 55", place="scattered 40, grouped 60",
        ),
    ),
    _condition(
        "vitiligo",
        _table(
            colour="white 100", morphology="patch 92, macule 8",
            border="sharp 70, irregular 30", surface="smooth 84, scaly 16",
            count="few 70, one 20, many 10", size="large 55, medium 38, small 7",
            place="scattered 75, grouped 20, linear 5",
        ),
    ),
    _condition(
        "pityriasis versicolor",
        _table(
            colour="tan 55, white 45", morphology="macule 85, patch 15",
            border="sharp 60, blurred 40", surface="scaly 70, smooth 30",
            count="many 80, few 20", size="small 72, medium 28", place="scattered 85, grouped 15",
        ),
    ),
    _condition(
        "melanocytic nevus",
        _table(
            colour="brown 80, tan 10, black 10", morphology="papule 50, macule 42, nodule 8",
            border="sharp 82, irregular 10, blurred 8", surface="smooth 83, warty 14, dimpled 3",
            count="one 88, few 12", size="small 70, medium 30", place="scattered 100",
        ),
        "symmetric dark-centre",
    ),
    _condition(
        "melanoma",
        _table(
            colour="black 60, brown 40", morphology="patch 40, plaque 45, nodule 15",
            border="irregular 74, sharp 16, blurred 10",
            surface="smooth 62, crusted 20, warty 10, shiny 8",
            count="one 100", size="medium 40, large 60", place="solitary 1",
        ),
        "asymmetric variegated",
    ),
    _condition(
        "seborrheic keratosis",
        _table(
            colour="brown 66, black 24, tan 10", morphology="plaque 60, papule 35, nodule 5",
            border="sharp 80, irregular 20", surface="warty 70, rough 12, smooth 10, crusted 8",
            count="one 55, few 45", size="medium 65, large 25, small 10",
            place="scattered 90, grouped 10",
        ),
    ),
    _condition(
        "basal cell carcinoma",
        _table(
            colour="pink 55, skin-coloured 35, brown 10", morphology="nodule 80, papule 20",
            border="rolled 74, sharp 26", surface="shiny 72, crusted 10, dimpled 18",
            count="one 100", size="medium 72, large 15, small 13", place="solitary 1",
        ),
        "vessels",
    ),
    _condition(
        "actinic keratosis",
        _table(
            colour="pink 55, red 38, tan 7", morphology="patch 35, macule 55, plaque 10",
            border="blurred 82, irregular 18", surface="rough 66, scaly 20, crusted 14",
            count="few 60, one 40", size="small 65, medium 35", place="scattered 75, grouped 25",
        ),
    ),
    _condition(
        "molluscum contagiosum",
        _table(
            colour="skin-coloured 52, pink 48", morphology="papule 90, vesicle 5, nodule 5",
            border="sharp 82, rolled 18", surface="dimpled 78, shiny 16, smooth 6",
            count="few 36, many 30, one 34", size="small 65, medium 35",
            place="grouped 80, scattered 12, linear 8",
        ),
    ),
    _condition(
        "acne",
        _table(
            colour="red 78, yellow 14, pink 8", morphology="pustule 62, papule 38",
            border="blurred 85, sharp 15", surface="smooth 80, crusted 10, shiny 10",
            count="many 82, few 18", size="small 92, medium 8", place="scattered 85, grouped 15",
        ),
        "halo",
    ),
    _condition(
        "urticaria",
        _table(
            colour="pink 62, red 38", morphology="wheal 74, plaque 10, ring 16",
            border="blurred 60, rolled 40", surface="smooth 96, shiny 4",
            count="few 65, many 35", size="large 60, medium 40", place="scattered 85, grouped 15",
        ),
    ),
    _condition(
        "herpes zoster",
        _table(
            colour="red 72, yellow 28", morphology="vesicle 78, pustule 22",
            border="sharp 75, blurred 25", surface="smooth 55, shiny 25, crusted 20",
            count="many 70, few 30", size="small 100", place="linear 76, grouped 24",
        ),
        "base",
    ),
    _condition(
        "lichen planus",
        _table(
            colour="purple 82, red 12, pink 6", morphology="papule 88, plaque 12",
            border="sharp 88, irregular 12", surface="shiny 76, scaly 16, rough 8",
            count="many 65, few 35", size="small 65, medium 35",
            place="grouped 74, linear 13, scattered 13",
        ),
        "polygonal",
    ),
)  # fmt: skip

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
