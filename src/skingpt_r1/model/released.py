"""The weights published for SkinGPT-R1: one state dict with the adapters beside the backbone."""

import re
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import safe_open
from torch import Tensor

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.backbone import load_backbone
from skingpt_r1.model.checkpoint import put_weights
from skingpt_r1.model.config import AdapterConfig, VisualConfig
from skingpt_r1.model.placement import AUTO
from skingpt_r1.model.settings import problems, read_config
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import (
    read_all_headers,
    refuse_keys,
    refuse_not_finite,
    refuse_other_types,
    refusing,
    weight_files,
)

ARCHITECTURE = "SkinVLModelWithAdapter"
PREFIXES = ("distill_head.", "text_bias.", "logit_bias_scale")
NO_IN_PROJ = (
    "this release does not contain distill_head.in_proj.weight, the projection that its visual "
    "adapter reads pictures through, so neither image embeddings nor the vocabulary bias can be "
    "computed; it runs as the plain backbone with bias=False"
)

_PLAIN_NAMES = {
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


def is_released(folder: Path) -> bool:
    """Whether a directory holds weights in the published form."""
    if not (folder / "config.json").is_file():
        return False
    return ARCHITECTURE in str(read_config(folder).get("architectures"))


def read_released(folder: Path) -> dict[str, Tensor]:
    """The adapters' tensors under their published names.

    Raises:
        CheckpointError: a file is damaged, or a tensor holds other things than finite numbers.
    """
    headers = read_all_headers(folder)
    refuse_other_types(folder, {n: h for n, h in headers.items() if n.startswith(PREFIXES)})
    state: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with refusing(f"{path} cannot be read"), safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(PREFIXES)]  # noqa: SIM118
            state |= {name: file.get_tensor(name) for name in names}
    refuse_not_finite(folder, state.items())
    return state


def translate(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Published names to ours, with each layer's experts stacked.

    Returns:
        The tensors by our names, and the published names that mean nothing to us.

    Raises:
        CheckpointError: experts of one layer have different shapes.
    """
    ours: dict[str, Tensor] = {}
    experts: dict[str, dict[int, Tensor]] = {}
    unknown = []
    for name, value in state.items():
        if name in _PLAIN_NAMES:
            ours[_PLAIN_NAMES[name]] = value
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
            unknown.append(name)
    for name, parts in experts.items():
        if len({part.shape for part in parts.values()}) > 1:
            raise CheckpointError(f"the experts of {name} in the release have different shapes")
        ours[name] = torch.stack([parts[index] for index in sorted(parts)])
    return ours, unknown


def released_config(state: dict[str, Tensor]) -> AdapterConfig:
    """Sizes read from the tensors, by our names.

    Raises:
        CheckpointError: tensors that the sizes are read from are missing, or are no such tensors.
    """
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


def load_released(
    folder: Path, *, device: str | torch.device = AUTO, dtype: str | torch.dtype = AUTO
) -> SkinGPT:
    """A model from the published weights.

    A release without `in_proj` loads, and says so when the bias is asked for: its embeddings are
    NaN and `bias=True` is refused.

    Raises:
        CheckpointError: missing or unexpected keys.
    """
    state, unknown = translate(read_released(folder))
    refuse_keys(folder, missing=[], unexpected=unknown)
    config = released_config(state)
    loaded = load_backbone(folder, device=device, dtype=dtype, foreign_prefixes=PREFIXES)
    config = config.model_copy(update={"backbone": loaded.reference})
    model = SkinGPT.from_backbone(loaded.model, config, loaded.processor)
    if "visual_adapter.in_proj.weight" not in state:
        model.bias_refusal = NO_IN_PROJ
        shape = model.visual_adapter.in_proj.weight.shape
        state["visual_adapter.in_proj.weight"] = torch.full(shape, torch.nan)
    put_weights(model, state, folder)
    return model
