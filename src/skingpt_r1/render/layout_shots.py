"""Which rendered pictures a data set's layout gets.

Those of conditions that the set has a label for, taken in the way in which its pictures are. A
lesion may be photographed twice, as in the real sets: findings, place and outline are the same,
light and optics are not. Such pictures are of one lesion and must never be split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, cycle
from typing import NamedTuple

import numpy as np

from skingpt_r1.errors import DatasetError
from skingpt_r1.render.camera import set_up_camera
from skingpt_r1.render.case import Plan, plan_case
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.text.taxonomy import fitting_labels

# Random streams of a lesion beside those of its first picture; see `render.py`.
_SECOND, _PATIENT = 2, 3


class Shot(NamedTuple):
    """One picture of a lesion.

    Attributes:
        seed: of the rendering.
        lesion: its number among the rendered pictures of the seed.
        picture: 0 for the first of the lesion, 1 for the second.
        label: what the data set calls the condition.
        plan: everything about the picture before it is drawn.
    """

    seed: int
    lesion: int
    picture: int
    label: str
    plan: Plan


def label_of(condition: str, labels: Sequence[str]) -> str | None:
    """The label of a set that a rendered condition has; None where the set has no class for it."""
    found = fitting_labels(condition, labels)
    return found[0] if len(found) == 1 else None


def make_shots(
    labels: Sequence[str], modality: str, number: int, seed: int, *, twice: float = 0.0
) -> list[Shot]:
    """The first pictures of a seed that fit a data set; its conditions take turns.

    Args:
        labels: of the set.
        modality: how its pictures are taken; one of `camera.MODALITIES`.
        number: how many pictures.
        seed: of the rendering.
        twice: share of the lesions that are photographed twice.

    Raises:
        DatasetError: the number or the seed cannot work.
    """
    if number < 1 or seed < 0:
        raise DatasetError(f"cannot render count={number}, seed={seed}; at least 1 and 0")
    named = [(place, label_of(item.name, labels)) for place, item in enumerate(CONDITIONS)]
    turns = cycle([_lesions(place, label, modality, seed) for place, label in named if label])
    shots: list[Shot] = []
    while len(shots) < number:
        shots += _of_lesion(next(next(turns)), twice)
    return shots[:number]


def patients_of(shots: Sequence[Shot]) -> dict[int, int]:
    """Lesion -> number of its patient; some patients have two lesions, on skin of one type."""
    found: dict[int, int] = {}
    single: dict[int, int] = {}  # skin type -> the last patient of one lesion
    number = 0
    for shot in shots:
        if shot.picture:
            continue
        scale = shot.plan.fitzpatrick
        rng = np.random.default_rng((shot.seed, shot.lesion, _PATIENT))
        if scale in single and rng.random() < 0.5:
            found[shot.lesion] = single.pop(scale)
            continue
        found[shot.lesion] = single[scale] = number
        number += 1
    return found


def _lesions(place: int, label: str, modality: str, seed: int) -> Iterator[Shot]:
    """The lesions of one condition that are seen in this way; they do not end."""
    for index in count(place, len(CONDITIONS)):
        plan = plan_case(index, seed)
        if plan.camera.modality == modality:
            yield Shot(seed, index, 0, label, plan)


def _of_lesion(first: Shot, twice: float) -> Iterator[Shot]:
    yield first
    rng = np.random.default_rng((first.seed, first.lesion, _SECOND))
    if rng.random() < twice:
        yield first._replace(picture=1, plan=_taken_again(first.plan, rng))


def _taken_again(plan: Plan, rng: np.random.Generator) -> Plan:
    """The same lesion under another light, by another camera of the same kind."""
    old, new = plan.camera, set_up_camera(plan.camera.modality, rng)
    # What decides where lesions are, and the skin itself, stay as they are.
    camera = replace(
        new, drape=old.drape, ruler=old.ruler, vignette=old.vignette, texture=old.texture
    )
    return replace(plan, camera=camera)
