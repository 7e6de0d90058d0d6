"""The built-in teacher: a small image encoder trained on the labels at hand.

It stands in where no dermatology encoder can be had. Its vectors say what its training labels say:
the diagnosis, and the findings where a data set knows them.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from skingpt_r1.case import Case
from skingpt_r1.data.intake import open_image
from skingpt_r1.errors import TeacherError, TrainingError
from skingpt_r1.model.foreign import refusing
from skingpt_r1.model.teachers import check_vectors
from skingpt_r1.model.weight_files import not_finite

log = logging.getLogger(__name__)

SIDE = 112
BATCH = 48
PEAK_RATE = 4e-3
WEIGHT_DECAY = 0.05
SMOOTHING = 0.05
UNLABELLED = -100
DIAGNOSIS = "diagnosis"


class TaskTargets(NamedTuple):
    """What the pictures are labelled with.

    Attributes:
        classes: task -> its classes, in the order of their indices.
        targets: task -> `[pictures]` class indices, `UNLABELLED` where unknown.
    """

    classes: dict[str, list[str]]
    targets: dict[str, Tensor]


class _Block(nn.Module):
    """Two convolutions with a shortcut; the first halves the picture."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(inside, outside, 3, 2, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
        )
        self.refine = nn.Sequential(
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        )

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        return torch.relu(reduced + self.refine(reduced))


class Encoder(nn.Module):
    """A small convolutional encoder: `[pictures, 3, 112, 112]` to `[pictures, width]`."""

    centre: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        # Four pixels become channels first: most of the cost of a convolution is its area.
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(_Block(32, 64), _Block(64, 96))
        self.project = nn.Linear(2 * 96, width)
        self.register_buffer("centre", torch.zeros(width))

    def forward(self, pictures: Tensor) -> Tensor:
        """Mean and maximum over places, projected; centred once trained."""
        x = self.blocks(self.stem(pictures))
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        centred: Tensor = self.project(functional.dropout(pooled, 0.2, self.training)) - self.centre
        return centred


class BuiltinTeacher:
    """A trained encoder; `train_teacher` makes one."""

    def __init__(self, encoder: Encoder) -> None:
        """Keep a trained encoder."""
        self.encoder = encoder.eval().requires_grad_(False)

    @torch.no_grad()
    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Case id to `[images, width]`; see `teachers.Teacher`."""
        found: dict[str, list[Tensor]] = {}
        for case in cases:
            found[case.id] = list(self.encoder(_normalise(read_pictures([case]))).float())
        return check_vectors(found)

    def save(self, path: Path) -> None:
        """Write the encoder, for the run that is resumed."""
        save_file(self.encoder.state_dict(), path, metadata={"format": "pt"})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            TeacherError: the file is damaged, of another encoder, or has weights that are NaN.
        """
        with refusing(f"{path} is not a saved built-in teacher", TeacherError):
            state = load_file(path)
            encoder = Encoder(len(state["centre"]))
            encoder.load_state_dict(state)
        if wrong := not_finite(state.items()):
            raise TeacherError(f"{path} has weights that are not finite in {', '.join(wrong)}")
        return cls(encoder)


def train_teacher(
    cases: Sequence[Case], *, width: int = 64, epochs: int = 12, seed: int = 0
) -> BuiltinTeacher:
    """Train an encoder to tell diagnosis and findings, with flips and quarter turns.

    Args:
        cases: training cases only; unlabelled ones teach the findings they have.
        width: of the vectors.
        epochs: passes over the pictures.
        seed: of weights, order and augmentation; the caller's random state is left as it was.

    Raises:
        TeacherError: no case has a label or a finding with two different values.
        TrainingError: the loss is not finite.
    """
    tasks = read_targets(cases)
    pictures = read_pictures(cases)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(width)
        heads = nn.ModuleDict({t: nn.Linear(width, len(c)) for t, c in tasks.classes.items()})
        _fit(encoder, heads, pictures, tasks, epochs)
    return BuiltinTeacher(encoder)


