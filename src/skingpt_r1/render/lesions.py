"""Drawing a lesion from its findings: outline, colour and relief, then border and surface.

A condition's marks add details that the eight findings do not name: `asymmetric`, `symmetric` and
`polygonal` shape the outline; `variegated`, `dark-centre` and `vessels` its colour; `halo` and
`base` redden the skin around; `edge-scale` keeps scale to the border.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from skingpt_r1.render.skin import Canvas, Field, cut, lesion_colour

Spot = tuple[float, float, float]  # x, y and radius in pixels


@dataclass(frozen=True, slots=True)
class Outline:
    """A lesion on its window of the canvas; fields are [h, w]."""

    rows: slice
    columns: slice
    radius: float  # the mean, in pixels
    reach: Field  # 0 at the centre, 1 on the border
    inside: Field  # pixels from the border, positive inside
    dx: Field  # pixels right of the centre
    dy: Field  # pixels below the centre
    bearing: Field  # direction from the centre in radians
    alpha: Field  # 0 outside, 1 inside, soft where the border is

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the window."""
        height, width = self.reach.shape
        return height, width


def smoothstep(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _polygon(bearing: Field, rng: np.random.Generator) -> Field:
    """Radius factor of a polygon with five to seven sides and slightly rounded corners."""
    sides = int(rng.integers(5, 8))
    sector = 2 * np.pi / sides
    turned = (bearing + rng.uniform(0, sector)) % sector - sector / 2
    mean = np.float32(np.cos(np.pi / sides) * 1.10)
    factor = np.minimum(mean / np.cos(turned), np.float32(1.14))
    return np.asarray(factor, dtype=np.float32)


def _waves(bearing: Field, rng: np.random.Generator, amplitude: float, orders: range) -> Field:
    factor = np.ones_like(bearing)
    for order in orders:
        strength = amplitude * rng.uniform(0.5, 1.0) / np.sqrt(order)
        factor += np.float32(strength) * np.cos(order * bearing + rng.uniform(0, 2 * np.pi))
    return factor


def _notches(bearing: Field, rng: np.random.Generator) -> Field:
    factor = np.ones_like(bearing)
    for _ in range(int(rng.integers(2, 4))):
        away = np.abs((bearing - rng.uniform(-np.pi, np.pi) + np.pi) % (2 * np.pi) - np.pi)
        depth, width = rng.uniform(0.14, 0.30), rng.uniform(0.14, 0.26)
        factor -= np.float32(depth) * np.exp(-((away / width) ** 2))
    return factor


def _contour(bearing: Field, rng: np.random.Generator, border: str, marks: frozenset[str]) -> Field:
    if border == "irregular":
        factor = _waves(bearing, rng, 0.10, range(2, 8)) * _notches(bearing, rng)
    elif "polygonal" in marks:
        factor = _polygon(bearing, rng)
    else:
        factor = _waves(bearing, rng, 0.02 if "symmetric" in marks else 0.07, range(2, 5))
    if "asymmetric" in marks:
        factor *= _waves(bearing, rng, 0.28, range(1, 2))
    return np.asarray(np.maximum(factor, np.float32(0.35)), dtype=np.float32)


def draw_outline(
    canvas: Canvas, spot: Spot, rng: np.random.Generator, *, border: str, marks: frozenset[str]
) -> Outline:
    """The outline of a lesion; parts beyond the picture are cut off."""
    side = len(canvas.height)
    x, y, radius = spot
    margin = int(np.ceil(1.75 * radius + 4 * canvas.scale))
    left, right = max(0, int(x) - margin), min(side, int(x) + margin + 1)
    top, bottom = max(0, int(y) - margin), min(side, int(y) + margin + 1)
    dx = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - x)
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - y)
    dx, dy = np.broadcast_arrays(dx, dy)
    bearing = np.arctan2(dy, dx)
    tilt, stretch = rng.uniform(0, np.pi), rng.uniform(0.0, 0.12)
    factor = _contour(bearing, rng, border, marks)
    factor *= (1 + stretch * np.cos(2 * (bearing - tilt))).astype(np.float32)
    reach = np.hypot(dx, dy) / (radius * factor)
    inside = (1 - reach) * np.float32(radius)
    soft = (1.4 if border == "rolled" else 0.7) * canvas.scale
    if border == "blurred":
        soft = max(3.2 * canvas.scale, 0.42 * radius)
    alpha = smoothstep(inside, -soft, soft)
    return Outline(
        slice(top, bottom), slice(left, right), radius, reach, inside, dx, dy, bearing, alpha
    )


