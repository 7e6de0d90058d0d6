# ruff: noqa: D102 - families/qwen2_5_vl.py says what each member of a family does
"""Loading the frozen backbone: the embedded one, or a directory of a family that there is.

Families are the files of `model/families/`, and what other packages enter under
`skingpt_r1.families`; everything else asks a `Family` where backbones differ.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.utils import logging as transformers_logging

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.config import AUTO, BackboneReference, LoraSettings, place
from skingpt_r1.model.families import qwen2_5_vl
from skingpt_r1.model.families.qwen2_5_vl import TowerTokens
from skingpt_r1.model.processor import SkinProcessor, load_processor
from skingpt_r1.model.weight_files import (
    Header,
    refuse_differences,
    refuse_not_finite,
    refuse_other_types,
    refusing,
    weight_files,
    weights_revision,
)
from skingpt_r1.plugins import load_plugins
from skingpt_r1.records import read_json

GENERATION_CONFIG = "generation_config.json"
NANO = "nano"
NANO_WEIGHTS = Path(__file__).resolve().parent / "weights"


class Family(Protocol):
    """All in which one kind of backbone differs from others: a module, or any object, with these.

    `families/qwen2_5_vl.py` says what each member does; tensors have the shapes named there.
    """

    MODEL: Any  # the class of transformers, built from a configuration or by `from_pretrained`
    IMAGE_TOKEN: str  # stands for one picture in a chat

    def build_config(self, path: Path, config: dict[str, Any]) -> Any: ...
    def read_image_processor(self, folder: Path) -> Any: ...
    def refuse_strangers(
        self, folder: Path, config: Any, tokens: Mapping[str, int], images: Any
    ) -> None: ...
    def patch_width(self, backbone: Any) -> int: ...
    def merged_lengths(self, backbone: Any, grids: Tensor) -> Tensor: ...
    def run_tower(self, backbone: Any, pixel_values: Tensor, grids: Tensor) -> TowerTokens: ...
    def tower_states(
        self, backbone: Any, pixel_values: Tensor, grids: Tensor, layers: Sequence[int]
    ) -> Tensor: ...
    def merge(self, backbone: Any, pre_merger: Tensor, grids: Tensor) -> Tensor: ...
    def picture_inputs(self, tokens: Tensor) -> dict[str, Any]: ...
    def positions(
        self, backbone: Any, input_ids: Tensor, mask: Tensor, grids: Tensor
    ) -> Tensor: ...
    def lora_targets(self, settings: LoraSettings) -> str: ...


FAMILIES: dict[str, Family] = {qwen2_5_vl.MODEL_TYPE: qwen2_5_vl}


def find_family(model_type: object, where: Path) -> Family:
    """The family of a `model_type` as the `config.json` of a directory names it."""
    name = str(model_type)
    if name in FAMILIES:
        return FAMILIES[name]
    others: dict[str, Family] = load_plugins("families", name, taken=FAMILIES)
    if name not in others:
        raise CheckpointError(
            f"{where} holds a model of type {model_type!r:.100}; only "
            f"{', '.join([*FAMILIES, *others])} works"
        )
    return others[name]


class Backbone(NamedTuple):
    """A frozen backbone, its family, its processor when there is one, and its identity."""

    model: Any
    family: Family
    processor: SkinProcessor | None
    reference: BackboneReference


def find_directory(name_or_dir: str | Path) -> Path:
    """The directory meant by a model name: `nano`, or a directory that is there."""
    if str(name_or_dir) == NANO:
        return NANO_WEIGHTS
    folder = Path(name_or_dir)
    if not folder.is_dir():
        raise CheckpointError(
            f"model {str(name_or_dir)!r} does not exist; give {NANO!r} or a directory with an "
            "adapter, a Qwen2.5-VL backbone or the released checkpoint"
        )
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """A directory's `config.json`, unchecked."""
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json; it is not a model directory")
    return read_json(path, CheckpointError)


def build_config(folder: Path) -> tuple[Family, Any]:
    """A directory's family and its checked configuration."""
    config = read_config(folder)
    family = find_family(config.get("model_type"), folder)
    return family, family.build_config(folder / "config.json", config)


def load_backbone(
    name_or_dir: str | Path,
    *,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype = AUTO,
    foreign_prefixes: Sequence[str] = (),
) -> Backbone:
    """Load a frozen backbone, strictly; for device and dtype see `config.place`.

    `foreign_prefixes` begin keys in the files that are not the backbone's own.

    Raises:
        CheckpointError: the directory does not exist, or what lies in it does not fit.
    """
    folder = find_directory(name_or_dir)
    family, config = build_config(folder)
    if (folder / GENERATION_CONFIG).is_file():  # transformers passes over one that is damaged
        read_json(folder / GENERATION_CONFIG, CheckpointError)
    files = weight_files(folder)
    headers = {name: header for inside in files.values() for name, header in inside.items()}
    if getattr(config, "quantization_config", None) is None:
        refuse_other_types(folder, headers)
    _refuse_oversize(folder, family, config, headers)
    target, chosen = place(device, dtype)
    model = _load_weights(folder, family, config, chosen, tuple(foreign_prefixes))
    model.to(target).eval().requires_grad_(False)
    refuse_not_finite(folder, model.named_parameters())
    # a directory's own sampling settings must not change what Decoding says
    model.generation_config = GenerationConfig(eos_token_id=_end_tokens(folder, model))
    processor = load_processor(folder, family)
    if processor is not None:
        vocabulary = processor.tokenizer.get_vocab()
        family.refuse_strangers(folder, config, vocabulary, processor.image_processor)
    name = NANO if folder == NANO_WEIGHTS else str(name_or_dir)
    reference = BackboneReference(name=name, revision=weights_revision(files))
    return Backbone(model, family, processor, reference)


def _load_weights(
    folder: Path, family: Family, config: Any, dtype: torch.dtype, foreign: tuple[str, ...]
) -> Any:
    """The model with the directory's weights, none missing, unexpected or of another shape."""
    with refusing(f"{folder} cannot be loaded"), _quiet_transformers():
        model, report = family.MODEL.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are listed here
        )
    refuse_differences(
        folder,
        missing=report["missing_keys"],
        unexpected=[key for key in report["unexpected_keys"] if not key.startswith(foreign)],
        shapes=sorted(report["mismatched_keys"]),
    )
    return model


def _refuse_oversize(folder: Path, family: Family, config: Any, headers: dict[str, Header]) -> None:
    """Compare the sizes of `config.json` with the weight files before memory is taken."""
    path = folder / "config.json"
    with refusing(f"{path} describes no model that can be built"), torch.device("meta"):
        model = family.MODEL(config)
    described = sum(parameter.numel() for parameter in model.parameters())
    held = sum(math.prod(header.shape) for header in headers.values())
    if described > 2 * held:
        raise CheckpointError(
            f"{path} describes a model of {described:,} weights and the weight files hold "
            f"{held:,}; config.json belongs to another model"
        )


def _end_tokens(folder: Path, model: Any) -> list[int] | None:
    """The tokens that end a text, as `generation_config.json` or else `config.json` says."""
    named = model.generation_config.eos_token_id
    ends = list(named) if isinstance(named, list | tuple) else [] if named is None else [named]
    if wrong := [end for end in ends if type(end) is not int or end < 0]:
        raise CheckpointError(
            f"{folder / GENERATION_CONFIG} names the end tokens {wrong!r:.100} (eos_token_id); the "
            "number of a token, or a list of them, is allowed"
        )
    return ends or None


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
