"""Visual teachers: one vector per picture, from disk, an encoder, a plug-in, or our own network.

A teacher stays outside our checkpoints; only its vectors are used, and only in training. The
built-in one is a small network trained on the labels at hand, for where no dermatology encoder can
be had: its vectors say what its labels say.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModel

from skingpt_r1.case import Case
from skingpt_r1.data.intake import open_image
from skingpt_r1.errors import TeacherError, TrainingError
from skingpt_r1.model.weight_files import listed, not_finite, refusing
from skingpt_r1.plugins import load_plugins
from skingpt_r1.records import read_json

log = logging.getLogger(__name__)

SHOWN = 20
SIDE = 112
BATCH = 48
PEAK_RATE = 4e-3
WEIGHT_DECAY = 0.05
SMOOTHING = 0.05
UNLABELLED = -100
DIAGNOSIS = "diagnosis"


class Teacher(Protocol):
    """Gives the vectors that the visual adapter learns to land on."""

    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Case id to `[images, T]`, float32; a TeacherError lists cases without good vectors."""


class PrecomputedTeacher:
    """Vectors on disk, made beforehand by any encoder.

    Looked up for a picture `folder/name.jpg`: in a safetensors file, the keys `name.jpg`, `name`;
    in a directory, the files `name.npy`, `name.jpg.npy`, `folder/name.npy` and `name.safetensors`
    (one tensor). Arrays are flattened.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise TeacherError(
                f"teacher vectors {path} do not exist; give a directory of .npy or .safetensors "
                "files, one per picture, or one .safetensors file"
            )
        self.path = path
        self._vectors = _read_tensors(path) if path.is_file() else None

    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Read the vectors of all pictures; see `Teacher`."""
        found: dict[str, list[Tensor]] = {}
        missing = []
        for case in cases:
            rows = [self._find(image) for image in case.images]
            found[case.id] = [row for row in rows if row is not None]
            if len(found[case.id]) < len(rows):
                missing.append(case.id)
        if missing:
            raise TeacherError(
                f"{len(missing)} of {len(cases)} cases have no teacher vector in {self.path}: "
                f"{listed(missing, SHOWN)}; make the vectors, or leave the cases out",
                missing,
            )
        return check_vectors(found)

    def _find(self, image: Path) -> Tensor | None:
        if self._vectors is not None:
            found = self._vectors.get(image.name, self._vectors.get(image.stem))
            return None if found is None else found.flatten().float()
        names = (
            f"{image.stem}.npy", f"{image.name}.npy", f"{image.parent.name}/{image.stem}.npy",
            f"{image.stem}.safetensors",
        )  # fmt: skip
        paths = [self.path / name for name in names if (self.path / name).is_file()]
        return _read_vector(paths[0]) if paths else None


class EncoderTeacher:
    """An image encoder: a Hugging Face directory, whose pooled output is the vector, or a plug-in.

    A plug-in of `skingpt_r1.encoders` is called with the device and returns a function from a list
    of PIL pictures to a tensor `[pictures, T]`.
    """

    def __init__(
        self, where: Path, *, device: str | torch.device = "cpu", batch_size: int = 32
    ) -> None:
        self.batch_size = batch_size
        name = str(where)
        encoders = {} if where.is_dir() else load_plugins("encoders", name, Callable)
        if name in encoders:
            with refusing(f"the encoder {name!r} cannot be opened", TeacherError):
                self.encode: Callable[[list[Image.Image]], Tensor] = encoders[name](device)
            return
        if not where.is_dir():
            raise TeacherError(
                f"teacher encoder {where} does not exist; give its directory"
                + "".join(f", or {name}" for name in encoders)
            )
        for path in where.glob("*config.json"):
            read_json(path, TeacherError)
        with refusing(f"{where} is not an image encoder directory", TeacherError):
            self.processor = AutoImageProcessor.from_pretrained(
                where, local_files_only=True, trust_remote_code=False
            )
            model = AutoModel.from_pretrained(where, local_files_only=True, trust_remote_code=False)
        if wrong := not_finite(model.named_parameters()):
            raise TeacherError(f"{where} has weights that are not finite in {listed(wrong)}")
        self.model = model.to(device).eval().requires_grad_(False)
        self.encode = self._encode

    @torch.no_grad()
    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Run the encoder over all pictures; see `Teacher`."""
        paths = [image for case in cases for image in case.images]
        rows: list[Tensor] = []
        for start in range(0, len(paths), self.batch_size):
            pictures = [open_image(path) for path in paths[start : start + self.batch_size]]
            rows += [row.flatten().float().cpu() for row in torch.as_tensor(self.encode(pictures))]
        return deal_vectors(cases, rows)

    def _encode(self, pictures: list[Image.Image]) -> Tensor:
        batch = self.processor(images=pictures, return_tensors="pt")
        pixels = batch["pixel_values"].to(self.model.device)
        # A joint text-image model projects pictures by a method of its own.
        joint = "vision_config" in self.model.config.to_dict()
        run = self.model.get_image_features if joint else self.model
        output = run(pixel_values=pixels)
        if isinstance(output, Tensor):
            return output
        pooled: Tensor | None = output.get("pooler_output")
        if pooled is not None:
            return pooled
        states: Tensor = output.last_hidden_state
        return states[:, 0] if states.ndim == 3 else states.mean((-2, -1))


class PluginTeacher:
    """A teacher of another package: a function from picture files to `[pictures, T]`.

    It is entered under `skingpt_r1.teachers` and named as `teacher.kind` in a recipe.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.function: Callable[[list[Path]], Any] = load_plugins("teachers", kind, Callable)[kind]

    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Call the function once, with all pictures; see `Teacher`."""
        paths = [image for case in cases for image in case.images]
        with refusing(f"the teacher {self.kind!r} fails", TeacherError):
            values = torch.as_tensor(self.function(paths), dtype=torch.float32)
        return deal_vectors(cases, list(values.cpu()))


def deal_vectors(cases: Sequence[Case], rows: Sequence[Tensor]) -> dict[str, Tensor]:
    """Give each case the vectors of its pictures; `rows` follow the order of all pictures."""
    wanted = sum(len(case.images) for case in cases)
    if len(rows) != wanted:
        raise TeacherError(f"the teacher gave {len(rows)} vectors for {wanted} pictures")
    rest = iter(rows)
    return check_vectors({case.id: [next(rest).flatten() for _ in case.images] for case in cases})


def check_vectors(found: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """Stack each case's vectors, when all are of one width, finite and not zero."""
    widths = Counter(row.numel() for rows in found.values() for row in rows)
    if len(widths) > 1:
        [(common, _)] = widths.most_common(1)
        odd = [k for k, rows in found.items() if any(row.numel() != common for row in rows)]
        raise TeacherError(
            f"teacher vectors have widths {sorted(widths)}; most have {common}, and these cases "
            f"differ: {listed(odd, SHOWN)}; one encoder must make all of them",
            odd,
        )
    bad = [
        case_id
        for case_id, rows in found.items()
        if any(not bool(row.isfinite().all()) or not bool(row.any()) for row in rows)
    ]
    if bad:
        raise TeacherError(
            f"{len(bad)} cases have teacher vectors that are zero or not finite: "
            f"{listed(bad, SHOWN)}; a zero vector has no direction to learn; make them again",
            bad,
        )
    return {case_id: torch.stack(list(rows)) for case_id, rows in found.items()}


