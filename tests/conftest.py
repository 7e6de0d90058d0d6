"""A tiny random backbone with a tokenizer, on disk, for every test that needs a model."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from owned_folder import hold_folder as hold_folder

# No test is about time: a busy machine must not fail one.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Processes that tests start find `tools` as well; what the caller put there comes first.
ROOT = Path(__file__).parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join(
    [*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)]
)

TEXTS = [
    "<think> Observation: one small red papule with sharp border. Reasoning: this fits a wart. "
    "Differential: naevus; wart </think> <answer> wart </answer>",
    "Look at the skin in this picture. Describe what you see, reason step by step and name the "
    "diagnosis. Context: site back, age 45. system user assistant You are a helpful assistant.",
]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2.5-VL directory with random weights, tokenizer and processor files."""
    torch = pytest.importorskip("torch")
    from tools.nano.tokenizer import make_image_processor, save_tokenizer, train_tokenizer
    from transformers import Qwen2_5_VLForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny") / "backbone"
    tokenizer = train_tokenizer(TEXTS, 512)
    save_tokenizer(tokenizer, folder)
    make_image_processor(28 * 56, 56 * 84).save_pretrained(folder)
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(tiny_config(tokenizer))
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:  # large enough that pictures and positions change the tokens
            parameter.data.normal_(0, 1.0 if "embed" in name else 0.15)
    model.save_pretrained(folder)
    return folder


def tiny_config(tokenizer):
    from transformers import Qwen2_5_VLConfig

    identity = tokenizer.convert_tokens_to_ids
    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 512,
            "max_position_embeddings": 1024,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 3, 3],
            },
            "bos_token_id": None,
            "eos_token_id": identity("<|im_end|>"),
            "pad_token_id": identity("<|endoftext|>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_heads": 4,
            "out_hidden_size": 64,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        image_token_id=identity("<|image_pad|>"),
        video_token_id=identity("<|video_pad|>"),
        vision_start_token_id=identity("<|vision_start|>"),
        vision_end_token_id=identity("<|vision_end|>"),
        tie_word_embeddings=False,
    )


@pytest.fixture
def tiny_model(tiny_folder: Path) -> Callable:
    """Makes a model on the tiny backbone: `tiny_model(config)`; `stir` makes it a trained one."""
    import torch

    from skingpt_r1.model.config import AdapterConfig, VisualConfig
    from skingpt_r1.model.load import load_model

    def make(config: AdapterConfig | None = None, *, stir: bool = False):
        chosen = config or AdapterConfig(visual=VisualConfig(embed_dim=32, bottleneck=8), rank=8)
        torch.manual_seed(1)
        model = load_model(tiny_folder, config=chosen)
        if stir:
            from stirred import stir_adapters

            stir_adapters(model)
        return model

    return make


@pytest.fixture
def pictures() -> list[Image.Image]:
    """Four random pictures of three sizes."""
    rng = np.random.default_rng(3)
    sizes = [(56, 56), (84, 56), (56, 84), (56, 56)]
    return [
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Torch on one thread, where torch is loaded: faster for tiny tensors, and repeatable."""
    import sys

    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
