"""The frozen vision tower: what it emits, and how its merger turns that into language tokens.

From pictures of one size to the patches that the vision tower reads.
"""

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


# Source: CLIP normalisation, as in Qwen2.5-VL's preprocessor_config.json.
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


def patch_pictures(
    pictures: Tensor, *, patch: int = 14, merge: int = 2, temporal: int = 2
) -> Tensor:
    """Normalise and cut pictures exactly as Qwen2-VL's image processor does after resizing.

    Args:
        pictures: uint8, [images, height, width, 3]; both sides multiples of `patch * merge`.
        patch: side of a patch in pixels.
        merge: patches that the merger joins per side; they follow one another in the result.
        temporal: how often a still picture is repeated in time.

    Returns:
        float32, [images * (height / patch) * (width / patch), 3 * temporal * patch * patch].

    Raises:
        ValueError: a side is not a multiple of `patch * merge`.
    """
    images, height, width, _ = pictures.shape
    unit = patch * merge
    if height % unit or width % unit:
        raise ValueError(f"picture sides {height}x{width} are not multiples of {unit} pixels")
    mean = torch.tensor(PIXEL_MEAN, device=pictures.device)
    std = torch.tensor(PIXEL_STD, device=pictures.device)
    x = (pictures.float() / 255 - mean) / std
    x = x.reshape(images, height // unit, merge, patch, width // unit, merge, patch, 3)
    x = x.permute(0, 1, 4, 2, 5, 7, 3, 6).unsqueeze(6)
    x = x.expand(*x.shape[:6], temporal, patch, patch)
    return x.reshape(-1, 3 * temporal * patch * patch)
