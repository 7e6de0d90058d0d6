"""The vision tower on a batch of equal pictures, as one dense tensor.

The library's forward runs attention picture by picture, which is right for mixed sizes and slow for
schooling. For pictures that fit one attention window both give the same tokens (a test compares).
"""

from typing import Any

import torch
from torch import Tensor
from transformers.vision_utils import get_vision_position_ids

from skingpt_r1.model.families.patches import patch_pictures


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
