"""Drawn scenes on disk, and batches of them for schooling."""

from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tools.nano.scenes import ATTRIBUTES, CELL, draw_closeup, draw_scene
from torch import Tensor
from torch.nn.functional import interpolate

BLOCK = 500
HELD_OUT = 1000
_PLACE = list(ATTRIBUTES).index("place")


class ScenePool(NamedTuple):
    """Drawn scenes.

    Attributes:
        pictures: uint8 memory map, [scenes, size, size, 3].
        labels: class indices in the order of `ATTRIBUTES`, [scenes, attributes].
        cover: share of each `CELL`-pixel cell that shapes cover,
            [scenes, size / CELL, size / CELL].
    """

    pictures: NDArray[np.uint8]
    labels: Tensor
    cover: Tensor


class SceneBatch(NamedTuple):
    """Scenes as the tower meets them.

    Attributes:
        images: uint8, [scenes, height, width, 3].
        labels: [scenes, attributes].
        cover: [scenes, height / CELL, width / CELL].
    """

    images: Tensor
    labels: Tensor
    cover: Tensor


def draw_pool(
    folder: Path, count: int, seed: int, size: int, workers: int, *, closeups: bool = False
) -> ScenePool:
    """Draw `count` scenes, or close-ups, once; a finished pool in `folder` is read back."""
    pictures_file, facts_file = folder / "scenes.npy", folder / "scene_facts.npz"
    if not facts_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pictures = open_memmap(pictures_file, "w+", np.uint8, (count, size, size, 3))
        labels = np.zeros((count, len(ATTRIBUTES)), np.int64)
        cover = np.zeros((count, size // CELL, size // CELL), np.float32)
        jobs = [(s, min(BLOCK, count - s), seed, size, closeups) for s in range(0, count, BLOCK)]
        with Pool(workers) as pool:
            for start, seen, told, covered in pool.imap(draw_block, jobs):
                stop = start + len(seen)
                pictures[start:stop], labels[start:stop], cover[start:stop] = seen, told, covered
        pictures.flush()
        np.savez(facts_file, labels=labels, cover=cover)
    facts = np.load(facts_file)
    return ScenePool(
        np.load(pictures_file, mmap_mode="r"),
        torch.from_numpy(facts["labels"]),
        torch.from_numpy(facts["cover"]),
    )


def draw_block(
    job: tuple[int, int, int, int, bool],
) -> tuple[int, NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    """One block of a pool: its start, pictures, labels and cover.

    Args:
        job: start, count, seed, size, and whether close-ups are drawn.
    """
    start, count, seed, size, closeups = job
    rng = np.random.default_rng([seed, start])
    draw = draw_closeup if closeups else draw_scene
    scenes = [draw(rng, size) for _ in range(count)]
    labels = [
        [values.index(scene.attributes[name]) for name, values in ATTRIBUTES.items()]
        for scene in scenes
    ]
    pictures = np.stack([scene.image for scene in scenes])
    return start, pictures, np.array(labels), np.stack([scene.cover for scene in scenes])


def draw_batch(pool: ScenePool, batch: int, rng: np.random.Generator) -> SceneBatch:
    """Scenes outside the held-out ones, mirrored and squeezed, so that a pool goes further."""
    rows = rng.integers(0, len(pool.labels) - HELD_OUT, batch)
    images = torch.from_numpy(pool.pictures[rows])
    labels, cover = pool.labels[rows].clone(), pool.cover[rows]
    for axis, one, other in ((2, 1, 2), (1, 3, 4)):
        if rng.random() < 0.5:
            images, cover = images.flip(axis), cover.flip(axis)
            old = labels[:, _PLACE].clone()
            labels[old == one, _PLACE], labels[old == other, _PLACE] = other, one
    if rng.random() < 0.25:  # photos are oblong
        side = images.shape[1] // 28
        rows_and_columns = (side - 1, side) if rng.random() < 0.7 else (side, side - 1)
        height, width = (28 * n for n in rows_and_columns)
        images = _resize(images.permute(0, 3, 1, 2), (height, width))
        images = images.permute(0, 2, 3, 1).to(torch.uint8)
        cover = _resize(cover[:, None], (height // CELL, width // CELL))[:, 0]
    return SceneBatch(images, labels, cover)


def _resize(planes: Tensor, shape: tuple[int, int]) -> Tensor:
    return interpolate(planes.float(), shape, mode="area")
