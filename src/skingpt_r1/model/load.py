"""`load_model`: one door for every kind of directory, and what a directory is.

The weights published for SkinGPT-R1 are one state dict with the adapters beside the backbone; their
names are translated to ours here.
"""

import re
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import safe_open
from torch import Tensor

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.model.backbone import NANO, build_config, find_directory, load_backbone, read_config
from skingpt_r1.model.checkpoint import (
    is_adapter,
    put_weights,
    read_adapter_config,
    read_adapter_weights,
)
from skingpt_r1.model.config import AUTO, AdapterConfig, VisualConfig
from skingpt_r1.model.processor import load_processor
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import (
    problems,
    read_all_headers,
    refuse_keys,
    refuse_not_finite,
    refuse_other_types,
    refusing,
    weight_files,
    weights_revision,
)

ARCHITECTURE = "SkinVLModelWithAdapter"
PREFIXES = ("distill_head.", "text_bias.", "logit_bias_scale")
NO_IN_PROJ = (
    "this release does not contain distill_head.in_proj.weight, the projection that its visual "
    "adapter reads pictures through, so neither image embeddings nor the vocabulary bias can be "
    "computed; it runs as the frozen backbone with adapters=False"
)

_SAME_TENSOR = {
    "distill_head.in_proj.weight": "visual_adapter.in_proj.weight",
    "distill_head.out_proj.weight": "visual_adapter.out_proj.weight",
    "text_bias.0.weight": "language_bias.down.weight",
    "text_bias.2.weight": "language_bias.up.weight",
    "logit_bias_scale": "language_bias.scale",
}
_TONE = re.compile(r"distill_head\.skin_classifier\.(\d+\.(?:weight|bias))")
_ROUTER = re.compile(r"distill_head\.adapters\.(\d+)\.router_(img|skin)\.weight")
_EXPERT = re.compile(
    r"distill_head\.adapters\.(\d+)\.experts\.(\d{1,4})\.net\.([02])\.(weight|bias)"
)


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
        name_or_dir: `nano`, one of our adapter directories, a bare backbone directory, or the
            released checkpoint.
        backbone: for adapters whose backbone has moved since training.
        config: adapters to put, untrained, on a bare backbone; the paper's bias by default.
        device: like dtype, see `config.ModelRecipe`.

    Raises:
        DeviceError: this machine has no such device.
        CheckpointError: there is no such directory, or it does not load; the message says why.
    """
    folder = find_directory(name_or_dir)
    if is_adapter(folder):
        return SkinGPT.from_pretrained(folder, backbone=backbone, device=device, dtype=dtype)
    if is_released(folder):
        return _load_released(folder, device, dtype)
    loaded = load_backbone(name_or_dir, device=device, dtype=dtype)
    chosen = (config or AdapterConfig()).model_copy(update={"backbone": loaded.reference})
    return SkinGPT(loaded.model, chosen, loaded.processor)


def is_released(folder: Path) -> bool:
    """Whether a directory holds weights in the published form."""
    if not (folder / "config.json").is_file():
        return False
    return ARCHITECTURE in str(read_config(folder).get("architectures"))


def _load_released(folder: Path, device: str | torch.device, dtype: str | torch.dtype) -> SkinGPT:
    """A model from the published weights, which must be complete but for `in_proj`.

    Without it the embeddings are NaN, and `adapters=True` is refused with the reason.
    """
    state, unexpected = _translate(_read_released(folder))
    refuse_keys(folder, missing=[], unexpected=unexpected)
    config = _released_config(state)
    loaded = load_backbone(folder, device=device, dtype=dtype, foreign_prefixes=PREFIXES)
    config = config.model_copy(update={"backbone": loaded.reference})
    model = SkinGPT(loaded.model, config, loaded.processor)
    own = model.adapter_state()
    if "visual_adapter.in_proj.weight" not in state:
        model.adapter_refusal = NO_IN_PROJ
        shape = own["visual_adapter.in_proj.weight"].shape
        state["visual_adapter.in_proj.weight"] = torch.full(shape, torch.nan)
    put_weights(state, own, folder)
    return model


def _read_released(folder: Path) -> dict[str, Tensor]:
    """The adapters' tensors under their published names; only finite numbers are taken."""
    headers = read_all_headers(folder)
    refuse_other_types(folder, {n: h for n, h in headers.items() if n.startswith(PREFIXES)})
    state: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with refusing(f"{path} cannot be read"), safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(PREFIXES)]  # noqa: SIM118
            state |= {name: file.get_tensor(name) for name in names}
    refuse_not_finite(folder, state.items())
    return state


