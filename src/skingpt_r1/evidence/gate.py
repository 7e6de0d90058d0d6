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
from torch import Tensor, nn

Floats = NDArray[np.float64]

ASSESSED = "assessed"
SIDE = 224  # pixels of the longer side at which a picture is measured


class PictureMeasures(NamedTuple):
    """What is measured on the pixels of a picture, all between 0 and about 1.

    Attributes:
        flat: share of places where neighbours are equal; drawings and documents are mostly flat.
    """

    light: float  # mean luminance
    contrast: float  # standard deviation of the luminance
    flat: float
    likeness: float  # correlation of the luminance of neighbours; noise has none
    edges: float  # standard deviation of the Laplacian; a blurred picture has no edges
    skin: float  # share of pixels whose colour skin has, of any tone, also reddened or pigmented
    saturation: float  # mean of the pixels


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
    if found.contrast < LEAST_CONTRAST:
        return "it is one plain colour"
    if found.likeness < LEAST_LIKENESS:
        return "it is noise, not a photo"
    is_paper = found.light > PAPER_LIGHT and found.flat > PAPER_FLAT and found.edges > PAPER_EDGES
    if (found.flat > MOST_FLAT and found.edges >= LEAST_EDGES) or is_paper:
        return "it is a drawing or a document, not a photo"
    if found.light > MOST_LIGHT:
        return "it is overexposed"
    if found.edges < LEAST_EDGES:
        return "it is not sharp enough"
    if found.skin < LEAST_SKIN:
        return "no skin is seen"
    return None


TEXTURE_SIDE = 112  # pixels at which the texture of a picture is described
_SCALES = (1, 2, 4, 8)


def texture(picture: Image.Image) -> Tensor:
    """How a picture is made, not what it shows: `[68]`.

    Strength, direction and peakedness of the edges of luminance and of two colour differences at
    four scales, and how they go together. Camera, compression and drawing leave their traces here.
    """
    small = picture.convert("RGB").resize((TEXTURE_SIDE,) * 2, Image.Resampling.BICUBIC)
    pixels = np.asarray(small, dtype=np.float64) / 255
    light = pixels @ np.array([0.299, 0.587, 0.114])
    reds, blues = pixels[..., 0] - light, pixels[..., 2] - light
    found: list[float] = []
    for plane in (light, reds, blues):
        for scale in _SCALES:
            cells = TEXTURE_SIDE // scale
            found += _edges(plane.reshape(cells, scale, cells, scale).mean((1, 3)))
        found += [plane.mean(), plane.std()]
    along = np.diff(light, axis=1).ravel()
    found += [_correlation(along, np.diff(plane, axis=1).ravel()) for plane in (reds, blues)]
    return torch.tensor(found, dtype=torch.float32)


def _edges(plane: Floats) -> list[float]:
    bend = 4 * plane[1:-1, 1:-1] - plane[:-2, 1:-1] - plane[2:, 1:-1]
    bend = bend - plane[1:-1, :-2] - plane[1:-1, 2:]
    strengths = (
        bend.std(), abs(bend).mean(), np.diff(plane, axis=0).std(), np.diff(plane, axis=1).std(),
    )  # fmt: skip
    peaked = (bend**4).mean() / (bend.var() ** 2 + 1e-9)
    return [*(float(np.log(value + 1e-3)) for value in strengths), float(np.log1p(peaked))]


class World(nn.Module):
    """What the pictures of training look like, in their texture and to the frozen tower.

    A picture is outside where its distance (of Mahalanobis) in either is larger than that of nearly
    all pictures that the limits were learned on.

    Args:
        width: values of a cell of the tower.
        directions: of the tower's variation that count.
    """

    texture_mean: Tensor
    texture_scale: Tensor
    tower_mean: Tensor
    tower_scale: Tensor
    limits: Tensor

    def __init__(self, width: int, directions: int = 128) -> None:
        super().__init__()
        size = len(texture(Image.new("RGB", (TEXTURE_SIDE, TEXTURE_SIDE))))
        self.register_buffer("texture_mean", torch.zeros(size))
        self.register_buffer("texture_scale", torch.zeros(size, size))
        self.register_buffer("tower_mean", torch.zeros(width))
        self.register_buffer("tower_scale", torch.zeros(width, min(directions, width)))
        self.register_buffer("limits", torch.full((2,), torch.inf))

    def learn(self, textures: Tensor, cells: Tensor) -> None:
        """From `[pictures, T]` and `[pictures, cells, W]` of training."""
        self.texture_mean, self.texture_scale = _whitening(textures, len(self.texture_mean))
        vectors = cells.float().mean(1)
        self.tower_mean, self.tower_scale = _whitening(vectors, self.tower_scale.shape[1])

    def set_limits(self, textures: Tensor, cells: Tensor, share: float = 0.995) -> None:
        """Let this share of validation pictures be inside, in either."""
        self.limits = torch.quantile(self.distances(textures, cells), share, dim=0)

    def distances(self, textures: Tensor, cells: Tensor) -> Tensor:
        """`[pictures, 2]`: in texture, and to the tower."""
        parts = (
            (textures - self.texture_mean) @ self.texture_scale,
            (cells.float().mean(1) - self.tower_mean) @ self.tower_scale,
        )
        return torch.stack([part.square().mean(1).sqrt() for part in parts], dim=1)

    def holds(self, textures: Tensor, cells: Tensor) -> Tensor:
        """`[pictures]`: whether each is inside."""
        return (self.distances(textures, cells) <= self.limits).all(1)


def _whitening(vectors: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """Mean, and directions scaled to unit variance; a little variance is added to every one."""
    mean = vectors.mean(0)
    spread = vectors.std(0) + 1e-6
    _, scale, basis = torch.linalg.svd((vectors - mean) / spread, full_matrices=False)
    deviation = (scale[:kept].square() / len(vectors) + 0.05).sqrt()
    directions = torch.zeros(vectors.shape[1], kept)
    found = basis[:kept].T / spread[:, None] / deviation
    directions[:, : found.shape[1]] = found
    return mean, directions
