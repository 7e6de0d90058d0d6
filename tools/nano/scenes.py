"""General pictures for schooling the embedded backbone: coloured shapes on various grounds.

Nothing here is skin and nothing knows a skin condition: a scene is a number of equal shapes with a
colour, a size, an edge, a fill and an arrangement, seen under varying light, blur and noise. Every
attribute is drawn on its own, so that no combination means anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (200, 40, 40),
    "pink": (235, 140, 150),
    "orange": (230, 130, 40),
    "yellow": (225, 205, 70),
    "green": (60, 150, 70),
    "blue": (60, 90, 190),
    "purple": (125, 60, 140),
    "brown": (115, 70, 40),
    "black": (35, 30, 30),
    "white": (240, 238, 235),
    "grey": (135, 135, 135),
    "tan": (205, 165, 125),
}
SHAPES = ("disc", "ring", "square", "triangle", "star", "bar")
SIZES: dict[str, tuple[float, float]] = {"small": (6, 10), "medium": (13, 18), "large": (22, 34)}
CLOSE_SIZES: dict[str, tuple[float, float]] = {
    "small": (6, 10), "medium": (12, 16), "large": (18, 26),
}  # fmt: skip
EDGES = ("sharp", "soft", "jagged", "embossed")
FILLS = ("plain", "speckled", "striped", "glossy", "pitted", "bumpy", "flaky", "mottled")
CELL = 4
ARRANGEMENTS = ("single", "scattered", "clustered", "row", "circle", "grid")
GROUNDS = ("plain", "gradient", "grainy", "striped", "cloudy")
PLACES = ("centre", "left", "right", "top", "bottom")

# attribute -> its values, in class order; what the vision tower is schooled on.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "ground_colour": tuple(COLOURS),
    "shape": SHAPES,
    "size": tuple(SIZES),
    "edge": EDGES,
    "fill": FILLS,
    "arrangement": ARRANGEMENTS,
    "ground": GROUNDS,
    "place": PLACES,
    "count": tuple(str(n) for n in range(1, 13)),
    "contrast": ("faint", "strong"),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture, the value of every attribute, and where the shapes are.

    Attributes:
        image: uint8, [size, size, 3].
        attributes: name -> value.
        cover: share of each `CELL`-pixel cell that shapes cover, [size / CELL, size / CELL], 0..1.
    """

    image: NDArray[np.uint8]
    attributes: dict[str, str]
    cover: Array


def draw_scene(rng: np.random.Generator, size: int = 112) -> Scene:
    """One random scene; the same generator state gives the same scene."""
    attributes = _choose(rng)
    low, high = SIZES[attributes["size"]]
    places = _positions(attributes, size, rng)
    scale = size / 112
    radii = [rng.uniform(low, high) * scale for _ in places]
    return _compose(attributes, places, radii, size, rng)


def draw_closeup(rng: np.random.Generator, size: int = 56) -> Scene:
    """One shape that fills much of a smaller picture, at the scale of full scenes.

    Its arrangement, count and place say nothing; shape, edge and fill are easier to learn on it.
    """
    attributes = {**_choose(rng), "arrangement": "single", "count": "1", "place": "centre"}
    place = (float(rng.uniform(0.32, 0.68) * size), float(rng.uniform(0.32, 0.68) * size))
    radius = rng.uniform(*CLOSE_SIZES[attributes["size"]])
    return _compose(attributes, [place], [radius], size, rng)


def _compose(
    attributes: dict[str, str],
    places: list[tuple[float, float]],
    radii: list[float],
    size: int,
    rng: np.random.Generator,
) -> Scene:
    ground = _nearby(COLOURS[attributes["ground_colour"]], rng, 22)
    canvas = _draw_ground(ground, attributes["ground"], size, rng)
    ink = _nearby(COLOURS[attributes["colour"]], rng, 16)
    strong = attributes["contrast"] == "strong"
    strength = rng.uniform(0.75, 1.0) if strong else rng.uniform(0.35, 0.5)
    cover = np.zeros((size, size), np.float32)
    for (x, y), radius in zip(places, radii, strict=True):
        _draw_shape(canvas, cover, x, y, radius, ink, strength, attributes, rng)
    side = size // CELL
    cells = cover.reshape(side, CELL, side, CELL).mean((1, 3))
    return Scene(_photograph(canvas, rng), attributes, cells)


def _choose(rng: np.random.Generator) -> dict[str, str]:
    chosen = {
        name: str(rng.choice(values)) for name, values in ATTRIBUTES.items() if name != "count"
    }
    if rng.random() < 0.4:  # paper, sand and wood are commoner than green walls
        chosen["ground_colour"] = str(rng.choice(["tan", "brown", "pink", "white"]))
    chosen["contrast"] = "faint" if rng.random() < 0.15 else "strong"
    while chosen["colour"] == chosen["ground_colour"]:
        chosen["colour"] = str(rng.choice(ATTRIBUTES["colour"]))
    if chosen["size"] == "large" and chosen["arrangement"] in ("circle", "grid"):
        chosen["arrangement"] = "scattered"
    most = {"small": 12, "medium": 9, "large": 4}[chosen["size"]]
    least = {"single": 1, "scattered": 2, "clustered": 3, "row": 3, "circle": 5, "grid": 4}
    count = 1 if chosen["arrangement"] == "single" else 0
    if not count:
        low = least[chosen["arrangement"]]
        count = int(rng.integers(low, max(low, most) + 1))
    if chosen["arrangement"] in ("scattered", "circle", "grid"):
        chosen["place"] = "centre"
    chosen["count"] = str(count)
    return chosen


