"""Loading the frozen backbone: the embedded one, or any Qwen2.5-VL directory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.utils import logging as transformers_logging

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.config import BackboneReference
from skingpt_r1.model.placement import AUTO, place
from skingpt_r1.model.processor import IMAGE_TOKEN, SkinProcessor, load_processor
from skingpt_r1.model.settings import build_config
from skingpt_r1.model.weight_files import (
    Header,
    read_all_headers,
    refuse_keys,
    refuse_not_finite,
    refuse_other_types,
    refusing,
    weights_revision,
)
from skingpt_r1.records import read_json

GENERATION_CONFIG = "generation_config.json"
NANO = "nano"
NANO_WEIGHTS = Path(__file__).resolve().parent / "weights"


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
    config = build_config(folder)
    if (folder / GENERATION_CONFIG).is_file():  # transformers passes over one that is damaged
        read_json(folder / GENERATION_CONFIG, CheckpointError)
    headers = read_all_headers(folder)
    if getattr(config, "quantization_config", None) is None:
        refuse_other_types(folder, headers)
    _refuse_oversize(folder, config, headers)
    target, chosen = place(device, dtype)
    model = _load_weights(folder, config, chosen, tuple(foreign_prefixes))
    model.to(target).eval().requires_grad_(False)
    refuse_not_finite(folder, model.named_parameters())
    # a directory's own sampling settings must not change what Decoding says
    model.generation_config = GenerationConfig(eos_token_id=_end_tokens(folder, model))
    processor = load_processor(folder)
    if processor is not None:
        _refuse_strangers(folder, config, processor)
    reference = BackboneReference(
        name=NANO if folder == NANO_WEIGHTS else str(name_or_dir), revision=weights_revision(folder)
    )
    return Backbone(model, processor, reference)


def _load_weights(
    folder: Path, config: Qwen2_5_VLConfig, dtype: torch.dtype, foreign: tuple[str, ...]
) -> Qwen2_5_VLForConditionalGeneration:
    """The model with the directory's weights, none missing, unexpected or of another shape."""
    with refusing(f"{folder} cannot be loaded"), _quiet_transformers():
        model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are listed here
        )
    refuse_keys(
        folder,
        missing=[*report["missing_keys"]],
        unexpected=[key for key in report["unexpected_keys"] if not key.startswith(foreign)]
        if foreign
        else [*report["unexpected_keys"]],
    )
    wrong = [
        f"  {name}: {tuple(saved)} in the file, {tuple(own)} in the model"
        for name, saved, own in sorted(report["mismatched_keys"])
    ]
    if wrong:
        raise CheckpointError("\n".join([f"shapes in {folder} do not fit the model", *wrong]))
    return model


def _refuse_oversize(folder: Path, config: Qwen2_5_VLConfig, headers: dict[str, Header]) -> None:
    """Compare the sizes of `config.json` with the weight files before memory is taken."""
    path = folder / "config.json"
    with refusing(f"{path} describes no model that can be built"), torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    described = sum(parameter.numel() for parameter in model.parameters())
    held = sum(math.prod(header.shape) for header in headers.values())
    if described > 2 * held:
        raise CheckpointError(
            f"{path} describes a model of {described:,} weights and the weight files hold "
            f"{held:,}; config.json belongs to another model"
        )


def _refuse_strangers(folder: Path, config: Qwen2_5_VLConfig, processor: SkinProcessor) -> None:
    """Stop when tokenizer or picture settings are those of another model."""
    vision, images = config.vision_config, processor.image_processor
    tokens = processor.tokenizer.get_vocab()
    image_id = tokens[IMAGE_TOKEN]
    wrong = {
        f"{IMAGE_TOKEN} is token {image_id} and config.json says {config.image_token_id}":
            image_id != config.image_token_id,
        f"the tokenizer has token {max(tokens.values())} and the model has "
        f"{config.text_config.vocab_size}":
            max(tokens.values()) >= config.text_config.vocab_size,
        f"pictures are cut into patches of {images.patch_size} and the tower reads "
        f"{vision.patch_size}": images.patch_size != vision.patch_size,
        f"{images.merge_size} patches a side are merged and the tower merges "
        f"{vision.spatial_merge_size}": images.merge_size != vision.spatial_merge_size,
        f"patches repeat {images.temporal_patch_size} times and the tower reads "
        f"{vision.temporal_patch_size}": images.temporal_patch_size != vision.temporal_patch_size,
    }  # fmt: skip
    if found := [problem for problem, holds in wrong.items() if holds]:
        raise CheckpointError(f"the files in {folder} are of different models: {'; '.join(found)}")


def _end_tokens(folder: Path, model: Qwen2_5_VLForConditionalGeneration) -> list[int] | None:
    """The tokens that end a text, as `generation_config.json` or else `config.json` says."""
    found: Any = model.generation_config.eos_token_id
    ends = found if isinstance(found, list) else [] if found is None else [found]
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
