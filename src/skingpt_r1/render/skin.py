"""Bare skin: colour by Fitzpatrick type, pigment and furrows; and the noise all drawing uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from skingpt_r1.recipes import package_yaml

Field = NDArray[np.float32]

_COLOURS: Mapping[str, Any] = package_yaml("render/skin.yaml")
SKIN_COLOURS = np.array(_COLOURS["skin"], dtype=np.float32)  # sRGB, Fitzpatrick I..VI
_BANK_SIDE = 320
_BANK_SEED = 20


@dataclass(slots=True)
class Canvas:
    """A picture being drawn: what the camera will light and photograph."""

    colour: Field  # [side, side, 3] sRGB, 0..1
    height: Field  # [side, side] relief in pixels
    gloss: Field  # [side, side] strength of the specular highlight
    scale: float  # pixels per pixel of the 112-pixel picture
    fitzpatrick: int  # skin type 1..6


def lesion_colour(name: str, fitzpatrick: int) -> Field:
    """The colour [3], sRGB 0..1, of a lesion on this skin."""
    if name == "skin-coloured":
        skin = SKIN_COLOURS[fitzpatrick - 1]
        return np.asarray(np.clip(skin * np.float32(1.04) + np.float32(0.02), 0, 1))
    types, colours = zip(*_COLOURS["lesions"][name].items(), strict=True)
    channels = [np.interp(fitzpatrick, types, channel) for channel in zip(*colours, strict=True)]
    return np.array(channels, dtype=np.float32)


def _unit(field: NDArray[np.float64]) -> Field:
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def _cells(
    rng: np.random.Generator, side: int, spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], int]:
    """Distances to the nearest two of random points, and the nearest one; periodic."""
    number = int((side / spacing) ** 2)
    tree = cKDTree(rng.uniform(0, side, (number, 2)), boxsize=np.full(2, float(side)))
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1)
    found = tree.query(grid.reshape(-1, 2) + 0.5, k=2)
    distances, nearest = np.asarray(found[0]), np.asarray(found[1])
    first, second = distances.T.reshape(2, side, side)
    return first, second, nearest[:, 0].reshape(side, side), number


@lru_cache(maxsize=4)
def noise_bank(scale: float) -> Mapping[str, Field]:
    """Noise fields that pictures cut windows from; the same on every run.

    `grain` .. `broad` are smooth noise (mean 0, deviation 1) of growing wavelength; `bumps` are
    domes 0..1, `flakes` are polygons with a random level 0..1, `lines` is 1 on skin furrows.
    """
    side = int(_BANK_SIDE * scale)
    rng = np.random.default_rng(_BANK_SEED)
    bank = {}
    for name, sigma in (
        ("grain", 0.6), ("fine", 1.3), ("medium", 3.0), ("coarse", 7.0), ("broad", 18.0),
    ):  # fmt: skip
        white = rng.standard_normal((side, side))
        bank[name] = _unit(gaussian_filter(white, sigma * scale, mode="wrap"))
    first, _, _, _ = _cells(rng, side, 4.6 * scale)
    bank["bumps"] = np.clip(1 - (first / (3.2 * scale)) ** 2, 0, 1).astype(np.float32)
    first, second, nearest, number = _cells(rng, side, 3.4 * scale)
    levels = rng.uniform(0, 1, number)
    seams = np.clip((second - first) / (0.9 * scale), 0, 1)
    bank["flakes"] = (levels[nearest] * seams).astype(np.float32)
    first, second, _, _ = _cells(rng, side, 6.5 * scale)
    bank["lines"] = np.exp(-(((second - first) / (0.8 * scale)) ** 2)).astype(np.float32)
    return bank


def cut(rng: np.random.Generator, name: str, shape: tuple[int, int], scale: float) -> Field:
    """A random window [height, width] of a noise field, randomly mirrored."""
    field = noise_bank(scale)[name]
    top, left, mirror = rng.integers(0, [len(field) - shape[0], len(field) - shape[1], 4])
    window = field[top : top + shape[0], left : left + shape[1]]
    return window[:: 1 - 2 * (mirror // 2), :: 1 - 2 * (mirror % 2)]


def bare_skin(
    rng: np.random.Generator, fitzpatrick: int, *, size: int, texture: float = 1.0
) -> Canvas:
    """Skin without a lesion, `size` pixels wide; a `texture` of 0 gives even skin."""
    scale, shape = size / 112, (size, size)
    colour = np.empty((size, size, 3), dtype=np.float32)
    colour[:] = SKIN_COLOURS[fitzpatrick - 1]
    height = np.zeros(shape, dtype=np.float32)
    if texture > 0:
        colour *= (1 + texture * rng.uniform(-0.03, 0.03, 3)).astype(np.float32)
        pigment = 0.018 * cut(rng, "broad", shape, scale) + 0.012 * cut(rng, "medium", shape, scale)
        blood = 0.014 * cut(rng, "coarse", shape, scale)
        colour *= (1 + texture * pigment)[..., None]
        colour[..., 1:] *= (1 - texture * blood)[..., None]
        furrows = cut(rng, "lines", shape, scale)
        height -= texture * rng.uniform(0.05, 0.30) * scale * furrows
        height += texture * 0.05 * scale * cut(rng, "fine", shape, scale)
    return Canvas(colour, height, np.full(shape, 0.02, np.float32), scale, fitzpatrick)
