"""Visual teachers: one vector per picture, from disk or from an image encoder.

A teacher stays outside our checkpoints; only its vectors are used, and only in training.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel

from skingpt_r1.case import Case
from skingpt_r1.data.intake import open_image
from skingpt_r1.errors import TeacherError
from skingpt_r1.model.foreign import refusing
from skingpt_r1.model.weight_files import not_finite
from skingpt_r1.records_json import read_json

SHOWN = 20


class Teacher(Protocol):
    """Gives the vectors that the visual adapter learns to land on."""

    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Case id to `[images, T]`, float32 on the CPU.

        Raises:
            TeacherError: vectors are missing or unusable; all such cases are listed.
        """
        ...


class PrecomputedTeacher:
    """Vectors on disk, made beforehand by any encoder.

    Looked up for a picture `folder/name.jpg`: in a safetensors file, the keys `name.jpg`, `name`;
    in a directory, the files `name.npy`, `name.jpg.npy`, `folder/name.npy` and `name.safetensors`
    (one tensor). Arrays are flattened.
    """

    def __init__(self, path: Path) -> None:
        """Open a directory or a safetensors file.

        Raises:
            TeacherError: there is no such path, or the file is damaged.
        """
        if not path.exists():
            raise TeacherError(
                f"teacher vectors {path} do not exist; give a directory of .npy or .safetensors "
                "files, one per picture, or one .safetensors file"
            )
        self.path = path
        self._vectors: Mapping[str, Tensor] | None = None
        if path.is_file():
            self._vectors = _read_tensors(path)

    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Read the vectors of all pictures; see `Teacher`."""
        found = {case.id: [self._find(image) for image in case.images] for case in cases}
        missing = [case_id for case_id, rows in found.items() if any(row is None for row in rows)]
        if missing:
            raise TeacherError(
                f"{len(missing)} of {len(cases)} cases have no teacher vector in {self.path}: "
                f"{_listed(missing)}; make the vectors, or leave the cases out",
                missing,
            )
        return check_vectors(
            {case_id: [row for row in rows if row is not None] for case_id, rows in found.items()}
        )

    def _find(self, image: Path) -> Tensor | None:
        if self._vectors is not None:
            for key in (image.name, image.stem):
                if key in self._vectors:
                    return self._vectors[key].flatten().float()
            return None
        for name in (
            f"{image.stem}.npy", f"{image.name}.npy", f"{image.parent.name}/{image.stem}.npy",
            f"{image.stem}.safetensors",
        ):  # fmt: skip
            if (self.path / name).is_file():
                return _read_vector(self.path / name)
        return None


class EncoderTeacher:
    """Any Hugging Face image encoder directory; the pooled output is the vector."""

    def __init__(
        self, folder: Path, *, device: str | torch.device = "cpu", batch_size: int = 32
    ) -> None:
        """Load the encoder and its image processor.

        Raises:
            TeacherError: the directory is absent or is not an image encoder, or its weights are no
                numbers.
        """
        if not folder.is_dir():
            raise TeacherError(f"teacher encoder {folder} does not exist; give its directory")
        for path in folder.glob("*config.json"):
            read_json(path, TeacherError)
        with refusing(f"{folder} is not an image encoder directory", TeacherError):
            self.processor = AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model = AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        if wrong := not_finite(model.named_parameters()):
            raise TeacherError(f"{folder} has weights that are not finite in {_listed(wrong)}")
        self.joint = "vision_config" in model.config.to_dict()
        self.model = model.to(device).eval().requires_grad_(False)
        self.batch_size = batch_size

    @torch.no_grad()
    def embed(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Run the encoder over all pictures; see `Teacher`."""
        pictures = [(case.id, image) for case in cases for image in case.images]
        found: dict[str, list[Tensor]] = {case.id: [] for case in cases}
        for start in range(0, len(pictures), self.batch_size):
            chosen = pictures[start : start + self.batch_size]
            batch = self.processor(
                images=[open_image(image) for _, image in chosen], return_tensors="pt"
            )
            rows = self._pool(batch["pixel_values"].to(self.model.device))
            for (case_id, _), row in zip(chosen, rows, strict=True):
                found[case_id].append(row.flatten().float().cpu())
        return check_vectors(found)

    def _pool(self, pixels: Tensor) -> Tensor:
        # A joint text-image model projects pictures by a method of its own.
        output = (
            self.model.get_image_features(pixel_values=pixels)
            if self.joint
            else self.model(pixel_values=pixels)
        )
        if isinstance(output, Tensor):
            return output
        pooled: Tensor | None = output.get("pooler_output")
        if pooled is not None:
            return pooled
        states: Tensor = output.last_hidden_state
        return states[:, 0] if states.ndim == 3 else states.mean((-2, -1))


def check_vectors(found: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """Stack each case's vectors, when all are usable.

    Raises:
        TeacherError: widths differ, or a vector is zero or not finite.
    """
    widths = {row.numel() for rows in found.values() for row in rows}
    if len(widths) > 1:
        common = max(widths, key=lambda w: sum(r.numel() == w for v in found.values() for r in v))
        odd = [k for k, rows in found.items() if any(row.numel() != common for row in rows)]
        raise TeacherError(
            f"teacher vectors have widths {sorted(widths)}; most have {common}, and these cases "
            f"differ: {_listed(odd)}; one encoder must make all of them",
            odd,
        )
    bad = [
        case_id
        for case_id, rows in found.items()
        if any(not bool(row.isfinite().all()) or not bool(row.any()) for row in rows)
    ]
    if bad:
        raise TeacherError(
            f"{len(bad)} cases have teacher vectors that are zero or not finite: {_listed(bad)}; "
            "a zero vector has no direction to learn; make them again",
            bad,
        )
    return {case_id: torch.stack(list(rows)) for case_id, rows in found.items()}


def _listed(case_ids: Sequence[str]) -> str:
    more = f" and {len(case_ids) - SHOWN} more" if len(case_ids) > SHOWN else ""
    return ", ".join(case_ids[:SHOWN]) + more


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
