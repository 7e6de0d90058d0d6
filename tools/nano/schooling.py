"""First stage: the vision tower learns to tell the attributes of general scenes.

Linear readers on the pooled tokens of the merger tell the attributes, readers on every token tell
what lies in its patch, and one draws the outline; all readers are thrown away afterwards. Close-ups
come first: they are cheap, and teach what a patch looks like.
"""

import logging
from typing import Any

import numpy as np
import torch
from tools.nano.dense_tower import dense_tokens
from tools.nano.muon import schooling_optimizers
from tools.nano.pool import HELD_OUT, SceneBatch, ScenePool, draw_batch
from tools.nano.scenes import ATTRIBUTES, CELL
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate

from skingpt_r1.model.families.patches import patch_pictures

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
        visual,
        readers.parameters(),
        learning_rate=learning_rate,
        muon_rate=muon_rate,
        steps=steps,
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