def _translate(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by our names, each layer's experts stacked; and published names without meaning."""
    ours: dict[str, Tensor] = {}
    experts: dict[str, dict[int, Tensor]] = {}
    unexpected = []
    for name, value in state.items():
        if name in _SAME_TENSOR:
            ours[_SAME_TENSOR[name]] = value
        elif match := _TONE.fullmatch(name):
            ours[f"visual_adapter.tone_classifier.{match[1]}"] = value
        elif match := _ROUTER.fullmatch(name):
            kind = "patch" if match[2] == "img" else "tone"
            ours[f"visual_adapter.layers.{match[1]}.router_{kind}.weight"] = value
        elif match := _EXPERT.fullmatch(name):
            part = "expand" if match[3] == "0" else "contract"
            stacked = f"visual_adapter.layers.{match[1]}.{part}_{match[4]}"
            experts.setdefault(stacked, {})[int(match[2])] = value
        else:
            unexpected.append(name)
    for name, parts in experts.items():
        if len({part.shape for part in parts.values()}) > 1:
            raise CheckpointError(f"the experts of {name} in the release have different shapes")
        ours[name] = torch.stack([parts[index] for index in sorted(parts)])
    return ours, unexpected


def _released_config(state: dict[str, Tensor]) -> AdapterConfig:
    """Sizes read from the tensors, by our names."""
    needed = (
        "visual_adapter.layers.0.expand_weight",
        "visual_adapter.layers.0.router_patch.weight",
        "language_bias.down.weight",
    )
    if absent := [name for name in needed if name not in state]:
        raise CheckpointError(f"the release lacks the tensors behind {', '.join(absent)}")
    if wrong := [name for name in needed if state[name].ndim != 2 + (name == needed[0])]:
        raise CheckpointError(f"the tensors behind {', '.join(wrong)} are no matrices")
    experts, bottleneck, width = state[needed[0]].shape
    layers = {name.split(".")[2] for name in state if name.startswith("visual_adapter.layers.")}
    projection = state.get("visual_adapter.out_proj.weight")
    try:
        return AdapterConfig(
            visual=VisualConfig(
                features="pixels",
                layers="experts",
                embed_dim=width,
                num_layers=len(layers),
                bottleneck=bottleneck,
                num_experts=experts,
            ),
            rank=len(state["language_bias.down.weight"]),
            teacher_dim=None if projection is None else len(projection),
        )
    except ValidationError as error:
        raise CheckpointError(f"the release has impossible sizes: {problems(error)}") from None


Kind = Literal["adapter", "released", "backbone", "unknown"]


class ModelReport(NamedTuple):
    """What a directory is, and whether `load_model` takes it."""

    path: str
    kind: Kind
    loads: bool
    details: tuple[str, ...]  # sizes, the backbone, remarks; or why it does not load


def describe_directory(name_or_dir: str | Path) -> ModelReport:
    """What a directory is, and whether it loads. Nothing is put on an accelerator.

    The check loads what it finds on a CPU, so it takes as long as loading does.
    """
    kind: Kind = "unknown"
    try:
        folder = find_directory(name_or_dir)
        kind = _kind(folder)
        if kind == "unknown":
            raise CheckpointError(
                f"{folder} has neither adapter_config.json nor config.json; it holds no model"
            )
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
    visual, state = config.visual, read_adapter_weights(folder)
    return (
        f"text adapter: {config.text_adapter}",
        f"visual adapter: {visual.layers} layers on {visual.features}"
        f"{', injected' if visual.inject else ''}",
        f"trained parameters: {sum(value.numel() for value in state.values()):,}",
        f"backbone: {config.backbone.name}, weights {config.backbone.revision[:12]}",
    )


def _describe_released(folder: Path) -> tuple[str, ...]:
    state = _read_released(folder)
    lines = [f"adapter parameters: {sum(value.numel() for value in state.values()):,}"]
    if "distill_head.in_proj.weight" not in state:
        lines.append(NO_IN_PROJ)
    return (*lines, *_describe_backbone(folder))


def _describe_backbone(folder: Path) -> tuple[str, ...]:
    family, config = build_config(folder)
    text = config.text_config
    processor = load_processor(folder, family.IMAGE_TOKEN, family.read_image_processor)
    return (
        f"hidden size {text.hidden_size}, {text.num_hidden_layers} layers, "
        f"vocabulary {text.vocab_size}",
        f"weights {weights_revision(folder)[:12]}",
        "tokenizer: yes" if processor else "tokenizer: none, so only forward() works",
    )


_DESCRIBE = {
    "adapter": _describe_adapter,
    "released": _describe_released,
    "backbone": _describe_backbone,
}