def _positions(
    attributes: dict[str, str], size: int, rng: np.random.Generator
) -> list[tuple[float, float]]:
    count, arrangement = int(attributes["count"]), attributes["arrangement"]
    dx, dy = {"centre": (0, 0), "left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}[
        attributes["place"]
    ]
    centre = np.array([0.5 + 0.22 * dx, 0.5 + 0.22 * dy]) + rng.normal(0, 0.02, 2)
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    steps = np.linspace(-1, 1, count)[:, None] if count > 1 else np.zeros((1, 1))
    if arrangement == "single":
        points = centre[None]
    elif arrangement == "scattered":
        points = _spread(count, rng)
    elif arrangement == "clustered":
        points = centre + rng.normal(0, 0.085, (count, 2))
    elif arrangement == "row":
        points = centre + steps * along * rng.uniform(0.22, 0.3) + rng.normal(0, 0.012, (count, 2))
    elif arrangement == "circle":
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False) + angle
        points = 0.5 + rng.uniform(0.25, 0.36) * np.stack([np.cos(turn), np.sin(turn)], 1)
    else:
        side = int(np.ceil(np.sqrt(count)))
        cells = np.array([(i % side, i // side) for i in range(count)], float)
        points = 0.18 + 0.64 * cells / max(side - 1, 1)
    return [(float(x), float(y)) for x, y in np.clip(points, 0.06, 0.94) * size]


def _spread(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points that keep some distance: each is the farthest of a few random candidates."""
    points = rng.uniform(0.12, 0.88, (1, 2))
    while len(points) < count:
        candidates = rng.uniform(0.1, 0.9, (8, 2))
        distance = np.linalg.norm(candidates[:, None] - points[None], axis=-1).min(1)
        points = np.vstack([points, candidates[distance.argmax()]])
    return points


def _nearby(colour: tuple[int, int, int], rng: np.random.Generator, spread: float) -> Array:
    return np.clip(np.array(colour) + rng.normal(0, spread / 2, 3), 5, 250).astype(np.float32)


def _draw_ground(colour: Array, kind: str, size: int, rng: np.random.Generator) -> Array:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    canvas = np.broadcast_to(colour, (size, size, 3)).astype(np.float32).copy()
    angle = rng.uniform(0, 2 * np.pi)
    ramp = x * np.cos(angle) + y * np.sin(angle)
    if kind == "gradient":
        canvas += (ramp - 0.5)[..., None] * rng.uniform(30, 70)
    elif kind == "striped":
        canvas += (np.sin(ramp * rng.uniform(25, 70)) * rng.uniform(6, 16))[..., None]
    elif kind == "grainy":
        canvas += rng.normal(0, rng.uniform(6, 14), (size, size, 1)).astype(np.float32)
    elif kind == "cloudy":
        canvas += (_noise(size, rng.uniform(5, 14), rng) * rng.uniform(8, 18))[..., None]
    return canvas


def _noise(size: int, sigma: float, rng: np.random.Generator) -> Array:
    """Smooth noise with unit deviation, made small and enlarged because blurring large is slow."""
    step = max(1, int(sigma / 2))
    small = rng.normal(size=(size // step + 2, size // step + 2)).astype(np.float32)
    small = ndimage.gaussian_filter(small, sigma / step, mode="wrap")
    field = np.kron(small, np.ones((step, step), np.float32))[:size, :size] if step > 1 else small
    field = field[:size, :size]
    scaled: Array = (field / (field.std() + 1e-6)).astype(np.float32)
    return scaled


def _draw_shape(
    canvas: Array,
    cover: Array,
    cx: float,
    cy: float,
    radius: float,
    ink: Array,
    strength: float,
    attributes: dict[str, str],
    rng: np.random.Generator,
) -> None:
    size = canvas.shape[0]
    reach = radius * 1.5 + 3
    x0, x1 = max(int(cx - reach), 0), min(int(cx + reach) + 1, size)
    y0, y1 = max(int(cy - reach), 0), min(int(cy + reach) + 1, size)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    u, v = (x - cx) / radius, (y - cy) / radius
    turn = rng.uniform(0, 2 * np.pi)
    u, v = u * np.cos(turn) + v * np.sin(turn), -u * np.sin(turn) + v * np.cos(turn)
    inside = -_distance(attributes["shape"], u, v)
    edge = attributes["edge"]
    if edge == "jagged":
        theta = np.arctan2(v, u)
        for waves in (5, 9):
            inside = inside + 0.13 * np.sin(waves * theta + rng.uniform(0, 6.3))
    softness = 0.45 if edge == "soft" else 1.2 / radius
    mask = np.clip(inside / softness + 0.5, 0, 1)
    colour = _fill(attributes["fill"], u, v, ink, radius, rng)
    if edge == "embossed":
        rim = np.exp(-(((inside - 0.08) / 0.13) ** 2))
        light = np.cos(np.arctan2(v, u) - turn - 0.8)
        colour = colour + (rim * (28 + 30 * light))[..., None]
    alpha = (mask * strength)[..., None]
    canvas[y0:y1, x0:x1] = canvas[y0:y1, x0:x1] * (1 - alpha) + colour * alpha
    cover[y0:y1, x0:x1] = np.maximum(cover[y0:y1, x0:x1], mask)


def _distance(shape: str, u: Array, v: Array) -> NDArray[Any]:
    """Signed distance to the outline in units of the radius; negative inside."""
    r, theta = np.hypot(u, v), np.arctan2(v, u)
    box = np.maximum(np.abs(u), np.abs(v))
    outlines: dict[str, Callable[[], NDArray[Any]]] = {
        "disc": lambda: r - 1,
        "ring": lambda: np.abs(r - 0.78) - 0.24,
        "square": lambda: box - 0.85,
        "triangle": lambda: np.maximum(np.abs(u) * 0.87 + v * 0.5, -v) - 0.6,
        "star": lambda: r - (0.72 + 0.3 * np.cos(5 * theta)),
        "bar": lambda: np.maximum(np.abs(u) - 1.1, np.abs(v) - 0.28),
    }
    return outlines[shape]()


def _fill(
    kind: str, u: Array, v: Array, ink: Array, radius: float, rng: np.random.Generator
) -> Array:
    """Colour of every pixel of a shape, [height, width, 3]."""
    grain = rng.normal(size=u.shape).astype(np.float32)
    if kind in ("flaky", "mottled"):
        return _patchwork(kind, grain, ink, radius, rng)
    lights: dict[str, Callable[[], NDArray[Any]]] = {
        "plain": lambda: 0 * u,
        "speckled": lambda: 85 * (grain > 1.4),
        "striped": lambda: 45 * np.sin(u * max(radius, 8) * 0.7),
        "glossy": lambda: 150 * np.exp(-(((u + 0.35) ** 2 + (v + 0.35) ** 2) / 0.05)),
        "pitted": lambda: -100 * np.exp(-((u**2 + v**2) / 0.1)),
        "bumpy": lambda: 34 * _smooth(grain, max(radius / 12, 0.8)),
    }
    colour: Array = (ink + lights[kind]()[..., None]).astype(np.float32)
    return colour


def _patchwork(
    kind: str, grain: Array, ink: Array, radius: float, rng: np.random.Generator
) -> Array:
    """Flakes of white, or clouds of a second colour, over the ink."""
    if kind == "flaky":
        flakes = _smooth(grain, max(radius / 14, 0.7))
        share, other = np.clip((flakes - 0.3) * 1.5, 0, 1) * 0.8, np.full(3, 232, np.float32)
    else:
        clouds = _smooth(grain, max(radius / 5, 1.2))
        share = np.clip(clouds * 0.6 + 0.5, 0, 1) * 0.85
        other = _nearby(COLOURS[str(rng.choice(list(COLOURS)))], rng, 10)
    colour: Array = ink * (1 - share[..., None]) + other * share[..., None]
    return colour


def _smooth(grain: Array, sigma: float) -> Array:
    """Blurred noise with unit deviation."""
    blurred = ndimage.gaussian_filter(grain, sigma)
    scaled: Array = blurred / (blurred.std() + 1e-6)
    return scaled


def _photograph(canvas: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light, lines across the picture, blur and sensor noise."""
    size = canvas.shape[0]
    canvas = canvas * rng.normal(1, 0.05, 3).astype(np.float32) * rng.uniform(0.8, 1.15)
    for _ in range(int(rng.choice([0, 0, 0, 2, 6]))):
        _scratch(canvas, rng)
    if rng.random() < 0.25:
        y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
        canvas = canvas * np.clip(1.55 - np.hypot(x, y) * rng.uniform(0.7, 1.1), 0.05, 1)[..., None]
    if rng.random() < 0.5:
        canvas = ndimage.gaussian_filter(canvas, (*[rng.uniform(0.3, 0.9)] * 2, 0))
    canvas = canvas + rng.normal(0, rng.uniform(1, 5), canvas.shape).astype(np.float32)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _scratch(canvas: Array, rng: np.random.Generator) -> None:
    size = canvas.shape[0]
    t = np.linspace(0, 1, 2 * size)
    start, end, bend = rng.uniform(0, size, 2), rng.uniform(0, size, 2), rng.normal(0, 12, 2)
    path = start + (end - start) * t[:, None] + bend * np.sin(np.pi * t)[:, None]
    x, y = np.clip(path.astype(int), 0, size - 1).T
    canvas[y, x] *= rng.uniform(0.3, 0.7)
