"""Saving and loading adapters in the Hugging Face layout, strictly."""

import json
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.backbone import load_backbone, refuse_keys
from skingpt_r1.model.card import model_card
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.placement import AUTO
from skingpt_r1.model.skingpt import SkinGPT

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_TYPE = "skingpt_r1"


def save_adapter(model: SkinGPT, folder: Path) -> None:
    """Write the adapters, their settings, the processor's files and a model card.

    Raises:
        CheckpointError: the model does not know its backbone, or the folder cannot be written.
    """
    if model.config.backbone is None:
        raise CheckpointError("this model does not know its backbone; load it through load_model")
    state = {
        name: value.detach().cpu().contiguous() for name, value in model.adapter_state().items()
    }
    settings = {
        "adapter_type": ADAPTER_TYPE,
        "base_model_name_or_path": model.config.backbone.name,
        "base_model_revision": model.config.backbone.revision,
        "config": model.config.model_dump(mode="json"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if model.processor is not None:
            model.processor.save(folder)
        (folder / CONFIG_FILE).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
        (folder / "README.md").write_text(model_card(model.config, state), "utf-8")
        partial = folder / f".{WEIGHTS_FILE}.partial"
        save_file(state, partial, metadata={"format": "pt"})
        partial.replace(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the adapter cannot be written to {folder}: {error}") from error


def is_adapter(folder: Path) -> bool:
    """Whether a directory holds adapters."""
    return (folder / CONFIG_FILE).is_file()


def read_adapter_config(folder: Path) -> AdapterConfig:
    """The settings of saved adapters.

    Raises:
        CheckpointError: the file is unreadable, of another library, or has unknown settings.
    """
    path = folder / CONFIG_FILE
    try:
        settings = json.loads(path.read_text("utf-8"))
        if settings.get("adapter_type") != ADAPTER_TYPE:
            raise CheckpointError(
                f"{path} has adapter_type {settings.get('adapter_type')!r}; only adapters saved by "
                f"this library ({ADAPTER_TYPE!r}) can be loaded"
            )
        config = AdapterConfig.model_validate(settings["config"])
    except (OSError, json.JSONDecodeError, KeyError, ValidationError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if config.backbone is None:
        raise CheckpointError(f"{path} does not name its backbone")
    return config


def read_adapter_weights(folder: Path) -> dict[str, Tensor]:
    """The saved tensors.

    Raises:
        CheckpointError: the file is absent or damaged.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has {CONFIG_FILE} but no {WEIGHTS_FILE}")
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return state


def put_weights(model: SkinGPT, state: dict[str, Tensor], where: Path) -> None:
    """Copy saved tensors into a model's adapters.

    Raises:
        CheckpointError: missing or unexpected keys, or another shape; nothing is changed then.
    """
    own = model.adapter_state()
    refuse_keys(
        where, missing=[*own.keys() - state.keys()], unexpected=[*state.keys() - own.keys()]
    )
    wrong = [
        f"  {name}: {tuple(state[name].shape)} in the file, {tuple(value.shape)} in the model"
        for name, value in own.items()
        if state[name].shape != value.shape
    ]
    if wrong:
        raise CheckpointError("\n".join([f"shapes in {where} do not fit the model", *wrong]))
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


def check_backbone(config: AdapterConfig, revision: str, name: str, where: Path) -> None:
    """Stop when adapters were trained on another backbone.

    Raises:
        CheckpointError: the revisions differ.
    """
    assert config.backbone is not None
    if config.backbone.revision != revision:
        raise CheckpointError(
            f"the adapter in {where} was trained on backbone {config.backbone.name!r} with weights "
            f"{config.backbone.revision[:12]}; {name!r} has weights {revision[:12]}. Load it with "
            "the backbone it was trained on"
        )


def load_adapter(
    folder: Path,
    *,
    backbone: str | Path | None = None,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype = AUTO,
) -> SkinGPT:
    """A model from saved adapters.

    Args:
        folder: what `save_adapter` wrote.
        backbone: where the backbone is now; by default where it was in training.
        device: where the weights go; see `placement.place`.
        dtype: of the backbone; likewise.

    Raises:
        CheckpointError: the backbone is another one, or the keys do not fit.
    """
    config = read_adapter_config(folder)
    assert config.backbone is not None
    state = read_adapter_weights(folder)
    loaded = load_backbone(backbone or config.backbone.name, device=device, dtype=dtype)
    check_backbone(config, loaded.reference.revision, loaded.reference.name, folder)
    config = config.model_copy(update={"backbone": loaded.reference})
    model = SkinGPT.from_backbone(loaded.model, config, loaded.processor)
    put_weights(model, state, folder)
    return model


def copy_adapter(folder: Path, model: SkinGPT) -> None:
    """Copy saved adapters into a model that has these and perhaps more.

    Raises:
        CheckpointError: another backbone, or a saved weight that the model lacks or has in another
            shape; all of them are listed.
    """
    config = read_adapter_config(folder)
    assert config.backbone is not None
    if model.config.backbone is None or config.backbone.revision != model.config.backbone.revision:
        raise CheckpointError(
            f"the adapter in {folder} belongs to backbone {config.backbone.name} "
            f"({config.backbone.revision[:12]}), not to the model's; start from one that was "
            "trained on the same backbone"
        )
    state = model.adapter_state()
    saved = read_adapter_weights(folder)
    wrong = [
        f"{name} {tuple(value.shape)}"
        for name, value in saved.items()
        if name not in state or state[name].shape != value.shape
    ]
    if wrong:
        raise CheckpointError(
            f"{len(wrong)} weights of {folder} do not fit the model: {', '.join(wrong[:10])}; use "
            "the same visual settings and rank, or leave out `start`"
        )
    with torch.no_grad():
        for name, value in saved.items():
            state[name].copy_(value)
