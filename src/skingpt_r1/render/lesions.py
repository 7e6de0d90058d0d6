"""Drawing a lesion from its findings: colour and relief by morphology, then border and surface.

A condition's marks add details that the eight findings do not name: `asymmetric`, `symmetric` and
`polygonal` shape the outline; `variegated`, `dark-centre` and `vessels` its colour; `halo` and
`base` redden the skin around; `edge-scale` keeps scale to the border.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from skingpt_r1.render.shape import Outline, draw_outline, smoothstep
from skingpt_r1.render.skin import Canvas, Field, cut, lesion_colour
from skingpt_r1.render.surface import SURFACES, blend, raise_by

Spot = tuple[float, float, float]  # x, y and radius in pixels


def _dome(outline: Outline, steepness: float) -> Field:
    dome = np.float32(steepness * outline.radius) * np.clip(1 - outline.reach**2, 0, 1)
    return np.asarray(dome, dtype=np.float32)


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
    return _dome(outline, steepness)


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
        blend(
            canvas, outline, lesion_colour(name, canvas.fitzpatrick), np.float32(strength) * region
        )
    veil = smoothstep(cut(rng, "coarse", outline.shape, canvas.scale), 0.9, 1.5) * body
    blend(canvas, outline, np.array((0.36, 0.40, 0.50), np.float32), np.float32(0.6) * veil)


def _pigment(
    canvas: Canvas,
    outline: Outline,
    body: Field,
    marks: frozenset[str],
    rng: np.random.Generator,
    *,
    main: str,
) -> None:
    if "variegated" in marks:
        _variegate(canvas, outline, body, main, rng)
    if "dark-centre" in marks:
        dark = lesion_colour("black", canvas.fitzpatrick)
        blend(canvas, outline, dark, np.float32(0.28) * smoothstep(outline.reach, 0.8, 0.1))


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
    x, y, radius = spot
    morphology, border = findings["morphology"], findings["border"]
    outline = draw_outline(canvas, (x, y), radius, rng, border=border, marks=marks)
    body = _body(outline, morphology)
    _redden(canvas, outline, _redness(marks, morphology))
    raise_by(canvas, outline, _relief(canvas, outline, morphology))
    _paint_body(canvas, outline, body, findings, rng)
    _pigment(canvas, outline, body, marks, rng, main=findings["colour"])
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


def draw_lesions(
    canvas: Canvas,
    spots: Sequence[Spot],
    findings: Mapping[str, str],
    marks: frozenset[str],
    rng: np.random.Generator,
) -> None:
    """Draw all lesions of a picture."""
    for spot in spots:
        draw_lesion(canvas, spot, findings, marks, rng)
