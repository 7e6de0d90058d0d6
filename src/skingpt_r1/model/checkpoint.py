"""Saving and loading adapters in the Hugging Face layout, strictly.

The model card that is saved beside adapters.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.backbone import find_directory, load_backbone
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.placement import AUTO
from skingpt_r1.model.settings import build_config, problems
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import (
    Header,
    read_headers,
    refuse_misfits,
    refuse_not_finite,
    refuse_other_types,
    refusing,
)
from skingpt_r1.records import read_json

_CARD = """---
base_model: {base}
base_model_relation: adapter
library_name: skingpt_r1
license: apache-2.0
pipeline_tag: image-text-to-text
tags:
- dermatology
- chain-of-thought
---

# SkinGPT-R1 adapters

**For research, not for diagnosis.** The model can be wrong, and a fluent text is no sign that it is
right. It must not be used to decide about anybody's care.

| | |
|---|---|
| backbone | `{base}` |
| backbone weights (sha256) | `{revision}` |
| text adapter | {text_adapter} |
| visual adapter | {layers} layers on {features}, width {embed_dim}, inject: {inject} |
| trained parameters | {parameters:,} |

The backbone's weights are not part of this directory and were not changed. The license above is
that of the adapter code; the data it was trained on may restrict what the weights can be used for.

```python
import skingpt_r1

model = skingpt_r1.load_model("path/to/this/directory")
print(model.diagnose("picture.jpg").text)
```
"""


def model_card(config: AdapterConfig, state: Mapping[str, Tensor]) -> str:
    """A model card in Markdown with the metadata header that model hubs read."""
    assert config.backbone is not None
    return _CARD.format(
        base=config.backbone.name,
        revision=config.backbone.revision,
        text_adapter=config.text_adapter,
        layers=config.visual.layers,
        features=config.visual.features,
        embed_dim=config.visual.embed_dim,
        inject=str(config.visual.inject).lower(),
        parameters=sum(value.numel() for value in state.values()),
    )


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
    settings = read_json(path, CheckpointError)
    if settings.get("adapter_type") != ADAPTER_TYPE:
        raise CheckpointError(
            f"{path} has adapter_type {settings.get('adapter_type')!r:.100}; only adapters saved "
            f"by this library ({ADAPTER_TYPE!r}) can be loaded"
        )
    try:
        config = AdapterConfig.model_validate(settings.get("config"))
    except ValidationError as error:
        raise CheckpointError(f"{path} cannot be read: {problems(error)}") from None
    if config.backbone is None:
        raise CheckpointError(f"{path} does not name its backbone")
    return config


def read_adapter_weights(folder: Path) -> dict[str, Tensor]:
    """The saved tensors.

    Raises:
        CheckpointError: the file is absent or damaged.
    """
    path = folder / WEIGHTS_FILE
    refuse_other_types(path, read_adapter_headers(folder))
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    refuse_not_finite(path, state.items())
    return state


def read_adapter_headers(folder: Path) -> dict[str, Header]:
    """Type and shape of the saved tensors; none of them is read.

    Raises:
        CheckpointError: the file is absent or damaged.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has {CONFIG_FILE} but no {WEIGHTS_FILE}")
    return read_headers(path)


def put_weights(model: SkinGPT, state: dict[str, Tensor], where: Path) -> None:
    """Copy saved tensors into a model's adapters.

    Raises:
        CheckpointError: missing or unexpected keys, or another shape; nothing is changed then.
    """
    own = model.adapter_state()
    refuse_misfits(where, state, own)
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
    where = backbone or config.backbone.name
    _refuse_other_sizes(folder, config, build_config(find_directory(where)))
    state = read_adapter_weights(folder)
    loaded = load_backbone(where, device=device, dtype=dtype)
    check_backbone(config, loaded.reference.revision, loaded.reference.name, folder)
    config = config.model_copy(update={"backbone": loaded.reference})
    model = SkinGPT.from_backbone(loaded.model, config, loaded.processor)
    put_weights(model, state, folder)
    return model


def _refuse_other_sizes(folder: Path, config: AdapterConfig, backbone: Qwen2_5_VLConfig) -> None:
    """Compare what the settings describe with the file's header, before memory is taken."""
    path = folder / CONFIG_FILE
    with refusing(f"{path} describes no adapters that can be built"), torch.device("meta"):
        model = SkinGPT(Qwen2_5_VLForConditionalGeneration(backbone), config)
    refuse_misfits(folder, read_adapter_headers(folder), model.adapter_state())


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
