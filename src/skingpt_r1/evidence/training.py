"""Teaching a reader, and calibrating it.

All on training and validation pictures; test pictures never take part.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from skingpt_r1.errors import TrainingError
from skingpt_r1.evidence.cells import tower_cells
from skingpt_r1.evidence.gate import texture
from skingpt_r1.evidence.reader import FindingReader, ReaderConfig, indices_of
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.runs import Count

log = logging.getLogger(__name__)

BATCH = 64
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.05
SMOOTHING = 0.05
UNKNOWN = -100

Facts = Sequence[Mapping[str, str]]


class KnownPictures(NamedTuple):
    """Pictures, and what is known of each: slot -> value."""

    cells: Tensor  # [pictures, SIDE**2, W], float16
    textures: Tensor  # [pictures, T]
    facts: Facts


def label_pictures(
    model: SkinGPT,
    layers: Sequence[int],
    pictures: Iterable[tuple[Image.Image, Mapping[str, str]]],
    progress: Callable[[int], None] | None = None,
) -> KnownPictures:
    """Run the tower over pictures, a few at a time; `progress` is callback(done)."""
    cells, textures, facts = [], [], []
    rest = iter(pictures)
    while batch := list(islice(rest, BATCH)):
        cells.append(tower_cells(model, [picture for picture, _ in batch], layers))
        textures += [texture(picture) for picture, _ in batch]
        facts += [known for _, known in batch]
        if progress is not None:
            progress(len(facts))
    return KnownPictures(torch.cat(cells), torch.stack(textures), facts)


def teach_reader(
    config: ReaderConfig,
    taught: KnownPictures,
    validation: KnownPictures,
    *,
    epochs: int = 12,
    seed: int = 0,
    progress: Count | None = None,
) -> FindingReader:
    """A reader taught on pictures, calibrated on others.

    Args:
        config: slots and width; temperatures are filled in.
        progress: callback(steps done, steps in all).

    Raises:
        TrainingError: the loss is not finite.
    """
    targets = indices_of(config.slots, taught.facts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = FindingReader(config, taught.cells.shape[-1])
        _normalise(reader, taught.cells)
        _fit(reader, taught.cells, targets, epochs, progress)
    reader.eval().requires_grad_(False)
    reader.world.learn(taught.textures, taught.cells)
    reader.world.set_limits(validation.textures, validation.cells)
    known = indices_of(config.slots, validation.facts)
    with torch.no_grad():
        logits = reader(validation.cells)
    temperatures = {}
    for row, slot in enumerate(config.slots):
        rows = known[:, row] >= 0
        temperatures[slot] = fit_temperature(logits[slot][rows], known[rows, row])
    reader.config = config.model_copy(update={"temperatures": temperatures})
    return reader


def _normalise(reader: FindingReader, cells: Tensor) -> None:
    some = cells[: 64 * BATCH].float()
    reader.centre.copy_(some.mean((0, 1)))
    reader.spread.copy_(some.std((0, 1)) + 1e-5)


def _fit(
    reader: FindingReader, cells: Tensor, targets: Tensor, epochs: int, progress: Count | None
) -> None:
    reader.train()
    batches = max(1, len(cells) // BATCH)
    optimizer = torch.optim.AdamW(reader.parameters(), PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=epochs * batches + 1
    )
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(cells))
        for step in range(batches):
            rows = order[step * BATCH : (step + 1) * BATCH]
            outputs = reader(cells[rows])
            loss = torch.stack(
                [
                    functional.cross_entropy(
                        logits, targets[rows, row], ignore_index=UNKNOWN, label_smoothing=SMOOTHING
                    )
                    for row, logits in enumerate(outputs.values())
                    if bool((targets[rows, row] >= 0).any())
                ]
            ).sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
            if progress is not None:
                progress(epoch * batches + step + 1, epochs * batches)
        if not math.isfinite(total):
            raise TrainingError(f"the reader's loss is not finite in epoch {epoch + 1}")
        log.info("reader: epoch %d, loss %.3f", epoch + 1, total / batches)


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature with the smallest cross-entropy (Guo et al. 2017); 1 without targets."""
    if not len(targets):
        return 1.0
    tried = torch.logspace(-0.7, 0.7, 57)
    losses = [functional.cross_entropy(logits / t, targets).item() for t in tried]
    return round(float(tried[int(np.argmin(losses))]), 4)
