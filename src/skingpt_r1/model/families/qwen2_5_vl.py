"""The frozen vision tower: what it emits, and how its merger turns that into language tokens."""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.vision_utils import get_vision_window_index


class TowerTokens(NamedTuple):
    """What the frozen tower gives for some pictures.

    Attributes:
        merged: `[patches / 4, D]`, what the plain language model reads, in reading order.
        pre_merger: `[patches, C]`, the input of the merger, in the tower's window order; only
            needed when the merger carries low-rank adapters.
    """

    merged: Tensor
    pre_merger: Tensor | None = None


def run_tower(
    backbone: Qwen2_5_VLForConditionalGeneration, pixel_values: Tensor, grids: Tensor
) -> TowerTokens:
    """Run the vision tower once.

    Args:
        pixel_values: `[patches, F]`.
        grids: `[images, 3]`.
    """
    output = backbone.model.visual(pixel_values.to(backbone.dtype), grid_thw=grids)
    return TowerTokens(output.pooler_output, output.last_hidden_state)


def merge(
    backbone: Qwen2_5_VLForConditionalGeneration, pre_merger: Tensor, grids: Tensor
) -> Tensor:
    """Run the merger again on stored tokens, `[patches, C]` to `[patches / 4, D]`."""
    vision = backbone.config.vision_config
    window_index, _ = get_vision_window_index(
        grids,
        spatial_merge_size=vision.spatial_merge_size,
        window_size=vision.window_size,
        patch_size=vision.patch_size,
    )
    merged: Tensor = backbone.model.visual.merger(pre_merger.to(backbone.dtype))
    return merged[torch.argsort(window_index.to(merged.device))]


def patch_width(backbone: Qwen2_5_VLForConditionalGeneration) -> int:
    """Values per patch as the processor emits them; 1176 for every published size."""
    vision = backbone.config.vision_config
    return int(vision.in_channels * vision.temporal_patch_size * vision.patch_size**2)


def merged_lengths(backbone: Qwen2_5_VLForConditionalGeneration, grids: Tensor) -> Tensor:
    """`[images]`: language tokens of each picture."""
    lengths: Tensor = grids.prod(-1) // backbone.config.vision_config.spatial_merge_size**2
    return lengths


def picture_outputs(tokens: Tensor) -> dict[str, BaseModelOutputWithPooling]:
    """Picture tokens, `[patches / 4, D]`, in the form in which the backbone takes them ready."""
    return {"image": BaseModelOutputWithPooling(pooler_output=(tokens,))}
