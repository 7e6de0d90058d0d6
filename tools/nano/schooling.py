"""First stage: the vision tower learns to tell the attributes of general scenes.

Linear readers on the pooled tokens of the merger tell the attributes, readers on every token tell
what lies in its patch, and one draws the outline; all readers are thrown away afterwards. Close-ups
come first: they are cheap, and teach what a patch looks like.

Muon in single precision, for schooling the embedded backbone.

PyTorch's own Muon works in bfloat16, which takes seconds a step on processors without it; otherwise
this is the same rule. Source of coefficients and steps: https://kellerjordan.github.io/posts/muon/

Drawn scenes on disk, and batches of them for schooling.
"""

import logging
import math
from collections.abc import Iterable
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tools.nano.architecture import dense_tokens
from tools.nano.scenes import ATTRIBUTES, CELL, draw_closeup, draw_scene
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate

from skingpt_r1.model.families.qwen2_5_vl import patch_pictures

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are about one, by five Newton-Schulz steps.

    Args:
        matrix: [rows, columns], float32.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal; for the matrices inside blocks only."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        defaults = {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                mean = self.state[matrix].setdefault("mean", torch.zeros_like(matrix))
                mean.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalise(torch.lerp(matrix.grad, mean, group["momentum"]))
                stretch = math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * stretch)


def schooling_optimizers(
    model: nn.Module,
    others: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    muon_rate: float,
    steps: int,
) -> tuple[list[torch.optim.Optimizer], list[torch.optim.lr_scheduler.LRScheduler]]:
    """Muon for the trainable matrices inside blocks, AdamW for the rest, both rising and falling.

    Args:
        model: its blocks are what names such as `blocks.0` and `layers.0` contain.
        others: parameters outside the model that learn, too.
        learning_rate: AdamW's peak.
        muon_rate: Muon's peak.
        steps: length of the schedule.
    """
    matrices: list[nn.Parameter] = []
    rest = list(others)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inside = parameter.ndim == 2 and ("blocks." in name or "layers." in name)
            (matrices if inside else rest).append(parameter)
    optimizers = [
        Muon(matrices, muon_rate),
        torch.optim.AdamW(rest, learning_rate, betas=(0.9, 0.98), weight_decay=0.02),
    ]
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, group["lr"], total_steps=steps, pct_start=0.08, cycle_momentum=False
        )
        for optimizer in optimizers
        for group in optimizer.param_groups
    ]
    return optimizers, list(schedules)


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


log = logging.getLogger(__name__)
# What a covered patch tells by itself, and what an empty one tells.
COVERED = ("colour", "fill", "shape", "edge")
EMPTY = ("ground_colour", "ground")
# What a close-up cannot tell, and what is hardest to learn.
OF_WHOLE_SCENES = ("arrangement", "place", "count", "size")
HARD = ("shape", "fill", "edge")
HARD_WEIGHT = 2.0
OUTLINE_WEIGHT = 2.0
MERGED = 28
SMOOTH_FILTERS = 104


