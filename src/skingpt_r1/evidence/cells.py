"""What a picture looks like to a frozen encoder: one vector for each cell of a square grid.

Patches of any number and shape become `SIDE x SIDE` cells by averaging, so that a reader of them
needs no sizes, and a cell is a place that can be pointed at.
"""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from skingpt_r1.model.skingpt import SkinGPT

SIDE = 8


def spread_layers(depth: int, most: int = 4) -> tuple[int, ...]:
    """Up to `most` layers of a tower, evenly spread; the last one is among them."""
    steps = min(most, depth)
    return tuple(depth * (step + 1) // steps - 1 for step in range(steps))


@torch.no_grad()
def tower_cells(
    model: SkinGPT, pictures: Sequence[Image.Image], layers: Sequence[int], batch_size: int = 32
) -> Tensor:
    """The frozen tower's states of some layers, side by side: `[pictures, SIDE**2, W]`, float16.

    Low-rank matrices take no part: what is read does not depend on what is trained.

    Raises:
        CheckpointError: the model has no processor.
    """
    cells = []
    for start in range(0, len(pictures), batch_size):
        inputs = model.needed_processor.pictures(pictures[start : start + batch_size])
        grids = inputs.image_grid_thw
        with model.use_adapters(adapters=False):
            states = model.family.tower_states(
                model.backbone, inputs.pixel_values.to(model.device), grids.to(model.device), layers
            )
        parts = torch.split(states.float(), grids.prod(-1).tolist())
        cells += [
            _as_cells(part, height, width)
            for part, (_, height, width) in zip(parts, grids.tolist(), strict=True)
        ]
    return torch.stack(cells).half().cpu()


def _as_cells(states: Tensor, height: int, width: int) -> Tensor:
    """`[height * width, W]`, row by row, to `[SIDE**2, W]`."""
    plane = states.view(height, width, -1).permute(2, 0, 1)[None]
    return functional.adaptive_avg_pool2d(plane, SIDE)[0].flatten(1).T
