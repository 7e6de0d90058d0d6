"""A rendered case: findings drawn by (seed, index), and the picture that shows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from skingpt_r1.render.camera import MODALITIES, Camera, set_up_camera, take_picture
from skingpt_r1.render.conditions import CONDITIONS, Condition, draw_findings
from skingpt_r1.render.lesions import draw_lesions
from skingpt_r1.render.placement import place_lesions
from skingpt_r1.render.skin import bare_skin


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything about a picture that is decided before a pixel is drawn.

    Attributes:
        condition: what the picture shows.
        findings: the eight rendered slots.
        fitzpatrick: skin type 1..6.
        camera: how the picture is taken.
        spots: [number, 3] x, y and radius of each lesion, in pixels of the 112-pixel picture.
        drawing_seed: seed of the details that no finding names.
    """

    condition: Condition
    findings: Mapping[str, str]
    fitzpatrick: int
    camera: Camera
    spots: NDArray[np.float64] = field(repr=False)
    drawing_seed: tuple[int, ...]

    @property
    def attributes(self) -> dict[str, str]:
        """Facts of the picture beyond the findings, as text."""
        camera = self.camera
        return {
            "modality": camera.modality,
            "lesions": str(len(self.spots)),
            "diameter_px": f"{2 * self.spots[:, 2].mean():.1f}",
            "marks": " ".join(sorted(self.condition.marks)),
            "hairs": str(camera.hairs),
            "ruler": camera.ruler or "none",
            "drape": camera.drape or "none",
            "blur_px": f"{camera.blur:.2f}",
            "noise": f"{camera.noise:.3f}",
            "light_degrees": f"{np.degrees(camera.light):.0f}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedCase:
    """One picture and what is known about it.

    Attributes:
        image: uint8 [size, size, 3], RGB.
        condition: name of the condition.
        findings: slot -> value for every slot of `RENDERED_SLOTS`.
        fitzpatrick: skin type 1..6.
        modality: one of `MODALITIES`.
        attributes: facts of the picture beyond the findings.
    """

    image: NDArray[np.uint8] = field(repr=False)
    condition: str
    findings: Mapping[str, str]
    fitzpatrick: int
    modality: str
    attributes: Mapping[str, str]


def plan_case(index: int, seed: int) -> Plan:
    """Decide the picture number `index` of a seed; conditions take turns."""
    rng = np.random.default_rng((seed, index))
    condition = CONDITIONS[index % len(CONDITIONS)]
    fitzpatrick = int(rng.integers(1, 7))
    modality = str(rng.choice(MODALITIES))
    findings = draw_findings(condition, rng)
    camera = set_up_camera(modality, rng)
    spots = place_lesions(findings, rng, camera.field)
    return Plan(
        condition=condition,
        findings=MappingProxyType(findings),
        fitzpatrick=fitzpatrick,
        camera=camera,
        spots=spots,
        drawing_seed=(seed, index, 1),
    )


def plain(plan: Plan) -> Plan:
    """The same picture without nuisance: even skin, even light, a perfect camera."""
    camera = Camera(modality=plan.camera.modality, texture=0.0, slant=0.2)
    return replace(plan, camera=camera)


def draw(plan: Plan, size: int = 112) -> NDArray[np.uint8]:
    """The picture [size, size, 3] of a plan."""
    rng = np.random.default_rng(plan.drawing_seed)
    texture = plan.camera.texture
    canvas = bare_skin(rng, plan.fitzpatrick, size=size, texture=texture)
    spots = [(float(x), float(y), float(r)) for x, y, r in plan.spots * canvas.scale]
    draw_lesions(canvas, spots, plan.findings, plan.condition.marks, rng)
    return take_picture(canvas, plan.camera, rng)


def render_case(index: int, seed: int, size: int = 112) -> RenderedCase:
    """Picture number `index` of a seed: the same pixels on every call.

    Args:
        index: number of the picture, from 0; consecutive pictures go through the conditions.
        seed: pictures of different seeds are different.
        size: side in pixels; the scene does not depend on it.
    """
    plan = plan_case(index, seed)
    return RenderedCase(
        image=draw(plan, size),
        condition=plan.condition.name,
        findings=plan.findings,
        fitzpatrick=plan.fitzpatrick,
        modality=plan.camera.modality,
        attributes=MappingProxyType(plan.attributes),
    )
