"""The kinds of adapter that the tests go through."""

from collections.abc import Sequence

import torch
from PIL import Image

from skingpt_r1.model.config import AdapterConfig, LoraSettings, VisualConfig
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.prompt import PromptBatch, Request, encode_prompts

SMALL = {"embed_dim": 32, "bottleneck": 8}
LORA = LoraSettings(rank=4, alpha=8)
CONFIGS = {
    "bias": AdapterConfig(visual=VisualConfig(**SMALL), rank=8),
    "bias-tower-experts": AdapterConfig(
        visual=VisualConfig(features="tower", layers="experts", **SMALL), rank=8, teacher_dim=5
    ),
    "bias-inject": AdapterConfig(
        visual=VisualConfig(features="tower", inject=True, **SMALL), rank=8
    ),
    "lora": AdapterConfig(text_adapter="lora", lora=LORA, visual=VisualConfig(**SMALL)),
    "lora-only": AdapterConfig(
        text_adapter="lora", lora=LORA, visual=VisualConfig(features="tower", layers="none")
    ),
    "lora-inject": AdapterConfig(
        text_adapter="lora",
        lora=LORA,
        visual=VisualConfig(features="tower", layers="experts", inject=True, **SMALL),
    ),
    "lora-tower": AdapterConfig(
        text_adapter="lora",
        lora=LORA.model_copy(update={"tower": True}),
        visual=VisualConfig(features="tower", inject=True, **SMALL),
    ),
    "bias-lora-inject": AdapterConfig(
        text_adapter="bias + lora",
        lora=LORA,
        visual=VisualConfig(features="tower", inject=True, **SMALL),
        rank=8,
    ),
}


def batch_of(processor: SkinProcessor | None, images: Sequence[Image.Image]) -> PromptBatch:
    """Two prompts of different length: one picture, and two pictures with context."""
    assert processor is not None
    requests = [Request.of(images[0]), Request.of(images[1:3], {"site": "back", "age": "45"})]
    return encode_prompts(processor, requests)


def differs(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().max().item()
