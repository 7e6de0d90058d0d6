"""Loading the frozen backbone: the embedded one, or any Qwen2.5-VL directory."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration
from transformers.utils import logging as transformers_logging

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.config import BackboneReference
from skingpt_r1.model.placement import AUTO, place
from skingpt_r1.model.processor import SkinProcessor, load_processor

NANO = "nano"
NANO_WEIGHTS = Path(__file__).resolve().parents[1] / "nano" / "weights"


class Backbone(NamedTuple):
    """A loaded backbone, its processor when the directory has one, and its identity."""

    model: Qwen2_5_VLForConditionalGeneration
    processor: SkinProcessor | None
    reference: BackboneReference


def find_directory(name_or_dir: str | Path) -> Path:
    """The directory meant by a model name.

    Raises:
        CheckpointError: it is neither `nano` nor a directory.
    """
    if str(name_or_dir) == NANO:
        return NANO_WEIGHTS
    folder = Path(name_or_dir)
    if not folder.is_dir():
        raise CheckpointError(
            f"model {str(name_or_dir)!r} does not exist; give {NANO!r} or a directory with an "
            "adapter, a Qwen2.5-VL backbone or the released checkpoint"
        )
    return folder


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold a directory's model weights.

    Raises:
        CheckpointError: there are none, or the index names a file that is absent.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    else:
        names = ["model.safetensors"]
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise CheckpointError(
            f"{folder} lacks the weight files {', '.join(absent)}; download it again, completely"
        )
    return [folder / name for name in names]


def weights_revision(folder: Path) -> str:
    """sha256 over the weight files, in the order of their names."""
    stamps = tuple(
        (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns)
        for path in weight_files(folder)
    )
    return _hash_files(stamps)


@lru_cache(maxsize=16)
def _hash_files(stamps: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _size, _modified in stamps:
        with Path(name).open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def read_config(folder: Path) -> dict[str, object]:
    """The directory's `config.json`.

    Raises:
        CheckpointError: it is absent, unreadable or not of the Qwen2.5-VL family.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json; it is not a model directory")
    try:
        config: dict[str, object] = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if config.get("model_type") != "qwen2_5_vl":
        raise CheckpointError(
            f"{folder} holds a model of type {config.get('model_type')!r}; only qwen2_5_vl works"
        )
    return config


def load_backbone(
    name_or_dir: str | Path,
    *,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype = AUTO,
    foreign_prefixes: Sequence[str] = (),
) -> Backbone:
    """Load a frozen backbone, strictly.

    Args:
        name_or_dir: `nano` or a directory.
        device: where the weights go; see `placement.place`.
        dtype: of the weights; likewise.
        foreign_prefixes: prefixes of keys in the files that are not the backbone's own.

    Raises:
        CheckpointError: the directory does not exist, or its keys are not the model's; all missing
            and unexpected keys are listed.
    """
    folder = find_directory(name_or_dir)
    read_config(folder)
    weight_files(folder)
    target, chosen = place(device, dtype)
    try:
        with _quiet_transformers():
            model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder, dtype=chosen, output_loading_info=True, local_files_only=True
            )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be loaded: {error}") from error
    foreign = tuple(foreign_prefixes)
    refuse_keys(
        folder,
        missing=report["missing_keys"],
        unexpected=[key for key in report["unexpected_keys"] if not key.startswith(foreign)]
        if foreign
        else report["unexpected_keys"],
    )
    model.to(target).eval().requires_grad_(False)
    # a directory's own sampling settings must not change what Decoding says
    model.generation_config = GenerationConfig(eos_token_id=model.generation_config.eos_token_id)
    reference = BackboneReference(
        name=NANO if folder == NANO_WEIGHTS else str(name_or_dir), revision=weights_revision(folder)
    )
    return Backbone(model, load_processor(folder), reference)


def refuse_keys(where: Path, *, missing: Sequence[str], unexpected: Sequence[str]) -> None:
    """Stop when keys do not match.

    Raises:
        CheckpointError: a key is missing or unexpected; the message lists all of them.
    """
    if not missing and not unexpected:
        return
    lines = [f"the weights in {where} do not fit the model; nothing was loaded"]
    lines += [f"  missing: {key}" for key in sorted(missing)]
    lines += [f"  unexpected: {key}" for key in sorted(unexpected)]
    raise CheckpointError("\n".join(lines))


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
