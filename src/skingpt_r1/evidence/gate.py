"""The gate in front of a model: can this picture be assessed at all? For research, not diagnosis.

Five questions, in this order: is it a photo, is it light enough, is it sharp, is there skin, and is
it of the world that the model was taught on? The first no ends it, with the reason in words. The
first four are measured on the pixels, by limits that stand beside what they were chosen on; the
last compares what the frozen tower sees with the pictures of training.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Floats = NDArray[np.float64]

ASSESSED = "assessed"
SIDE = 224  # pixels of the longer side at which a picture is measured


class PictureMeasures(NamedTuple):
    """What is measured on the pixels of a picture, all between 0 and about 1.

    Attributes:
        light: mean luminance.
        contrast: standard deviation of the luminance.
        flat: share of places where neighbours are equal; drawings and documents are mostly flat.
        likeness: correlation of the luminance of neighbours; noise has none.
        edges: standard deviation of the Laplacian; a blurred picture has no edges.
        skin: share of pixels whose colour skin has, of any tone, also reddened or pigmented.
        saturation: mean of the pixels.
    """

    light: float
    contrast: float
    flat: float
    likeness: float
    edges: float
    skin: float
    saturation: float


# Chosen between rendered skin and made-up pictures (documents, noise, plain colours, drawings, dark
# and blurred skin); docs/evidence.md has the figures of both and of real photos.
LEAST_LIGHT, MOST_LIGHT = 0.10, 0.96
LEAST_CONTRAST = 0.022
MOST_FLAT = 0.27
LEAST_LIKENESS = 0.40
LEAST_EDGES = 0.0075
LEAST_SKIN = 0.04
PAPER_LIGHT, PAPER_FLAT, PAPER_EDGES = 0.78, 0.15, 0.10


def measure_picture(picture: Image.Image) -> PictureMeasures:
    """Measure a picture of any size."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    pixels = np.asarray(small, dtype=np.float64) / 255
    light = pixels @ np.array([0.299, 0.587, 0.114])
    across, down = np.diff(light, axis=1), np.diff(light, axis=0)
    equal = (abs(across[:-1]) < 1 / 512) & (abs(down[:, :-1]) < 1 / 512)
    bend = 4 * light[1:-1, 1:-1] - light[:-2, 1:-1] - light[2:, 1:-1]
    bend = bend - light[1:-1, :-2] - light[1:-1, 2:]
    hue, saturation = _hue_and_saturation(pixels)
    reddish = (hue <= 55) | (hue >= 325)
    skin = reddish & (saturation > 0.06) & (saturation < 0.85) & (pixels[..., 0] > 0.12)
    return PictureMeasures(
        light=float(light.mean()),
        contrast=float(light.std()),
        flat=float(equal.mean()) if equal.size else 1.0,
        likeness=_correlation(light[:, :-1].ravel(), light[:, 1:].ravel()),
        edges=float(bend.std()) if bend.size else 0.0,
        skin=float(skin.mean()),
        saturation=float(saturation.mean()),
    )


def _hue_and_saturation(pixels: Floats) -> tuple[Floats, Floats]:
    """Hue in degrees and saturation from 0 to 1, as in HSV."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    high, low = pixels.max(-1), pixels.min(-1)
    spread = high - low
    safe = np.where(spread > 0, spread, 1.0)
    hue = np.select(
        [spread == 0, high == red, high == green],
        [0.0, (green - blue) / safe % 6, (blue - red) / safe + 2],
        (red - green) / safe + 4,
    )
    return 60 * hue, np.where(high > 0, spread / np.where(high > 0, high, 1.0), 0.0)


def _correlation(first: Floats, second: Floats) -> float:
    if first.size < 2 or first.std() < 1e-6 or second.std() < 1e-6:
        return 1.0
    return float(np.corrcoef(first, second)[0, 1])


def picture_problem(found: PictureMeasures) -> str | None:
    """Why no model should speak about a picture; None when nothing speaks against it."""
    if found.light < LEAST_LIGHT:
        return "it is too dark"
    if found.light > MOST_LIGHT:
        return "it is overexposed"
    if found.contrast < LEAST_CONTRAST:
        return "it is one plain colour"
    if found.likeness < LEAST_LIKENESS:
        return "it is noise, not a photo"
    is_paper = found.light > PAPER_LIGHT and found.flat > PAPER_FLAT and found.edges > PAPER_EDGES
    if found.flat > MOST_FLAT and found.edges >= LEAST_EDGES or is_paper:
        return "it is a drawing or a document, not a photo"
    if found.edges < LEAST_EDGES:
        return "it is not sharp enough"
    if found.skin < LEAST_SKIN:
        return "no skin is seen"
    return None


class World:
    """What the pictures of training look like to the frozen tower.

    The distance of a picture is that of Mahalanobis, in the directions in which the training
    pictures vary most.

    Attributes:
        name: for people, such as `rendered skin`.
        mean: `[W]`; directions: `[W, K]`, each scaled to unit variance.
        limit: the largest distance that still counts as inside.
    """

    def __init__(self, name: str, mean: Tensor, directions: Tensor, limit: float) -> None:
        self.name, self.mean, self.directions, self.limit = name, mean, directions, limit

    @classmethod
    def of(cls, name: str, cells: Tensor, *, width: int = 48, share: float = 0.995) -> "World":
        """Learn from `[pictures, cells, W]`; `share` of them are inside."""
        vectors = cells.float().mean(1)
        mean = vectors.mean(0)
        centred = vectors - mean
        _, scale, basis = torch.linalg.svd(centred, full_matrices=False)
        kept = min(width, int((scale > 1e-6 * scale[0]).sum()))
        deviation = scale[:kept] / len(vectors) ** 0.5
        world = cls(name, mean, basis[:kept].T / deviation, 0.0)
        world.limit = float(torch.quantile(world.distances(cells), share))
        return world

    def distances(self, cells: Tensor) -> Tensor:
        """`[pictures]`."""
        vectors = cells.float().mean(1) - self.mean
        return (vectors @ self.directions).square().mean(1).sqrt()
