"""Pictures that no model of skin should speak about: documents, noise, plain colours, drawings.

Also rendered skin that is too dark or not sharp. The gate is tried on them, never taught by them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from skingpt_r1.render.case import plan_case, render

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
Colour = tuple[int, int, int]


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def document(rng: np.random.Generator) -> Image.Image:
    """A page of text on white or cream paper, some with a coloured head."""
    width, height = (int(side) for side in rng.integers(300, 800, 2))
    paper = (255, 255, 255) if rng.random() < 0.5 else _colour(rng, 225, 256)
    page = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(page)
    if rng.random() < 0.4:
        pen.rectangle((20, 20, width - 20, 60), fill=_colour(rng))
    top = 70
    while top < height - 20:
        words = ["".join(rng.choice(list(_LETTERS), rng.integers(2, 10))) for _ in range(9)]
        pen.text((20, top), " ".join(words[: rng.integers(3, 10)]), fill=_colour(rng, 0, 70))
        top += int(rng.choice([12, 14, 26]))
    return page


def noise(rng: np.random.Generator) -> Image.Image:
    """Every pixel by itself, grey or coloured."""
    side, channels = int(rng.integers(80, 400)), int(rng.choice([1, 3]))
    values = rng.integers(0, 256, (side, side, channels))
    if rng.random() < 0.3:
        values = np.clip(rng.normal(128, 50, values.shape), 0, 255)
    return Image.fromarray(np.broadcast_to(values, (side, side, 3)).astype(np.uint8))


def plain(rng: np.random.Generator) -> Image.Image:
    """One colour, of skin as often as not, with or without a shade across."""
    colour = _colour(rng) if rng.random() < 0.5 else (220, 170, 140)
    width, height = (int(side) for side in rng.integers(60, 500, 2))
    values = np.full((height, width, 3), colour, dtype=np.float64)
    if rng.random() < 0.3:
        values *= np.linspace(0.8, 1, width)[None, :, None]
    return Image.fromarray(values.astype(np.uint8))


def drawing(rng: np.random.Generator) -> Image.Image:
    """Coloured shapes on a coloured ground."""
    width, height = (int(side) for side in rng.integers(200, 600, 2))
    page = Image.new("RGB", (width, height), _colour(rng, 60))
    pen = ImageDraw.Draw(page)
    for _ in range(int(rng.integers(3, 30))):
        left, top, size = (int(rng.integers(0, most)) for most in (width, height, 200))
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw((left, top, left + size + 10, top + size + 10), fill=_colour(rng))
    return page


def dark(rng: np.random.Generator) -> Image.Image:
    """Rendered skin with hardly any light."""
    share = rng.uniform(0.02, 0.1)
    return _skin(rng).point(lambda value: int(value * share))


def blurred(rng: np.random.Generator) -> Image.Image:
    """Rendered skin far out of focus."""
    picture = _skin(rng)
    return picture.filter(ImageFilter.GaussianBlur(picture.width * rng.uniform(0.03, 0.08)))


def _skin(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(render(plan_case(int(rng.integers(0, 10_000)), 70_003)))


KINDS: Mapping[str, Callable[[np.random.Generator], Image.Image]] = MappingProxyType(
    {
        "documents": document,
        "noise": noise,
        "plain colours": plain,
        "drawings": drawing,
        "dark skin pictures": dark,
        "blurred skin pictures": blurred,
    }
)


def other_pictures(count: int, seed: int) -> dict[str, list[Image.Image]]:
    """`count` pictures of each kind."""
    return {
        kind: [make(np.random.default_rng((seed, number, place))) for number in range(count)]
        for place, (kind, make) in enumerate(KINDS.items())
    }
