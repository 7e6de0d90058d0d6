"""Adapters of the language model: the paper's image-conditioned shift, and low-rank matrices."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from skingpt_r1.model.config import LoraSettings


class LanguageBias(nn.Module):
    """`s * D2 tanh(D1 e)`: the shift that every predicted position of a case receives.

    The biased logits are `W (h + shift)` with the frozen output matrix `W`. The second map starts
    at zero, so an untrained model is the backbone bit for bit.

    Source: the paper's text adapter (https://arxiv.org/abs/2511.15242); rank 64 and scale 1.5 of
    the released code (docs/sources.md).
    """

    def __init__(self, embed_dim: int, hidden_dim: int, *, rank: int, scale_init: float) -> None:
        super().__init__()
        self.down = nn.Linear(embed_dim, rank, bias=False)
        self.up = nn.Linear(rank, hidden_dim, bias=False)
        self.scale = nn.Parameter(torch.tensor(float(scale_init)))
        nn.init.zeros_(self.up.weight)

    def forward(self, embedding: Tensor) -> Tensor:
        """`[cases, E]` to `[cases, D]`."""
        shift: Tensor = self.scale * self.up(torch.tanh(self.down(embedding)))
        return shift


_MARK = re.compile(r"\.lora_[AB]\.default\.")


def add_lora(backbone: nn.Module, settings: LoraSettings, targets: str) -> None:
    """Put low-rank pairs beside the projections that a regular expression names.

    The second of each pair starts at zero.
    """
    inject_adapter_in_model(LoraConfig(**lora_settings(settings, targets)), backbone)
    for parameter in lora_state(backbone).values():
        parameter.data = parameter.data.to(torch.float32)


def lora_settings(settings: LoraSettings, targets: str) -> dict[str, Any]:
    """The settings in the words of `peft`."""
    return {
        "peft_type": "LORA",
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "target_modules": targets,
        "init_lora_weights": True,
    }


def lora_state(backbone: nn.Module) -> dict[str, Tensor]:
    """The low-rank matrices by their saved names (without the adapter's name)."""
    return {
        name.replace(".default.", "."): parameter
        for name, parameter in backbone.named_parameters()
        if _MARK.search(name)
    }


def merge_lora(backbone: nn.Module) -> None:
    """Add the low-rank products to the weights beside them, for faster decoding.

    Outputs stay the same up to rounding in the weights' type; `lora_off` takes the products out
    again, layer by layer. Without matrices in the tower's blocks, tower and merger run without
    adapters for every picture, so they are left alone.
    """
    layers = {n: m for n, m in backbone.named_modules() if isinstance(m, BaseTunerLayer)}
    sees = any(".visual.blocks." in f".{name}" for name in layers)
    for name, layer in layers.items():
        if not layer.merged and (sees or ".language_model." in f".{name}"):
            layer.merge()


@contextmanager
def lora_off(backbone: nn.Module) -> Iterator[None]:
    """Run without low-rank matrices for a while; layers go back to the state they were in."""
    layers = [m for m in backbone.modules() if isinstance(m, BaseTunerLayer)]
    before = [layer.disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True  # the public switch would also freeze the matrices
    try:
        yield
    finally:
        for layer, disabled in zip(layers, before, strict=True):
            layer._disable_adapters = disabled
