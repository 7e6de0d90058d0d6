"""Visual teachers: one vector per picture, from disk, an encoder, a plug-in, or our own network.

Each gives case id to `[images, T]`, float32: what the visual adapter learns to land on. A teacher
stays outside our checkpoints; only its vectors are used, and only in training. The built-in one is
a small network trained on the labels at hand, for where no dermatology encoder can be had: its
vectors say what its labels say.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
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


def read_teacher(path: Path, cases: Sequence[Case]) -> dict[str, Tensor]:
    """Vectors on disk, made beforehand by any encoder.

    Looked up for a picture `folder/name.jpg`: in a safetensors file, the keys `name.jpg`, `name`;
    in a directory, the files `name.npy`, `name.jpg.npy`, `folder/name.npy` and `name.safetensors`
    (one tensor). Arrays are flattened.

    Raises:
        TeacherError: the path does not exist, or cases have no good vectors; they are listed.
    """
    if not path.exists():
        raise TeacherError(
            f"teacher vectors {path} do not exist; give a directory of .npy or .safetensors "
            "files, one per picture, or one .safetensors file"
        )
    stored = _read_tensors(path) if path.is_file() else None
    found: dict[str, list[Tensor]] = {}
    missing = []
    for case in cases:
        rows = [_find_vector(path, stored, image) for image in case.images]
        found[case.id] = [row.flatten().float() for row in rows if row is not None]
        if len(found[case.id]) < len(rows):
            missing.append(case.id)
    if missing:
        raise TeacherError(
            f"{len(missing)} of {len(cases)} cases have no teacher vector in {path}: "
            f"{listed(missing, SHOWN)}; make the vectors, or leave the cases out",
            missing,
        )
    return check_vectors(found)


def _find_vector(folder: Path, stored: Mapping[str, Tensor] | None, image: Path) -> Tensor | None:
    if stored is not None:
        return stored.get(image.name, stored.get(image.stem))
    names = (
        f"{image.stem}.npy", f"{image.name}.npy", f"{image.parent.name}/{image.stem}.npy",
        f"{image.stem}.safetensors",
    )  # fmt: skip
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return None
    if path.suffix == ".safetensors":
        values = list(_read_tensors(path).values())
        if len(values) != 1:
            raise TeacherError(f"{path} holds {len(values)} tensors; one per picture is expected")
        return values[0]
    # mapped, so that a size in the header is compared with the file before memory is taken
    with refusing(f"{path} is not a readable .npy array", TeacherError):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(array.astype(np.float32))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with refusing(f"{path} is not a readable safetensors file", TeacherError):
        tensors: dict[str, Tensor] = load_file(path)
    return tensors


@torch.no_grad()
def run_encoder(
    where: Path, cases: Sequence[Case], *, device: str | torch.device = "cpu", batch_size: int = 32
) -> dict[str, Tensor]:
    """Vectors of an image encoder: a Hugging Face directory, or a plug-in.

    A plug-in of `skingpt_r1.encoders` is called with the device and returns a function from a list
    of PIL pictures to a tensor `[pictures, T]`.

    Raises:
        TeacherError: there is no such encoder, it does not load, or cases have no good vectors.
    """
    name = str(where)
    encoders = {} if where.is_dir() else load_plugins("encoders", name, Callable)
    if name in encoders:
        with refusing(f"the encoder {name!r} cannot be opened", TeacherError):
            encode = encoders[name](device)
    elif where.is_dir():
        encode = _load_encoder(where, device)
    else:
        raise TeacherError(
            f"teacher encoder {where} does not exist; give its directory"
            + "".join(f", or {name}" for name in encoders)
        )
    paths = [image for case in cases for image in case.images]
    rows: list[Tensor] = []
    for start in range(0, len(paths), batch_size):
        pictures = [open_image(path) for path in paths[start : start + batch_size]]
        rows += [row.flatten().float().cpu() for row in torch.as_tensor(encode(pictures))]
    return deal_vectors(cases, rows)


def _load_encoder(
    folder: Path, device: str | torch.device
) -> Callable[[list[Image.Image]], Tensor]:
    """A Hugging Face directory as a function from pictures to its pooled output."""
    for path in folder.glob("*config.json"):
        read_json(path, TeacherError)
    own_files = {"local_files_only": True, "trust_remote_code": False}
    with refusing(f"{folder} is not an image encoder directory", TeacherError):
        processor = AutoImageProcessor.from_pretrained(folder, **own_files)
        model = AutoModel.from_pretrained(folder, **own_files)
    if wrong := not_finite(model.named_parameters()):
        raise TeacherError(f"{folder} has weights that are not finite in {listed(wrong)}")
    model.to(device).eval()
    # A joint text-image model projects pictures by a method of its own.
    run = model.get_image_features if "vision_config" in model.config.to_dict() else model

    def encode(pictures: list[Image.Image]) -> Tensor:
        batch = processor(images=pictures, return_tensors="pt")
        output = run(pixel_values=batch["pixel_values"].to(model.device))
        if isinstance(output, Tensor):
            return output
        pooled: Tensor | None = output.get("pooler_output")
        if pooled is not None:
            return pooled
        states: Tensor = output.last_hidden_state
        return states[:, 0] if states.ndim == 3 else states.mean((-2, -1))

    return encode


def run_plugin(kind: str, cases: Sequence[Case]) -> dict[str, Tensor]:
    """Vectors of another package: its function from picture files to `[pictures, T]`, called once.

    It is entered under `skingpt_r1.teachers` and named as `teacher.kind` in a recipe.

    Raises:
        TeacherError: the function fails, or cases have no good vectors.
    """
    function = load_plugins("teachers", kind, Callable)[kind]
    paths = [image for case in cases for image in case.images]
    with refusing(f"the teacher {kind!r} fails", TeacherError):
        values = torch.as_tensor(function(paths), dtype=torch.float32)
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
    stacked = {case_id: torch.stack(list(rows)) for case_id, rows in found.items()}
    bad = [
        case_id
        for case_id, rows in stacked.items()
        if not bool(rows.isfinite().all()) or not bool(rows.any(1).all())
    ]
    if bad:
        raise TeacherError(
            f"{len(bad)} cases have teacher vectors that are zero or not finite: "
            f"{listed(bad, SHOWN)}; a zero vector has no direction to learn; make them again",
            bad,
        )
    return stacked


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
        """Case id to `[images, width]`."""
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
    targets = read_targets(cases)
    pictures = read_pictures(cases)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher = BuiltinTeacher(width)
        heads = nn.ModuleDict({t: nn.Linear(width, int(v.max()) + 1) for t, v in targets.items()})
        _fit(teacher, heads, pictures, targets, epochs)
    return teacher.eval().requires_grad_(False)


def read_targets(cases: Sequence[Case]) -> dict[str, Tensor]:
    """Diagnosis and every finding slot that has at least two values among the cases.

    Task to `[pictures]`: numbers of the values in their order, UNLABELLED where none is given.
    """
    rows = [
        {**case.findings, **({} if case.label is None else {DIAGNOSIS: case.label})}
        for case in cases
        for _ in case.images
    ]
    targets: dict[str, Tensor] = {}
    for task in sorted({name for row in rows for name in row}):
        values = sorted({row[task] for row in rows if task in row})
        if len(values) > 1:
            numbers = [values.index(row[task]) if task in row else UNLABELLED for row in rows]
            targets[task] = torch.tensor(numbers)
    if not targets:
        raise TeacherError(
            f"none of the {len(cases)} cases has a label or finding that differs from the others'; "
            "the built-in teacher has nothing to learn from"
        )
    return targets


def read_pictures(cases: Sequence[Case]) -> Tensor:
    """`[pictures, 3, SIDE, SIDE]`, uint8, in the order of the cases and their pictures."""
    arrays = [
        np.asarray(open_image(path).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for case in cases
        for path in case.images
    ]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


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
    encoder: BuiltinTeacher,
    heads: nn.ModuleDict,
    pictures: Tensor,
    targets: Mapping[str, Tensor],
    epochs: int,
) -> None:
    encoder.train()
    rare = {t: torch.bincount(v[v >= 0]).float().rsqrt() for t, v in targets.items()}
    weights = {task: shares / shares.mean() for task, shares in rare.items()}
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
            losses = [_task_loss(heads[t](vectors), targets[t][rows], weights[t], t) for t in heads]
            loss = torch.stack(losses).sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        if not math.isfinite(total):
            raise TrainingError(f"the built-in teacher's loss is not finite in epoch {epoch + 1}")
        log.info("built-in teacher: epoch %d, loss %.3f", epoch + 1, total / len(pictures))
    with torch.no_grad():  # vectors are compared by angle, so what all pictures share is taken out
        encoder.eval()
        vectors = [encoder(_normalise(block)) for block in torch.split(pictures, 4 * BATCH)]
        encoder.centre += torch.cat(vectors).mean(0)


def _task_loss(logits: Tensor, targets: Tensor, weights: Tensor, task: str) -> Tensor:
    """Diagnosis counts fully, each finding by a quarter."""
    if not bool((targets >= 0).any()):
        return logits.sum() * 0
    loss = functional.cross_entropy(
        logits, targets, weights, ignore_index=UNLABELLED, label_smoothing=SMOOTHING
    )
    return loss if task == DIAGNOSIS else 0.25 * loss
