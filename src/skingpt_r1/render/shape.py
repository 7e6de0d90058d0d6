"""The outline of a lesion: where each pixel lies between its centre and its border."""

from dataclasses import dataclass

import numpy as np

from skingpt_r1.render.skin import Canvas, Field


@dataclass(frozen=True, slots=True)
class Outline:
    """A lesion on its window of the canvas.

    Attributes:
        rows: window rows of the canvas.
        columns: window columns of the canvas.
        radius: mean radius in pixels.
        reach: [h, w] 0 at the centre, 1 on the border.
        inside: [h, w] pixels from the border, positive inside.
        dx: [h, w] pixels right of the centre.
        dy: [h, w] pixels below the centre.
        bearing: [h, w] direction from the centre in radians.
        alpha: [h, w] 0 outside, 1 inside, soft where the border is.
    """

    rows: slice
    columns: slice
    radius: float
    reach: Field
    inside: Field
    dx: Field
    dy: Field
    bearing: Field
    alpha: Field

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
    canvas: Canvas,
    centre: tuple[float, float],
    radius: float,
    rng: np.random.Generator,
    *,
    border: str,
    marks: frozenset[str],
) -> Outline:
    """The outline of a lesion at `centre` (x, y); parts beyond the picture are cut off."""
    side = len(canvas.height)
    x, y = centre
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
    if border == "blurred":
        soft = max(3.2 * canvas.scale, 0.42 * radius)
    elif border == "rolled":
        soft = 1.4 * canvas.scale
    else:
        soft = 0.7 * canvas.scale
    alpha = smoothstep(inside, -soft, soft)
    return Outline(
        slice(top, bottom), slice(left, right), radius, reach, inside, dx, dy, bearing, alpha
    )