class AttributeReaders(nn.Module):
    """Reads attributes from a picture's tokens, pooled and one by one."""

    def __init__(self, width: int, merged_width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2 * merged_width, 256), nn.GELU())
        self.pooled = nn.ModuleDict(
            {name: nn.Linear(256, len(values)) for name, values in ATTRIBUTES.items()}
        )
        self.outline = nn.Linear(merged_width, (MERGED // CELL) ** 2)
        self.single = nn.ModuleDict(
            {name: nn.Linear(width, len(ATTRIBUTES[name])) for name in COVERED + EMPTY}
        )

    def forward(self, merged: Tensor) -> dict[str, Tensor]:
        """Logits per attribute from the merger's tokens, [images, tokens, merged width]."""
        pooled = self.trunk(torch.cat([merged.mean(1), merged.amax(1)], -1))
        return {name: head(pooled) for name, head in self.pooled.items()}

    def outline_loss(self, merged: Tensor, cover: Tensor) -> Tensor:
        """How badly single merged tokens draw the outline inside their square."""
        images, rows, columns = cover.shape
        side = MERGED // CELL
        cells = cover.reshape(images, rows // side, side, columns // side, side)
        cells = cells.transpose(2, 3).reshape(images, -1, side * side)
        return binary_cross_entropy_with_logits(self.outline(merged), cells)

    def patch_loss(self, tokens: Tensor, labels: Tensor, cover: Tensor) -> Tensor:
        """How badly single tokens tell what lies in their patch."""
        shares, loss = _patch_shares(cover), tokens.new_zeros(())
        for name, head in self.single.items():
            asked = shares > 0.4 if name in COVERED else shares < 0.02
            targets = labels[:, list(ATTRIBUTES).index(name)][:, None].expand_as(shares)
            if asked.any():
                loss = loss + cross_entropy(head(tokens[asked]), targets[asked])
        return loss


def set_patch_filters(visual: Any, pool: ScenePool, seed: int) -> None:
    """Give the patch embedding whitened filters of the pool, so that fine texture is not faint.

    The first `SMOOTH_FILTERS` are the principal components; the rest mix all finer ones at random.
    """
    weight = visual.patch_embed.proj.weight
    width, channels, frames, side, _ = weight.shape
    chosen = torch.Generator().manual_seed(seed)
    patches = patch_pictures(torch.from_numpy(np.array(pool.pictures[:2000])))
    patches = patches[torch.randperm(len(patches), generator=chosen)[:30_000]]
    pixels = patches.reshape(len(patches), channels, frames, side * side)[:, :, 0].flatten(1)
    pixels = pixels - pixels.mean(0)
    variances, directions = torch.linalg.eigh(pixels.T @ pixels / len(pixels))
    white = (directions / (variances.clamp(min=0) + 1e-3).sqrt()).flip(1)
    smooth, fine = white[:, :SMOOTH_FILTERS], white[:, SMOOTH_FILTERS:]
    mix = torch.randn(fine.shape[1], width - SMOOTH_FILTERS, generator=chosen)
    filters = torch.cat([smooth, fine @ nn.functional.normalize(mix, dim=0)], 1).T
    filters = filters.reshape(width, channels, 1, side, side).expand_as(weight)
    with torch.no_grad():
        weight.copy_(0.5 * filters / frames)


def school_tower(
    visual: Any,
    closeups: ScenePool,
    scenes: ScenePool,
    *,
    closeup_steps: int,
    scene_steps: int,
    closeup_batch: int,
    batch: int,
    learning_rate: float,
    muon_rate: float,
    seed: int,
) -> dict[str, float]:
    """Train the tower and its merger, first on close-ups, then on scenes.

    Returns:
        Held-out accuracy per attribute on scenes.
    """
    set_patch_filters(visual, scenes, seed)
    readers = AttributeReaders(visual.config.hidden_size, visual.config.out_hidden_size)
    weights = [*visual.parameters(), *readers.parameters()]
    steps = closeup_steps + scene_steps
    optimizers, schedules = schooling_optimizers(
        visual, readers.parameters(), learning_rate=learning_rate, muon_rate=muon_rate, steps=steps
    )
    rng = np.random.default_rng(seed)
    for step in range(steps):
        close = step < closeup_steps
        drawn = (
            draw_batch(closeups, closeup_batch, rng) if close else draw_batch(scenes, batch, rng)
        )
        loss = _loss(visual, readers, drawn, skip=OF_WHOLE_SCENES if close else ())
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        for schedule in schedules:
            schedule.step()
        if step % 100 == 0:
            log.info("tower step %d of %d: loss %.3f", step, steps, loss.item())
    return _accuracy(visual, readers, scenes)


def _loss(
    visual: Any, readers: AttributeReaders, drawn: SceneBatch, skip: tuple[str, ...]
) -> Tensor:
    tokens = dense_tokens(visual, drawn.images)
    merged = merge_tokens(visual, tokens)
    loss = readers.patch_loss(tokens, drawn.labels, drawn.cover)
    loss = loss + OUTLINE_WEIGHT * readers.outline_loss(merged, drawn.cover)
    for (name, logits), targets in zip(readers(merged).items(), drawn.labels.T, strict=True):
        if name not in skip:
            weight = HARD_WEIGHT if name in HARD else 1.0
            loss = loss + weight * cross_entropy(logits, targets)
    return loss


def merge_tokens(visual: Any, tokens: Tensor) -> Tensor:
    """The merger's output, [images, patches / 4, merged width], for dense tokens."""
    merged: Tensor = visual.merger(tokens.flatten(0, 1))
    return merged.reshape(len(tokens), -1, merged.shape[-1])


def _patch_shares(cover: Tensor) -> Tensor:
    """Cover of cells to cover of 14-pixel patches in merger order, [images, patches]."""
    images, rows, columns = cover.shape
    shares = interpolate(cover[:, None], (rows * CELL // 14, columns * CELL // 14), mode="area")
    rows, columns = shares.shape[2:]
    return shares.reshape(images, rows // 2, 2, columns // 2, 2).transpose(2, 3).flatten(1)


@torch.no_grad()
def _accuracy(visual: Any, readers: AttributeReaders, pool: ScenePool) -> dict[str, float]:
    images = torch.from_numpy(np.array(pool.pictures[-HELD_OUT:]))
    answers = [
        readers(merge_tokens(visual, dense_tokens(visual, p))) for p in torch.split(images, 100)
    ]
    truth = dict(zip(ATTRIBUTES, pool.labels[-HELD_OUT:].T, strict=True))
    return {
        name: float(
            (torch.cat([a[name] for a in answers]).argmax(-1) == truth[name]).float().mean()
        )
        for name in ATTRIBUTES
    }
