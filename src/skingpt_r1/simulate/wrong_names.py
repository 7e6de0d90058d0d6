"""Wrong diagnoses, and how far off each is: what a reader who knows the right one can tell.

A wrong name is taken more seriously when it does not even look alike, when the right name is not
among those considered, and most when a malignant disease is taken for a harmless one or the
reverse. For research, not for diagnosis.
"""

import random
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from skingpt_r1.render.conditions import CONDITIONS, CONFUSABLE
from skingpt_r1.text.taxonomy import Closeness, canonical, closeness, is_malignant

# What the rendered conditions look like at first sight; confusable pairs are of one kind.
LOOKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "scaly": ("psoriasis", "nummular eczema", "actinic keratosis", "lichen planus"),
        "ring": ("tinea corporis", "granuloma annulare", "urticaria"),
        "white": ("vitiligo", "pityriasis versicolor"),
        "pigmented": ("melanocytic nevus", "melanoma", "seborrheic keratosis"),
        "nodule": ("basal cell carcinoma", "molluscum contagiosum"),
        "pustule": ("acne", "herpes zoster"),
    }
)
# A wrong name up to a strength: it looks alike; the right name is listed; malignancy is wrong too.
_GRADES = (
    (0.45, True, True, False), (0.6, True, False, False),
    (0.82, False, False, False), (1.0, False, False, True),
)  # fmt: skip
_NEAREST = 2  # so many count as alike where nothing is known to be


def looks_of(name: str) -> str | None:
    """The row of `LOOKS` that a diagnosis is in; None for conditions that are not rendered."""
    known = canonical(name)
    return next((look for look, names in LOOKS.items() if known in names), None)


@cache
def wrong_names(diagnosis: str) -> tuple[str, ...]:
    """The rendered conditions that a diagnosis is not, nearest first.

    Confusable pairs and names of one family come first; then those whose usual findings overlap
    most. Names of the same thing, its parents and its kinds are left out.
    """
    near = {name for pair in CONFUSABLE if diagnosis in pair for name in pair}

    def distance(name: str) -> tuple[bool, float, str]:
        is_near = name in near or closeness(name, diagnosis) is Closeness.SAME_FAMILY
        return not is_near, -_overlap(name, diagnosis), name

    names = (condition.name for condition in CONDITIONS)
    wrong = [name for name in names if closeness(name, diagnosis) < Closeness.PARENT]
    return tuple(sorted(wrong, key=distance))


def misname(
    diagnosis: str, differential: tuple[str, ...], strength: float, rng: random.Random
) -> tuple[str, tuple[str, ...]]:
    """A wrong name, the graver the stronger, and a differential of the same length.

    Args:
        diagnosis: the right name.
        differential: names that a right narrative lists.
        strength: above 0 and up to 1. Up to 0.45 the name looks alike and the right one heads the
            differential; up to 0.6 it looks alike and the right one is not listed; up to 0.82 it
            does not look alike; above, it is malignant and the right one is not, or the reverse.
        rng: chooses the name.
    """
    _, looks_alike, is_listed, errs_gravely = next(row for row in _GRADES if strength <= row[0])
    names = wrong_names(diagnosis)
    look = looks_of(diagnosis)
    alike = [name for name in names if looks_of(name) == look] or list(names[:_NEAREST])
    chosen = alike
    if not looks_alike:
        rest = [name for name in names if name not in alike]
        chosen = [name for name in rest if _swaps_malignancy(name, diagnosis) == errs_gravely]
    named = rng.choice(chosen)
    right = (diagnosis,) if is_listed else ()
    listed = [name for name in (*differential, *names) if name not in (named, diagnosis)]
    return named, tuple(dict.fromkeys((*right, *listed)))[: len(differential)]


def _swaps_malignancy(named: str, diagnosis: str) -> bool:
    return bool(is_malignant(named)) != bool(is_malignant(diagnosis))


def _overlap(first: str, second: str) -> float:
    """How much of their usual findings two conditions share; 0 when one is not rendered."""
    tables = {condition.name: condition.weights for condition in CONDITIONS}
    if first not in tables or second not in tables:
        return 0.0
    one, two = tables[first], tables[second]
    return sum(
        min(weight, two[slot].get(value, 0.0))
        for slot, weights in one.items()
        for value, weight in weights.items()
    )
