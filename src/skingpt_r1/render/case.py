"""A rendered case: findings by (seed, index), where its lesions lie, and the picture of it.

Also contact sheets: many pictures on one page, a row per condition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from skingpt_r1.render.camera import MODALITIES, Camera, set_up_camera, take_picture
from skingpt_r1.render.conditions import CONDITIONS, Condition, draw_findings
from skingpt_r1.render.lesions import draw_lesion
from skingpt_r1.render.skin import bare_skin

# Diameters in pixels of a 112-pixel picture; the classes are clearly apart.
DIAMETERS: Mapping[str, tuple[float, float]] = {
    "small": (12, 16), "medium": (22, 30), "large": (40, 60),
}  # fmt: skip
NUMBERS: Mapping[str, tuple[int, int]] = {"one": (1, 1), "few": (3, 5), "many": (9, 16)}

Floats = NDArray[np.float64]
Spots = NDArray[np.float64]  # [number, 3]: x, y and radius
Circle = tuple[float, float, float]


def _number_and_radii(findings: Mapping[str, str], rng: np.random.Generator) -> Floats:
    count, size = findings["count"], findings["size"]
    low, high = NUMBERS[count]
    smallest, largest = DIAMETERS[size]
    crowded = {("few", "large"): (3, 4, 46.0), ("many", "medium"): (9, 10, 25.0)}
    low, high, largest = crowded.get((count, size), (low, high, largest))
    if count == "many" and findings["arrangement"] != "scattered":
        high = min(high, 13)
    number = int(rng.integers(low, high + 1))
    return rng.uniform(smallest, largest, number) / 2


def _gaps(place: Spots, radius: Floats, others: Spots) -> Floats:
    """Smallest free distance of each candidate [n, 2] to the lesions placed so far [m, 3]."""
    apart = np.hypot(place[:, None, 0] - others[:, 0], place[:, None, 1] - others[:, 1])
    return np.asarray((apart - others[:, 2] - radius[:, None]).min(axis=1))


def _scattered(radii: Floats, field: Circle, rng: np.random.Generator) -> Spots:
    x, y, reach = field
    spots = np.empty((0, 3))
    for radius in np.sort(radii)[::-1]:
        angle = rng.uniform(0, 2 * np.pi, 40)
        kept = reach - (0.45 if radius > 16 else 0.8) * radius
        away = kept * np.sqrt(rng.uniform(0, 1, 40))
        places = np.stack([x + away * np.cos(angle), y + away * np.sin(angle)], axis=1)
        best = 0
        if len(spots):
            gaps = _gaps(places, np.full(40, radius), spots)
            wide = np.flatnonzero(gaps > 7)
            best = int(wide[0]) if len(wide) else int(gaps.argmax())
        spots = np.vstack([spots, [*places[best], radius]])
    return spots


def _grouped(radii: Floats, field: Circle, rng: np.random.Generator) -> Spots:
    """Each lesion touches the cluster; the place nearest to its centre is taken."""
    spots = np.array([[0.0, 0.0, radii[0]]])
    for radius in radii[1:]:
        near = spots[rng.integers(0, len(spots), 40)]
        angle = rng.uniform(0, 2 * np.pi, 40)
        apart = near[:, 2] + radius + rng.uniform(0.5, 2.5, 40)
        places = near[:, :2] + (apart * [np.cos(angle), np.sin(angle)]).T
        cost = np.hypot(*(places - spots[:, :2].mean(axis=0)).T)
        cost += 100 * np.maximum(0.3 - _gaps(places, np.full(40, radius), spots), 0)
        spots = np.vstack([spots, [*places[cost.argmin()], radius]])
    middle = (spots[:, :2].min(axis=0) + spots[:, :2].max(axis=0)) / 2
    spots[:, :2] += np.array(field[:2]) + rng.uniform(-8, 8, 2) - middle
    return spots


def _linear(radii: Floats, field: Circle, rng: np.random.Generator) -> Spots:
    """A band through the picture; where one row is too short a second runs beside it."""
    x, y, reach = field
    angle = rng.uniform(0, np.pi)
    rows = 1 if 2 * radii.sum() + 2 * len(radii) < 2.1 * reach else 2
    per_row = int(np.ceil(len(radii) / rows))
    step = min(2.1 * reach / per_row, 2 * radii.max() + 5)
    spread = 0.0 if rows == 1 else float(radii.max()) + 0.5
    spots = []
    for i, radius in enumerate(radii):
        along = (i // rows - (per_row - 1) / 2) * step + (i % rows) * step / 2
        across = (2 * (i % rows) - 1) * spread + rng.uniform(-2, 2)
        dx, dy = np.cos(angle), np.sin(angle)
        spots.append([x + along * dx - across * dy, y + along * dy + across * dx, radius])
    return np.array(spots)


_ARRANGEMENTS = {"scattered": _scattered, "grouped": _grouped, "linear": _linear}


def place_lesions(findings: Mapping[str, str], rng: np.random.Generator, field: Circle) -> Spots:
    """Centres and radii [number, 3] in pixels of the 112-pixel picture.

    Count, size and arrangement of the findings decide; `field` is x, y and radius of the part of
    the picture that lesions may use.
    """
    radii = _number_and_radii(findings, rng)
    if findings["arrangement"] in _ARRANGEMENTS:
        return _ARRANGEMENTS[findings["arrangement"]](radii, field, rng)
    x, y, _ = field
    return np.array([[x + rng.uniform(-10, 10), y + rng.uniform(-10, 10), radii[0]]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything about a picture that is decided before a pixel is drawn."""

    condition: Condition
    findings: Mapping[str, str]  # the eight rendered slots
    fitzpatrick: int  # skin type 1..6
    camera: Camera
    spots: Spots = field(repr=False)  # in pixels of the 112-pixel picture
    drawing_seed: tuple[int, ...]  # of the details that no finding names

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


def plan_case(index: int, seed: int) -> Plan:
    """Decide picture number `index` of a seed, the same on every call; conditions take turns."""
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


def render(plan: Plan, size: int = 112) -> NDArray[np.uint8]:
    """The RGB picture [size, size, 3] of a plan; the scene does not depend on the size."""
    rng = np.random.default_rng(plan.drawing_seed)
    canvas = bare_skin(rng, plan.fitzpatrick, size=size, texture=plan.camera.texture)
    for x, y, radius in plan.spots * canvas.scale:
        spot = (float(x), float(y), float(radius))
        draw_lesion(canvas, spot, plan.findings, plan.condition.marks, rng)
    return take_picture(canvas, plan.camera, rng)


_LABEL_WIDTH = 118


def contact_sheet(
    seed: int, *, columns: int = 9, conditions: Sequence[str] = (), size: int = 112
) -> Image.Image:
    """A page of the first pictures of a seed, with a named row per condition, all by default."""
    names = [condition.name for condition in CONDITIONS]
    shown = list(conditions) or names
    page = Image.new("RGB", (_LABEL_WIDTH + columns * (size + 2), len(shown) * (size + 2)), "white")
    pen = ImageDraw.Draw(page)
    for line, name in enumerate(shown):
        top, first = line * (size + 2), names.index(name)
        pen.text((4, top + size // 2 - 6), name, fill="black")
        for column in range(columns):
            plan = plan_case(first + column * len(names), seed)
            left = _LABEL_WIDTH + column * (size + 2)
            page.paste(Image.fromarray(render(plan, size)), (left, top))
    return page
