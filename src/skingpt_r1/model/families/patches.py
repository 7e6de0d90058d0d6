"""From pictures of one size to the patches that the vision tower reads."""

import torch
from torch import Tensor

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
