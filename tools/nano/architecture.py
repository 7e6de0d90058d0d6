"""The embedded backbone's shape: Qwen2.5-VL, a few million weights, 112-pixel pictures.

The vision tower on a batch of equal pictures, as one dense tensor.

The library's forward runs attention picture by picture, which is right for mixed sizes and slow for
schooling. For pictures that fit one attention window both give the same tokens (a test compares).
"""

from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2_5_VLConfig
from transformers.vision_utils import get_vision_position_ids

from skingpt_r1.model.families.qwen2_5_vl import patch_pictures

PICTURE_SIZE = 112
VOCABULARY = 1536


def nano_config(vocabulary: int, special: dict[str, int]) -> Qwen2_5_VLConfig:
    """Configuration of the embedded backbone.

    Args:
        vocabulary: number of token rows.
        special: id of every special token.
    """
    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "vocab_size": vocabulary,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
            },
            "bos_token_id": None,
            "eos_token_id": special["<|im_end|>"],
            "pad_token_id": special["<|endoftext|>"],
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "out_hidden_size": 192,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1, 3],
        },
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        tie_word_embeddings=False,
    )


def dense_tokens(visual: Any, pictures: Tensor) -> Tensor:
    """Tokens before the merger, in merger order.

    Args:
        visual: the backbone's vision tower.
        pictures: uint8, [images, height, width, 3]; no side longer than the attention window.

    Returns:
        [images, patches, width].
    """
    images, height, width, _ = pictures.shape
    assert max(height, width) <= visual.window_size, "pictures must fit one attention window"
    patch = visual.config.patch_size
    x: Tensor = visual.patch_embed(patch_pictures(pictures)).reshape(
        images, height // patch * width // patch, -1
    )
    grid = torch.tensor([[1, height // patch, width // patch]])
    positions = get_vision_position_ids(grid, visual.spatial_merge_size)
    cos, sin = visual.rotary_pos_emb(x, positions)
    for block in visual.blocks:
        x = x + _attend(block.attn, block.norm1(x), cos, sin)
        x = x + block.mlp(block.norm2(x))
    return x


def _attend(attention: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    images, patches, width = x.shape
    q, k, v = (
        attention.qkv(x).reshape(images, patches, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    )
    q, k = (_turn(part.float(), cos, sin).to(v.dtype) for part in (q, k))
    scores = (q @ k.transpose(-1, -2)) * attention.scaling
    mixed = (scores.float().softmax(-1).to(v.dtype) @ v).transpose(1, 2)
    out: Tensor = attention.proj(mixed.reshape(images, patches, width))
    return out


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin
