"""A backbone small enough to be trained in a test, and cases for it."""

import random
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tools.nano.tokenizer import SPECIAL_TOKENS, make_image_processor, train_tokenizer
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.distill.data import narratives_of
from skingpt_r1.distill.features import StoredCase
from skingpt_r1.model.backbone import load_backbone
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.text.wording import INSTRUCTION

LABELS = ("nevus", "melanoma", "wart")
COLOURS = {"nevus": "brown", "melanoma": "black", "wart": "white"}
SIDE = 56


def small_adapter(**changes):
    """Adapters of few weights."""
    values = {"visual": {"embed_dim": 16, "num_layers": 2, "bottleneck": 4}, "rank": 4}
    for name, value in changes.items():
        old = values.get(name)
        values[name] = old | value if isinstance(old, dict) else value
    return AdapterConfig.model_validate(values)


def write_pictures(folder, count, seed=0):
    """Noisy squares in the colour of their label; every fourth case has two pictures."""
    generator = np.random.default_rng(seed)
    shades = {"nevus": (120, 80, 50), "melanoma": (30, 25, 25), "wart": (240, 235, 230)}
    cases = []
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        paths = []
        for view in range(2 if number % 4 == 3 else 1):
            side = SIDE if number % 3 else 84
            picture = np.full((SIDE, side, 3), (224, 180, 160), np.float64)
            picture[14:42, 14:42] = shades[label]
            picture += generator.normal(0, 12, picture.shape)
            path = folder / f"{number}-{view}.png"
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)
            paths.append(path)
        cases.append(
            Case(
                id=f"case-{number}",
                images=tuple(paths),
                dataset="toy",
                group=f"group-{number}",
                label=label,
                tone=None if number % 5 == 4 else list(SkinTone)[number % 3],
                findings={"colour": COLOURS[label], "count": "one"},
            )
        )
    return cases


def stored_cases(cases, width=None, seed=0):
    """The cases with narratives and, with a width, random teacher vectors."""
    generator = torch.Generator().manual_seed(seed)
    texts = narratives_of(cases, source="written", seed=seed)
    return [
        StoredCase(
            case,
            text,
            None if width is None else torch.randn(len(case.images), width, generator=generator),
        )
        for case, text in zip(cases, texts, strict=True)
    ]


def write_backbone(folder: Path) -> Path:
    """A random Qwen2.5-VL directory with a real tokenizer and image processor."""
    processor = _processor()
    processor.save(folder)
    ids = processor.tokenizer.convert_tokens_to_ids
    special = {name: ids(name) for name in SPECIAL_TOKENS}
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(_config(len(processor.tokenizer), special))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
    model.save_pretrained(folder)
    return folder


def make_model(folder: Path, config: AdapterConfig, seed: int = 1, stir: float = 0.0) -> SkinGPT:
    """Adapters on the backbone of a directory; `stir` moves them away from the identity."""
    backbone = load_backbone(folder)
    torch.manual_seed(seed)
    model = SkinGPT(backbone, config)
    if stir:
        with torch.no_grad():
            for parameter in model.adapter_state().values():
                parameter.add_(torch.randn_like(parameter), alpha=stir)
    return model


@cache
def _processor() -> SkinProcessor:
    words = " ".join(random.Random(0).sample(INSTRUCTION.split(), 12))
    texts = [INSTRUCTION, words, *narratives_of(_text_cases(), source="written", seed=0)]
    tokenizer = train_tokenizer(texts * 3, 400)
    return SkinProcessor(tokenizer, make_image_processor(SIDE * SIDE, 84 * SIDE))


def _text_cases():
    return [
        Case(
            id=str(number),
            images=(Path("none"),),
            dataset="toy",
            group=str(number),
            label=label,
            findings={"colour": COLOURS[label], "count": "one"},
        )
        for number, label in enumerate(LABELS * 4)
    ]


def _config(vocabulary: int, special: dict[str, int]) -> Qwen2_5_VLConfig:
    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": vocabulary,
            "max_position_embeddings": 512,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [1, 1, 2],
            },
            "bos_token_id": None,
            "eos_token_id": special["<|im_end|>"],
            "pad_token_id": special["<|endoftext|>"],
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        tie_word_embeddings=False,
    )