def _read_vector(path: Path) -> Tensor:
    if path.suffix == ".safetensors":
        values = list(_read_tensors(path).values())
        if len(values) != 1:
            raise TeacherError(f"{path} holds {len(values)} tensors; one per picture is expected")
        return values[0].flatten().float()
    try:
        # mapped, so that a size in the header is compared with the file before memory is taken
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(array.astype(np.float32)).flatten()
    except (OSError, ValueError, EOFError, AttributeError, TypeError, OverflowError) as error:
        raise TeacherError(f"{path} is not a readable .npy array: {error}") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise TeacherError(f"{path} is not a readable safetensors file: {error}") from error
    return tensors


class TaskTargets(NamedTuple):
    """What the pictures are labelled with, by task."""

    classes: dict[str, list[str]]  # in the order of their indices
    targets: dict[str, Tensor]  # [pictures] class indices, UNLABELLED where none is given


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


class BuiltinTeacher(nn.Module):
    """A small convolutional network: `[pictures, 3, 112, 112]` to `[pictures, width]`."""

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

    @torch.no_grad()
    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Case id to `[images, width]`; see `Teacher`."""
        return check_vectors(
            {case.id: list(self(_normalise(read_pictures([case]))).float()) for case in cases}
        )


def train_teacher(
    cases: Sequence[Case], *, width: int = 64, epochs: int = 12, seed: int = 0
) -> BuiltinTeacher:
    """Train an encoder to tell diagnosis and findings, with flips and quarter turns.

    Give training cases only; unlabelled ones teach the findings they have. The seed is that of
    weights, order and augmentation; the caller's random state is left as it was.

    Raises:
        TeacherError: no case has a label or a finding with two different values.
        TrainingError: the loss is not finite.
    """
    tasks = read_targets(cases)
    pictures = read_pictures(cases)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher = BuiltinTeacher(width)
        heads = nn.ModuleDict({t: nn.Linear(width, len(c)) for t, c in tasks.classes.items()})
        _fit(teacher, heads, pictures, tasks, epochs)
    return teacher.eval().requires_grad_(False)


def read_targets(cases: Sequence[Case]) -> TaskTargets:
    """Diagnosis and every finding slot that has at least two values among the cases."""
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
    encoder: BuiltinTeacher, heads: nn.ModuleDict, pictures: Tensor, tasks: TaskTargets, epochs: int
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
            losses = [
                _task_loss(heads[t](vectors), tasks.targets[t][rows], weights[t], t) for t in heads
            ]
            loss = torch.stack(losses).sum()
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
    labelled = tasks.targets[task][tasks.targets[task] >= 0]
    weights = torch.bincount(labelled, minlength=len(tasks.classes[task])).float().rsqrt()
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
def _centre(encoder: BuiltinTeacher, pictures: Tensor) -> None:
    """Vectors are compared by angle, so what all pictures share is taken out."""
    vectors = [encoder(_normalise(block)) for block in torch.split(pictures, 4 * BATCH)]
    encoder.centre += torch.cat(vectors).mean(0)
