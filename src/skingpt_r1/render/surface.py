"""What lies on a lesion: one function per value of the finding `surface`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from skingpt_r1.render.shape import Outline, smoothstep
from skingpt_r1.render.skin import Canvas, Field, cut, lesion_colour

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
    raise_by(
        canvas,
        outline,
        np.float32(0.05 * canvas.scale) * cut(rng, "medium", outline.shape, canvas.scale) * body,
    )
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
    wide = body
    raise_by(canvas, outline, np.float32(0.40 * canvas.scale) * grit * wide)
    pale = np.array((0.90, 0.84, 0.70), np.float32) * np.float32(1.05 - 0.05 * canvas.fitzpatrick)
    blend(canvas, outline, pale, np.float32(0.50) * smoothstep(grit, 0.9, 1.5) * wide)
    window = canvas.colour[outline.rows, outline.columns]
    window *= 1 - (0.22 * smoothstep(grit, -0.8, -1.5) * wide)[..., None]


SURFACES: Mapping[str, Painter] = MappingProxyType(
    {
        "smooth": _smooth,
        "scaly": _scaly,
        "silvery": _silvery,
        "crusted": _crusted,
        "warty": _warty,
        "shiny": _shiny,
        "dimpled": _dimpled,
        "rough": _rough,
    }
)
