"""First stage: the vision tower learns to tell the attributes of general scenes.

One linear reader per attribute on the pooled tokens, and one on every token for what lies in its
patch; the readers are thrown away afterwards.
"""

import logging
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate

from skingpt_r1.nano.dense_tower import dense_tokens
from skingpt_r1.nano.scenes import ATTRIBUTES, draw_scene

log = logging.getLogger(__name__)
BLOCK = 500
HELD_OUT = 1000
# What a covered patch tells by itself, and what an empty one tells.
COVERED = ("colour", "fill", "shape", "edge")
EMPTY = ("ground_colour", "ground")


class ScenePool(NamedTuple):
    """Drawn scenes.

    Attributes:
        pictures: uint8 memory map, [scenes, size, size, 3].
        labels: class indices in the order of `ATTRIBUTES`, [scenes, attributes].
        cover: share of each patch that shapes cover, [scenes, size / 14, size / 14].
    """

    pictures: NDArray[np.uint8]
    labels: Tensor
    cover: Tensor


def draw_pool(folder: Path, count: int, seed: int, size: int, workers: int) -> ScenePool:
    """Draw `count` scenes once; a finished pool in `folder` is read back."""
    pictures_file, facts_file = folder / "scenes.npy", folder / "scene_facts.npz"
    if not facts_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pictures = open_memmap(pictures_file, "w+", np.uint8, (count, size, size, 3))
        labels = np.zeros((count, len(ATTRIBUTES)), np.int64)
        cover = np.zeros((count, size // 14, size // 14), np.float32)
        with Pool(workers) as pool:
            jobs = [(s, min(BLOCK, count - s), seed, size) for s in range(0, count, BLOCK)]
            for start, seen, told, covered in pool.imap(_draw_block, jobs):
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


def _draw_block(
    job: tuple[int, int, int, int],
) -> tuple[int, NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    start, count, seed, size = job
    rng = np.random.default_rng([seed, start])
    scenes = [draw_scene(rng, size) for _ in range(count)]
    labels = [
        [values.index(scene.attributes[name]) for name, values in ATTRIBUTES.items()]
        for scene in scenes
    ]
    pictures = np.stack([scene.image for scene in scenes])
    return start, pictures, np.array(labels), np.stack([scene.cover for scene in scenes])


class AttributeReaders(nn.Module):
    """Reads attributes from a picture's tokens, pooled and one by one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2 * width, 256), nn.GELU())
        self.pooled = nn.ModuleList(nn.Linear(256, len(values)) for values in ATTRIBUTES.values())
        self.cover = nn.Linear(width, 1)
        self.single = nn.ModuleDict(
            {name: nn.Linear(width, len(ATTRIBUTES[name])) for name in COVERED + EMPTY}
        )

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Logits per attribute from tokens [images, patches, width]."""
        pooled = self.trunk(torch.cat([tokens.mean(1), tokens.amax(1)], -1))
        return [head(pooled) for head in self.pooled]

    def patch_loss(self, tokens: Tensor, labels: Tensor, cover: Tensor) -> Tensor:
        """How badly single tokens tell what lies in their patch; `cover` is [images, patches]."""
        loss = binary_cross_entropy_with_logits(self.cover(tokens)[..., 0].float(), cover)
        for name, head in self.single.items():
            asked = cover > 0.4 if name in COVERED else cover < 0.02
            targets = labels[:, list(ATTRIBUTES).index(name)][:, None].expand_as(cover)
            if asked.any():
                loss = loss + cross_entropy(head(tokens[asked]).float(), targets[asked])
        return loss


def school_tower(
    visual: Any,
    pool: ScenePool,
    *,
    epochs: float,
    batch: int,
    learning_rate: float,
    seed: int,
) -> dict[str, float]:
    """Train the tower on the pool; the last scenes are held out.

    Returns:
        Held-out accuracy per attribute.
    """
    train = len(pool.labels) - HELD_OUT
    readers = AttributeReaders(visual.config.hidden_size)
    weights = [*visual.parameters(), *readers.parameters()]
    optimizer = torch.optim.AdamW(weights, learning_rate, weight_decay=0.02)
    steps = int(epochs * train / batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps, pct_start=0.08
    )
    rng = np.random.default_rng(seed)
    for step in range(steps):
        images, labels, cover = _draw_batch(pool, rng.integers(0, train, batch), rng)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = dense_tokens(visual, images)
            logits = readers(tokens)
            loss = readers.patch_loss(tokens, labels, cover)
        for i, z in enumerate(logits):
            loss = loss + cross_entropy(z.float(), labels[:, i])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            log.info("tower step %d of %d: loss %.3f", step, steps, loss.item())
    return _accuracy(visual, readers, pool, train)


def _draw_batch(
    pool: ScenePool, rows: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Scenes mirrored and squeezed at random, so that a drawn pool goes further."""
    images = torch.from_numpy(pool.pictures[rows])
    labels, cover = pool.labels[rows].clone(), pool.cover[rows]
    place = list(ATTRIBUTES).index("place")
    for axis, one, other in ((2, 1, 2), (1, 3, 4)):
        if rng.random() < 0.5:
            images, cover = images.flip(axis), cover.flip(axis)
            old = labels[:, place].clone()
            labels[old == one, place], labels[old == other, place] = other, one
    if rng.random() < 0.25:  # photos are oblong
        side = cover.shape[1]
        shape = (side - 2, side) if rng.random() < 0.7 else (side, side - 2)
        images = _resize(images.permute(0, 3, 1, 2), (shape[0] * 14, shape[1] * 14))
        images = images.permute(0, 2, 3, 1).to(torch.uint8)
        cover = _resize(cover[:, None], shape)[:, 0]
    return images, labels, _merger_order(cover)


def _resize(planes: Tensor, shape: tuple[int, int]) -> Tensor:
    return interpolate(planes.float(), shape, mode="area")


def _merger_order(cover: Tensor) -> Tensor:
    """[images, rows, columns] to [images, patches], two by two as the merger joins them."""
    images, rows, columns = cover.shape
    return cover.reshape(images, rows // 2, 2, columns // 2, 2).transpose(2, 3).flatten(1)


@torch.no_grad()
def _accuracy(
    visual: nn.Module, readers: nn.Module, pool: ScenePool, start: int
) -> dict[str, float]:
    images = torch.from_numpy(np.array(pool.pictures[start:]))
    answers = [readers(dense_tokens(visual, part)) for part in torch.split(images, 100)]
    return {
        name: float((torch.cat([a[i] for a in answers]).argmax(-1) == truth).float().mean())
        for i, (name, truth) in enumerate(zip(ATTRIBUTES, pool.labels[start:].T, strict=True))
    }