Painter = Callable[[Canvas, Outline, Field, np.random.Generator], None]


def blend(canvas: Canvas, outline: Outline, colour: Field, weight: Field) -> None:
    """Mix a colour [3] or [h, w, 3] into the window; `weight` [h, w] is 0..1."""
    window = canvas.colour[outline.rows, outline.columns]
    window += weight[..., None] * (colour - window)


def raise_by(canvas: Canvas, outline: Outline, pixels: Field) -> None:
    """Add relief to the window."""
    canvas.height[outline.rows, outline.columns] += pixels


def _flakes(
    canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator, share: float
) -> Field:
    """Coverage 0..1 by flakes, which leave `1 - share` of the body free."""
    level = cut(rng, "flakes", outline.shape, canvas.scale)
    clumps = 0.09 * cut(rng, "medium", outline.shape, canvas.scale)
    return smoothstep(level + clumps, 1 - share, 1 - share + 0.16) * body


def _smooth(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    canvas.gloss[outline.rows, outline.columns] += np.float32(0.04) * body


def _scaly(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    cover = _flakes(canvas, outline, body, rng, 0.42)
    light = np.float32(0.45) * lesion_colour("white", canvas.fitzpatrick) + np.float32(0.46)
    window = canvas.colour[outline.rows, outline.columns]
    window *= 1 - (np.float32(0.06) * (body - cover))[..., None]
    blend(canvas, outline, light, np.float32(0.62) * cover)
    raise_by(canvas, outline, np.float32(0.55 * canvas.scale) * cover)


def _silvery(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    middle = body * smoothstep(outline.reach, 1.0, 0.72)
    cover = _flakes(canvas, outline, middle, rng, 0.80)
    cover = np.maximum(cover, np.float32(0.40) * middle)
    silver = np.array((0.93, 0.94, 0.97), np.float32) * np.float32(1.0 - 0.03 * canvas.fitzpatrick)
    blend(canvas, outline, silver, np.float32(0.84) * cover)
    raise_by(canvas, outline, np.float32(0.8 * canvas.scale) * cover)
    canvas.gloss[outline.rows, outline.columns] += np.float32(0.10) * cover


def _crusted(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    lumps = cut(rng, "medium", outline.shape, canvas.scale)
    lumps = lumps + 0.5 * cut(rng, "fine", outline.shape, canvas.scale)
    near = smoothstep(outline.reach, 1.0, 0.55) * body
    cover = smoothstep(lumps, -0.45, 0.25) * near
    shade = 1 + 0.16 * cut(rng, "fine", outline.shape, canvas.scale)
    dim = np.float32(1.06 - 0.07 * canvas.fitzpatrick)
    crust = np.array((0.80, 0.56, 0.16), np.float32) * dim * shade[..., None].astype(np.float32)
    blend(canvas, outline, crust, np.float32(0.92) * cover)
    raise_by(canvas, outline, np.float32(1.1 * canvas.scale) * cover)


def _warty(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    bumps = cut(rng, "bumps", outline.shape, canvas.scale)
    raise_by(canvas, outline, np.float32(2.1 * canvas.scale) * bumps * body)
    crypts = smoothstep(bumps, 0.22, 0.02) * body
    blend(canvas, outline, np.array((0.10, 0.07, 0.05), np.float32), np.float32(0.60) * crypts)
    window = canvas.colour[outline.rows, outline.columns]
    window *= (1 + 0.22 * (bumps - 0.3) * body)[..., None]


def _shiny(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    gloss = canvas.gloss[outline.rows, outline.columns]
    gloss += np.float32(0.85) * body
    ripples = np.float32(0.05 * canvas.scale) * cut(rng, "medium", outline.shape, canvas.scale)
    raise_by(canvas, outline, ripples * body)
    angle, away = rng.uniform(-2.6, -0.5), 0.34 * outline.radius
    width = max(1.3 * canvas.scale, 0.17 * outline.radius)
    x, y = outline.dx - away * np.cos(angle), outline.dy - away * np.sin(angle)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    glint = np.exp(-((along / width) ** 2) - (across / (1.9 * width)) ** 2) * body
    blend(canvas, outline, np.ones(3, np.float32), np.float32(0.80) * glint.astype(np.float32))


def _dimpled(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    pit = max(1.7 * canvas.scale, 0.27 * outline.radius)
    x, y = rng.uniform(-0.08, 0.08, 2) * outline.radius
    away = np.hypot(outline.dx - x, outline.dy - y) / np.float32(pit)
    hole = np.exp(-(away**4)) * body
    rim = np.exp(-(((away - 1.55) / 0.40) ** 2)) * body
    raise_by(canvas, outline, np.float32(-1.5 * canvas.scale) * hole)
    dark = lesion_colour("brown", canvas.fitzpatrick) * np.float32(0.75)
    blend(canvas, outline, dark, np.float32(0.82) * hole)
    blend(canvas, outline, np.ones(3, np.float32), np.float32(0.30) * rim)


def _rough(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    grit = cut(rng, "grain", outline.shape, canvas.scale)
    raise_by(canvas, outline, np.float32(0.40 * canvas.scale) * grit * body)
    pale = np.array((0.90, 0.84, 0.70), np.float32) * np.float32(1.05 - 0.05 * canvas.fitzpatrick)
    blend(canvas, outline, pale, np.float32(0.50) * smoothstep(grit, 0.9, 1.5) * body)
    window = canvas.colour[outline.rows, outline.columns]
    window *= 1 - (0.22 * smoothstep(grit, -0.8, -1.5) * body)[..., None]


SURFACES: Mapping[str, Painter] = {
    "smooth": _smooth,
    "scaly": _scaly,
    "silvery": _silvery,
    "crusted": _crusted,
    "warty": _warty,
    "shiny": _shiny,
    "dimpled": _dimpled,
    "rough": _rough,
}


def _relief(canvas: Canvas, outline: Outline, morphology: str) -> Field:
    """Height of the body in pixels."""
    scale = canvas.scale
    shoulder = smoothstep(outline.inside, -1.0 * scale, 3.5 * scale)
    if morphology in ("macule", "patch"):
        return np.zeros_like(outline.reach)
    if morphology == "plaque":
        return np.float32(1.9 * scale) * shoulder
    if morphology == "wheal":
        return np.float32(3.2 * scale) * smoothstep(outline.inside, -1.5 * scale, 7.0 * scale)
    if morphology == "ring":
        band = np.exp(-(((outline.reach - 0.82) / 0.17) ** 2))
        return np.asarray(min(2.2 * scale, 0.12 * outline.radius) * band, dtype=np.float32)
    steepness = {"papule": 0.42, "nodule": 0.52, "vesicle": 0.55, "pustule": 0.50}[morphology]
    dome = np.float32(steepness * outline.radius) * np.clip(1 - outline.reach**2, 0, 1)
    return np.asarray(dome, dtype=np.float32)


def _body(outline: Outline, morphology: str) -> Field:
    """Where the lesion's own colour and surface show; rings clear in the centre."""
    if morphology != "ring":
        return outline.alpha
    width = max(0.30, min(0.42, 5.0 / outline.radius))
    return outline.alpha * smoothstep(outline.reach, 0.98 - width - 0.16, 0.98 - width + 0.08)


def _redness(marks: frozenset[str], morphology: str) -> float:
    """Strength of the flush around a lesion."""
    if "base" in marks:
        return 0.75
    if "halo" in marks:
        return 0.55
    return 0.4 if morphology == "vesicle" else 0.0


def _redden(canvas: Canvas, outline: Outline, strength: float) -> None:
    """A red flush that fades into the skin around the lesion."""
    if not strength:
        return
    fade = smoothstep(outline.reach, 1.7, 0.5)
    blend(canvas, outline, lesion_colour("red", canvas.fitzpatrick), np.float32(strength) * fade)


def _variegate(
    canvas: Canvas, outline: Outline, body: Field, main: str, rng: np.random.Generator
) -> None:
    """Regions of other browns, black and grey-blue; the main colour stays the largest."""
    for name, low, strength in (("black", 0.5, 0.85), ("brown", 0.5, 0.75), ("tan", 1.0, 0.55)):
        if name == main:
            continue
        field = cut(rng, "coarse", outline.shape, canvas.scale)
        field = field + 0.4 * cut(rng, "medium", outline.shape, canvas.scale)
        region = smoothstep(field, low, low + 0.5) * body
        colour = lesion_colour(name, canvas.fitzpatrick)
        blend(canvas, outline, colour, np.float32(strength) * region)
    veil = smoothstep(cut(rng, "coarse", outline.shape, canvas.scale), 0.9, 1.5) * body
    blend(canvas, outline, np.array((0.36, 0.40, 0.50), np.float32), np.float32(0.6) * veil)


def _vessels(canvas: Canvas, outline: Outline, body: Field, rng: np.random.Generator) -> None:
    """Fine branching red vessels running in from the border."""
    red = lesion_colour("red", canvas.fitzpatrick) * np.float32(0.85)
    for _ in range(int(rng.integers(3, 6))):
        course = rng.uniform(-np.pi, np.pi)
        bend = 0.35 * np.sin(outline.reach * rng.uniform(4, 8) + rng.uniform(0, 6))
        away = np.abs((outline.bearing - course - bend + np.pi) % (2 * np.pi) - np.pi)
        across = away * outline.reach * np.float32(outline.radius / (0.75 * canvas.scale))
        stretch = smoothstep(outline.reach, 0.30, 0.45) * body
        blend(canvas, outline, red, np.float32(0.75) * np.exp(-(across**2)) * stretch)


def _paint_body(
    canvas: Canvas,
    outline: Outline,
    body: Field,
    findings: Mapping[str, str],
    rng: np.random.Generator,
) -> None:
    colour = lesion_colour(findings["colour"], canvas.fitzpatrick)
    tint = rng.uniform(0.95, 1.05) * (1 + rng.uniform(-0.025, 0.025, 3))
    mottle = 1 + 0.05 * cut(rng, "medium", outline.shape, canvas.scale)
    painted = (colour * tint * mottle[..., None]).astype(np.float32)
    blend(canvas, outline, painted, np.float32(0.94) * body)
    morphology = findings["morphology"]
    if morphology == "wheal":
        pale = lesion_colour("skin-coloured", canvas.fitzpatrick) * np.float32(1.05)
        blend(canvas, outline, pale, np.float32(0.55) * smoothstep(outline.reach, 0.75, 0.25))
    elif morphology == "vesicle":
        clear = np.float32(0.55) * lesion_colour("skin-coloured", canvas.fitzpatrick)
        middle = smoothstep(outline.reach, 0.88, 0.45)
        blend(canvas, outline, clear + np.float32(0.40), np.float32(0.62) * middle)
    elif morphology == "pustule":
        head = smoothstep(outline.reach, 0.58, 0.36)
        pus = lesion_colour("yellow", canvas.fitzpatrick) * np.float32(1.04)
        blend(canvas, outline, pus, np.float32(0.92) * head)


def _glint(canvas: Canvas, outline: Outline) -> None:
    """The window reflex on a fluid-filled blister."""
    away = 0.32 * outline.radius
    width = max(0.9 * canvas.scale, 0.17 * outline.radius)
    distance = np.hypot(outline.dx + away, outline.dy + away) / np.float32(width)
    blend(canvas, outline, np.ones(3, np.float32), np.float32(0.9) * np.exp(-(distance**2)))


def _roll(canvas: Canvas, outline: Outline, morphology: str) -> None:
    """A raised rim just inside the border, pale where the light falls on it."""
    place, width = (0.82, 0.15) if morphology == "ring" else (0.84, 0.12)
    rim = np.exp(-(((outline.reach - place) / width) ** 2)).astype(np.float32)
    raise_by(canvas, outline, np.float32(min(3.4 * canvas.scale, 0.30 * outline.radius)) * rim)
    window = canvas.colour[outline.rows, outline.columns]
    window *= (1 + 0.10 * rim)[..., None]


def draw_lesion(
    canvas: Canvas,
    spot: Spot,
    findings: Mapping[str, str],
    marks: frozenset[str],
    rng: np.random.Generator,
) -> None:
    """Draw one lesion onto the canvas from its findings and marks."""
    morphology, border = findings["morphology"], findings["border"]
    outline = draw_outline(canvas, spot, rng, border=border, marks=marks)
    body = _body(outline, morphology)
    _redden(canvas, outline, _redness(marks, morphology))
    raise_by(canvas, outline, _relief(canvas, outline, morphology))
    _paint_body(canvas, outline, body, findings, rng)
    if "variegated" in marks:
        _variegate(canvas, outline, body, findings["colour"], rng)
    if "dark-centre" in marks:
        dark = lesion_colour("black", canvas.fitzpatrick)
        blend(canvas, outline, dark, np.float32(0.28) * smoothstep(outline.reach, 0.8, 0.1))
    if border == "rolled":
        _roll(canvas, outline, morphology)
    covered = body
    if "edge-scale" in marks:
        covered = body * smoothstep(outline.reach, 0.45, 0.75)
    SURFACES[findings["surface"]](canvas, outline, covered, rng)
    if "vessels" in marks:
        _vessels(canvas, outline, body, rng)
    if morphology == "vesicle":
        _glint(canvas, outline)
