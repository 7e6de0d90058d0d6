"""`load_model`: one door for every kind of directory, and what a directory is.

The weights published for SkinGPT-R1 are one state dict with the adapters beside the backbone; their
names are translated to ours here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.model.backbone import NANO, find_directory, load_backbone, read_config
from skingpt_r1.model.checkpoint import is_adapter, put_weights
from skingpt_r1.model.config import AUTO, AdapterConfig, VisualConfig
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import (
    refuse_differences,
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
    "computed; it runs as the frozen backbone with adapters=False"
)

IN_PROJ = "visual_adapter.in_proj.weight"
# published names to ours; what has an expert's number is stacked
_NAMES = {
    r"distill_head\.(in|out)_proj\.weight": r"visual_adapter.\1_proj.weight",
    r"distill_head\.skin_classifier\.(\d+\.(?:weight|bias))": r"visual_adapter.tone_classifier.\1",
    r"distill_head\.adapters\.(\d+)\.router_img\.weight":
        r"visual_adapter.layers.\1.router_patch.weight",
    r"distill_head\.adapters\.(\d+)\.router_skin\.weight":
        r"visual_adapter.layers.\1.router_tone.weight",
    r"distill_head\.adapters\.(\d+)\.experts\.(?P<expert>\d{1,4})\.net\.0\.(weight|bias)":
        r"visual_adapter.layers.\1.expand_\3",
    r"distill_head\.adapters\.(\d+)\.experts\.(?P<expert>\d{1,4})\.net\.2\.(weight|bias)":
        r"visual_adapter.layers.\1.contract_\3",
    r"text_bias\.0\.weight": "language_bias.down.weight",
    r"text_bias\.2\.weight": "language_bias.up.weight",
    "logit_bias_scale": "language_bias.scale",
}  # fmt: skip


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
    kind = _kind(folder)
    if kind == "adapter":
        return SkinGPT.from_pretrained(folder, backbone=backbone, device=device, dtype=dtype)
    if kind == "released":
        return _load_released(folder, device, dtype)
    loaded = load_backbone(name_or_dir, device=device, dtype=dtype)
    return SkinGPT(loaded, config or AdapterConfig())


def _load_released(folder: Path, device: str | torch.device, dtype: str | torch.dtype) -> SkinGPT:
    """A model from the published weights, which must be complete but for `in_proj`.

    Without it the embeddings are NaN, and `adapters=True` is refused with the reason.
    """
    published: dict[str, Tensor] = {}
    for path, headers in weight_files(folder).items():
        names = [name for name in headers if name.startswith(PREFIXES)]
        refuse_other_types(path, {name: headers[name] for name in names})
        with refusing(f"{path} cannot be read"), safe_open(path, "pt") as file:
            published |= {name: file.get_tensor(name) for name in names}
    refuse_not_finite(folder, published.items())
    state = _translate(folder, published)
    config = _released_config(state)
    loaded = load_backbone(folder, device=device, dtype=dtype, foreign_prefixes=PREFIXES)
    model = SkinGPT(loaded, config)
    own = model.adapter_state()
    if IN_PROJ not in state:
        model.adapter_refusal = NO_IN_PROJ
        state[IN_PROJ] = torch.full(own[IN_PROJ].shape, torch.nan)
    put_weights(state, own, folder)
    return model


def _translate(folder: Path, published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by our names, each layer's experts stacked; published names without are refused."""
    ours: dict[str, Tensor] = {}
    experts: dict[str, dict[int, Tensor]] = {}
    unexpected = []
    for name, value in published.items():
        found = [(re.fullmatch(theirs, name), own) for theirs, own in _NAMES.items()]
        match, own = next((pair for pair in found if pair[0]), (None, ""))
        if match is None:
            unexpected.append(name)
        elif "expert" in match.re.groupindex:
            experts.setdefault(match.expand(own), {})[int(match["expert"])] = value
        else:
            ours[match.expand(own)] = value
    refuse_differences(folder, unexpected=unexpected)
    for name, parts in experts.items():
        if len({part.shape for part in parts.values()}) > 1:
            raise CheckpointError(f"the experts of {name} in the release have different shapes")
        ours[name] = torch.stack([parts[index] for index in sorted(parts)])
    return ours


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
    with refusing("the release has impossible sizes"):
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
        kind = _kind(find_directory(name_or_dir))
        model = load_model(name_or_dir, device="cpu")
    except (SkinGPTError, OSError) as error:
        return ModelReport(str(name_or_dir), kind, False, (str(error),))
    return ModelReport(str(name_or_dir), kind, True, tuple(_details(kind, model)))


def _kind(folder: Path) -> Kind:
    if is_adapter(folder):
        return "adapter"
    if not (folder / "config.json").is_file():
        return "unknown"
    return (
        "released" if ARCHITECTURE in str(read_config(folder).get("architectures")) else "backbone"
    )


def _details(kind: Kind, model: SkinGPT) -> Iterator[str]:
    reference, visual = model.config.backbone, model.config.visual
    assert reference is not None
    state = model.adapter_state()
    if model.adapter_refusal is not None:
        del state[IN_PROJ]
    parameters = f"parameters: {sum(value.numel() for value in state.values()):,}"
    if kind == "adapter":
        yield f"text adapter: {model.config.text_adapter}"
        injected = ", injected" if visual.inject else ""
        yield f"visual adapter: {visual.layers} layers on {visual.features}{injected}"
        yield f"trained {parameters}"
        yield f"backbone: {reference.name}, weights {reference.revision[:12]}"
        return
    if kind == "released":
        yield f"adapter {parameters}"
        if model.adapter_refusal is not None:
            yield model.adapter_refusal
    text = model.backbone.config.text_config
    yield (
        f"hidden size {text.hidden_size}, {text.num_hidden_layers} layers, "
        f"vocabulary {text.vocab_size}"
    )
    yield f"weights {reference.revision[:12]}"
    yield "tokenizer: yes" if model.processor else "tokenizer: none, so only forward() works"
