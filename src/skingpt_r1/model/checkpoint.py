"""Adapters on disk, in the Hugging Face layout: settings, weights, a model card; read strictly.

Low-rank matrices alone are written as `peft` writes them, with our settings in a file beside.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.adapters.text import lora_settings
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.weight_files import (
    read_headers,
    refuse_misfits,
    refuse_not_finite,
    refuse_other_types,
    refusing,
)
from skingpt_r1.records import read_json

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_TYPE = "skingpt_r1"
OWN_CONFIG_FILE = "skingpt_config.json"
_CARD = Path(__file__).parent / "templates" / "adapter_card.md"
_PEFT, _OWN = "base_model.model.", "lora."
T = TypeVar("T")


def describe_adapter(config: AdapterConfig, targets: str, parameters: int) -> dict[str, str]:
    """The files that go with an adapter's weights, by name: settings, and a model card.

    `targets` is the regular expression for what has low-rank matrices.
    """
    assert config.backbone is not None
    settings: dict[str, Any] = {
        "adapter_type": ADAPTER_TYPE,
        "base_model_name_or_path": config.backbone.name,
        "base_model_revision": config.backbone.revision,
        "config": config.model_dump(mode="json"),
    }
    files = {CONFIG_FILE: settings}
    if config.is_lora_alone:
        peft = {"base_model_name_or_path": config.backbone.name, "inference_mode": True}
        files = {OWN_CONFIG_FILE: settings, CONFIG_FILE: peft | lora_settings(config.lora, targets)}
    card = _CARD.read_text("utf-8").format(
        config=config, inject=str(config.visual.inject).lower(), parameters=parameters
    )
    written = {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}
    return written | {"README.md": card}


def saved_names(config: AdapterConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by their names in the file."""
    if not config.is_lora_alone:
        return state
    return {name.replace(_OWN, _PEFT, 1): value for name, value in state.items()}


def is_adapter(folder: Path) -> bool:
    """Whether a directory holds adapters."""
    return (folder / CONFIG_FILE).is_file()


def read_adapter_config(folder: Path) -> AdapterConfig:
    """The settings of saved adapters.

    Raises:
        CheckpointError: the file is unreadable, of another library, or has unknown settings.
    """
    path = folder / CONFIG_FILE
    settings = read_json(path, CheckpointError)
    if "peft_type" in settings and (folder / OWN_CONFIG_FILE).is_file():
        path = folder / OWN_CONFIG_FILE
        settings = read_json(path, CheckpointError)
    if settings.get("adapter_type") != ADAPTER_TYPE:
        raise CheckpointError(
            f"{path} has adapter_type {settings.get('adapter_type')!r:.100}; only adapters saved "
            f"by this library ({ADAPTER_TYPE!r}) can be loaded"
        )
    with refusing(f"{path} cannot be read"):
        config = AdapterConfig.model_validate(settings.get("config"))
    if config.backbone is None:
        raise CheckpointError(f"{path} does not name its backbone")
    return config


def read_adapter_weights(
    folder: Path, own: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The saved tensors, which are finite floating-point numbers.

    With `own`, a model's adapters, names and shapes are compared before a tensor is read.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has {CONFIG_FILE} but no {WEIGHTS_FILE}")
    headers = read_headers(path)
    if own is not None:
        named = _by_own_names(headers)
        refuse_misfits(folder, named, own)
    refuse_other_types(path, headers)
    with refusing(f"{path} cannot be read"):
        state: dict[str, Tensor] = load_file(path)
    refuse_not_finite(path, state.items())
    return _by_own_names(state)


def _by_own_names(saved: dict[str, T]) -> dict[str, T]:
    return {name.replace(_PEFT, _OWN, 1): value for name, value in saved.items()}


def put_weights(saved: Mapping[str, Tensor], own: Mapping[str, Tensor], where: Path) -> None:
    """Copy saved tensors into a model's adapters, which must be the same in name and shape."""
    refuse_misfits(where, saved, own)
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(saved[name])


def check_backbone(config: AdapterConfig, found: AdapterConfig, where: Path) -> None:
    """Stop when adapters were trained on another backbone than that of a model."""
    trained, here = config.backbone, found.backbone
    assert trained is not None
    assert here is not None
    if trained.revision != here.revision:
        raise CheckpointError(
            f"the adapter in {where} was trained on backbone {trained.name!r} with weights "
            f"{trained.revision[:12]}; {here.name!r} has weights {here.revision[:12]}. Use it "
            "with the backbone it was trained on"
        )
