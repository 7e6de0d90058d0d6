"""What decoding needs of a model, so that it does not need to know the model's class."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from skingpt_r1.model.adapters.visual import VisualOutput
from skingpt_r1.model.families.qwen2_5_vl import TowerTokens
from skingpt_r1.model.processor import SkinProcessor


class ConditionedModel(Protocol):
    """A backbone whose logits are conditioned on pictures; `SkinGPT` is the one there is.

    The methods are described there.
    """

    backbone: Qwen2_5_VLForConditionalGeneration
    processor: SkinProcessor | None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    def plain(self, bias: bool) -> AbstractContextManager[None]:
        """A context with the adapters on or off."""
        ...

    def tower_tokens(self, pixel_values: Tensor, image_grid_thw: Tensor) -> TowerTokens:
        """The frozen tower's tokens."""
        ...

    def look(
        self, pixel_values: Tensor | None, tower: TowerTokens | None, image_grid_thw: Tensor
    ) -> VisualOutput:
        """The visual adapter's output."""
        ...

    def language_tokens(
        self, tower: TowerTokens, visual: VisualOutput, image_grid_thw: Tensor, *, bias: bool = True
    ) -> Tensor:
        """The picture tokens that the language model reads."""
        ...

    def vocabulary_bias(self, image_embedding: Tensor, images_per_case: Tensor) -> Tensor | None:
        """What is added to the logits."""
        ...

    def positions(
        self, input_ids: Tensor, attention_mask: Tensor, image_grid_thw: Tensor
    ) -> Tensor:
        """Rotary positions."""
        ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The forward pass."""
        ...
