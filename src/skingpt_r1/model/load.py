"""`load_model`: one door for every kind of directory, and what a directory is."""

from pathlib import Path
from typing import Literal, NamedTuple

import torch

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.model.backbone import NANO, find_directory, load_backbone
from skingpt_r1.model.checkpoint import (
    is_adapter,
    load_adapter,
    read_adapter_config,
    read_adapter_weights,
)
from skingpt_r1.model.config import AdapterConfig, VisualConfig
from skingpt_r1.model.placement import AUTO
from skingpt_r1.model.processor import load_processor
from skingpt_r1.model.released import NO_IN_PROJ, is_released, load_released, read_released
from skingpt_r1.model.settings import build_config
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import weights_revision

Kind = Literal["adapter", "released", "backbone", "unknown"]


class ModelReport(NamedTuple):
    """What a directory is.

    Attributes:
        path: as given.
        kind: adapter, released checkpoint, bare backbone, or unknown.
        loads: whether `load_model` would work.
        details: one line each: sizes, the backbone, remarks; or why it does not load.
    """

    path: str
    kind: Kind
    loads: bool
    details: tuple[str, ...]


def load_model(
    name_or_dir: str | Path = NANO,
    *,
    backbone: str | Path | None = None,
    config: AdapterConfig | None = None,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype = AUTO,
) -> SkinGPT:
    """A model, from the embedded backbone or a directory. For research, not for diagnosis.

    Args:
        name_or_dir: `nano`, one of our adapter directories, a bare Qwen2.5-VL directory, or the
            released checkpoint.
        backbone: for adapters whose backbone has moved since training.
        config: adapters to put, untrained, on a bare backbone; the paper's bias by default.
        device: `auto`, `cpu`, `cuda`, ...; see `placement.ModelRecipe`.
        dtype: of the backbone; `auto`, `fp32`, `bf16` or `fp16`.

    Raises:
        DeviceError: this machine has no such device.
        CheckpointError: there is no such directory, or it does not load; the message says why.
    """
    folder = find_directory(name_or_dir)
    if is_adapter(folder):
        return load_adapter(folder, backbone=backbone, device=device, dtype=dtype)
    if is_released(folder):
        return load_released(folder, device=device, dtype=dtype)
    loaded = load_backbone(name_or_dir, device=device, dtype=dtype)
    chosen = (config or AdapterConfig()).model_copy(update={"backbone": loaded.reference})
    return SkinGPT.from_backbone(loaded.model, chosen, loaded.processor)


def describe_directory(name_or_dir: str | Path) -> ModelReport:
    """What a directory is, and whether it loads. Nothing is put on an accelerator.

    The check loads what it finds on a CPU, so it takes as long as loading does.
    """
    kind: Kind = "unknown"
    try:
        folder = find_directory(name_or_dir)
        kind = _kind(folder)
        details = _DESCRIBE[kind](folder)
        load_model(name_or_dir, device="cpu")
    except (SkinGPTError, OSError) as error:
        return ModelReport(str(name_or_dir), kind, False, (str(error),))
    return ModelReport(str(name_or_dir), kind, True, details)


def _kind(folder: Path) -> Kind:
    if is_adapter(folder):
        return "adapter"
    if is_released(folder):
        return "released"
    return "backbone" if (folder / "config.json").is_file() else "unknown"


def _describe_adapter(folder: Path) -> tuple[str, ...]:
    config = read_adapter_config(folder)
    assert config.backbone is not None
    parameters = sum(value.numel() for value in read_adapter_weights(folder).values())
    return (
        f"text adapter: {config.text_adapter}",
        _visual_line(config.visual),
        f"trained parameters: {parameters:,}",
        f"backbone: {config.backbone.name}, weights {config.backbone.revision[:12]}",
    )


def _visual_line(visual: VisualConfig) -> str:
    inject = ", injected" if visual.inject else ""
    return f"visual adapter: {visual.layers} layers on {visual.features}{inject}"


def _describe_released(folder: Path) -> tuple[str, ...]:
    state = read_released(folder)
    lines = [f"adapter parameters: {sum(value.numel() for value in state.values()):,}"]
    if "distill_head.in_proj.weight" not in state:
        lines.append(NO_IN_PROJ)
    return (*lines, *_describe_backbone(folder))


def _describe_backbone(folder: Path) -> tuple[str, ...]:
    text = build_config(folder).text_config
    has_text = load_processor(folder) is not None
    return (
        f"hidden size {text.hidden_size}, {text.num_hidden_layers} layers, "
        f"vocabulary {text.vocab_size}",
        f"weights {weights_revision(folder)[:12]}",
        "tokenizer: yes" if has_text else "tokenizer: none, so only forward() works",
    )


def _describe_unknown(folder: Path) -> tuple[str, ...]:
    raise CheckpointError(
        f"{folder} has neither adapter_config.json nor config.json; it holds no model"
    )


_DESCRIBE = {
    "adapter": _describe_adapter,
    "released": _describe_released,
    "backbone": _describe_backbone,
    "unknown": _describe_unknown,
}
