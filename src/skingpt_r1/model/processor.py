"""Pictures and text to what the backbone reads.

The image processor is the NumPy one, so that results do not depend on whether torchvision is
installed; video, which nothing here uses, is left out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2VLImageProcessorPil

from skingpt_r1.errors import CheckpointError
from skingpt_r1.narrative import MARKS

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")


class Pictures(NamedTuple):
    """Processed pictures.

    Attributes:
        pixel_values: `[total_patches, F]`, all pictures concatenated.
        image_grid_thw: `[images, 3]`, patches per picture in time, height and width.
    """

    pixel_values: Tensor
    image_grid_thw: Tensor


@dataclass(frozen=True)
class SkinProcessor:
    """A tokenizer with its chat template, and an image processor."""

    tokenizer: PreTrainedTokenizerBase
    image_processor: Qwen2VLImageProcessorPil

    def pictures(self, images: Sequence[Image.Image]) -> Pictures:
        """Resize, normalise and patch pictures."""
        batch = self.image_processor(images=list(images), return_tensors="pt")
        return Pictures(batch["pixel_values"], batch["image_grid_thw"])

    def render_chat(self, messages: Sequence[dict[str, Any]], *, answer_follows: bool) -> str:
        """The chat template's text, with one image token per picture."""
        text: str = self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=answer_follows
        )
        return text

    def tokenize(self, text: str, grids: Tensor) -> list[int]:
        """Token ids, with each picture's image token repeated once per merged patch.

        Args:
            text: rendered chat, with as many image tokens as there are rows in `grids`.
            grids: `[images, 3]`.
        """
        merged = (grids.prod(-1) // self.image_processor.merge_size**2).tolist()
        pieces = text.split(IMAGE_TOKEN)
        if len(pieces) != len(merged) + 1:
            raise ValueError(
                f"the prompt has {len(pieces) - 1} image tokens for {len(merged)} pictures; "
                "text from outside must not contain image tokens"
            )
        expanded = pieces[0] + "".join(
            IMAGE_TOKEN * count + piece for count, piece in zip(merged, pieces[1:], strict=True)
        )
        ids: list[int] = self.tokenizer(expanded, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """Text without special tokens."""
        text: str = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    @property
    def pad_id(self) -> int:
        """Token used to fill short rows; the end-of-turn token where there is no pad token."""
        pad: int | None = self.tokenizer.pad_token_id
        return self.end_id if pad is None else pad

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """The tokenizer's own special tokens, but the tags of narratives."""
        added = self.tokenizer.added_tokens_decoder.values()
        return tuple(str(token) for token in added if token.special and str(token) not in MARKS)

    @property
    def end_id(self) -> int:
        """Token that ends the model's turn."""
        end: int = self.tokenizer.eos_token_id
        return end

    def settings(self) -> dict[str, Any]:
        """The image settings that change features; a feature store keeps them in its index."""
        kept = ("size", "patch_size", "merge_size", "temporal_patch_size", "image_mean",
                "image_std", "resample", "do_resize", "do_normalize")  # fmt: skip
        values = json.loads(self.image_processor.to_json_string())
        return {name: values[name] for name in kept}

    def save(self, folder: Path) -> None:
        """Write tokenizer, chat template and image processor files."""
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)


def make_image_processor(min_pixels: int, max_pixels: int) -> Qwen2VLImageProcessorPil:
    """An image processor with the given bounds on a picture's area, in pixels."""
    return Qwen2VLImageProcessorPil(size={"shortest_edge": min_pixels, "longest_edge": max_pixels})


def load_processor(folder: Path) -> SkinProcessor | None:
    """The processor of a directory; None when it has no tokenizer files.

    Raises:
        CheckpointError: the tokenizer lacks a chat template or the image token.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"the tokenizer files in {folder} cannot be read: {error}") from error
    template = folder / "chat_template.json"
    if tokenizer.chat_template is None and template.is_file():
        tokenizer.chat_template = json.loads(template.read_text("utf-8"))["chat_template"]
    if tokenizer.chat_template is None:
        raise CheckpointError(f"{folder} has a tokenizer but no chat template; add one")
    if IMAGE_TOKEN not in tokenizer.get_vocab():
        raise CheckpointError(
            f"the tokenizer in {folder} has no {IMAGE_TOKEN} token; "
            "it is not a Qwen2.5-VL tokenizer"
        )
    if (folder / "preprocessor_config.json").is_file():
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
    else:
        image_processor = Qwen2VLImageProcessorPil()
    return SkinProcessor(tokenizer, image_processor)


def pad_rows(rows: Sequence[Sequence[int]], value: int, *, left: bool) -> Tensor:
    """`[rows, longest]` filled with `value` on the left or the right."""
    longest = max(len(row) for row in rows)
    filled = [
        [value] * (longest - len(row)) + list(row) if left
        else list(row) + [value] * (longest - len(row))
        for row in rows
    ]  # fmt: skip
    return torch.tensor(filled, dtype=torch.long)