def read_targets(cases: Sequence[Case]) -> TaskTargets:
    """Diagnosis and every finding slot that has at least two values among the cases.

    Raises:
        TeacherError: there is nothing to learn.
    """
    rows = [_facts(case) for case in cases for _ in case.images]
    classes: dict[str, list[str]] = {}
    targets: dict[str, Tensor] = {}
    for task in sorted({name for row in rows for name in row}):
        values = sorted({row[task] for row in rows if task in row})
        if len(values) < 2:
            continue
        index = {value: number for number, value in enumerate(values)}
        classes[task] = values
        targets[task] = torch.tensor(
            [index[row[task]] if task in row else UNLABELLED for row in rows]
        )
    if not classes:
        raise TeacherError(
            f"none of the {len(cases)} cases has a label or finding that differs from the others'; "
            "the built-in teacher has nothing to learn from"
        )
    return TaskTargets(classes, targets)


def read_pictures(cases: Sequence[Case]) -> Tensor:
    """`[pictures, 3, SIDE, SIDE]`, uint8, in the order of the cases and their pictures."""
    arrays = [
        np.asarray(open_image(path).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for case in cases
        for path in case.images
    ]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def _facts(case: Case) -> Mapping[str, str]:
    label = {} if case.label is None else {DIAGNOSIS: case.label}
    return {**case.findings, **label}


def _normalise(pictures: Tensor) -> Tensor:
    return (pictures.float() / 255 - 0.5).contiguous(memory_format=torch.channels_last)


def _augment(pictures: Tensor) -> Tensor:
    """Each picture flipped and turned by chance; the eight symmetries of a square."""
    symmetry = torch.randint(8, (len(pictures),))
    turned = [
        torch.rot90(p.flip(-1) if s >= 4 else p, int(s) % 4, (-2, -1))
        for p, s in zip(pictures, symmetry, strict=True)
    ]
    return torch.stack(turned)


def _fit(
    encoder: Encoder, heads: nn.ModuleDict, pictures: Tensor, tasks: TaskTargets, epochs: int
) -> None:
    encoder.train()
    weights = {task: _class_weights(tasks, task) for task in tasks.classes}
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps + 1)
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.split(torch.randperm(len(pictures)), BATCH):
            if len(rows) == 1 and len(pictures) > 1:
                continue  # a batch of one has no variance to normalise by
            vectors = encoder(_normalise(_augment(pictures[rows])))
            loss = torch.stack(
                [
                    _task_loss(heads[t](vectors), tasks.targets[t][rows], weights[t], t)
                    for t in heads
                ]
            ).sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        if not math.isfinite(total):
            raise TrainingError(f"the built-in teacher's loss is not finite in epoch {epoch + 1}")
        log.info("built-in teacher: epoch %d, loss %.3f", epoch + 1, total / len(pictures))
    _centre(encoder.eval(), pictures)


def _class_weights(tasks: TaskTargets, task: str) -> Tensor:
    known = tasks.targets[task][tasks.targets[task] >= 0]
    counts = torch.bincount(known, minlength=len(tasks.classes[task])).float()
    weights = counts.rsqrt()
    return weights / weights.mean()


def _task_loss(logits: Tensor, targets: Tensor, weights: Tensor, task: str) -> Tensor:
    """Diagnosis counts fully, each finding by a quarter."""
    if not bool((targets >= 0).any()):
        return logits.sum() * 0
    loss = functional.cross_entropy(
        logits, targets, weights, ignore_index=UNLABELLED, label_smoothing=SMOOTHING
    )
    return loss if task == DIAGNOSIS else 0.25 * loss


@torch.no_grad()
def _centre(encoder: Encoder, pictures: Tensor) -> None:
    """Vectors are compared by angle, so what all pictures share is taken out."""
    vectors = [encoder(_normalise(block)) for block in torch.split(pictures, 4 * BATCH)]
    encoder.centre += torch.cat(vectors).mean(0)
