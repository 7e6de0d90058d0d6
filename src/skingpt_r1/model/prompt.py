"""From a case to token ids: the one prompt that training and diagnosis share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from skingpt_r1.case import Case
from skingpt_r1.data.intake import check_size, open_image
from skingpt_r1.errors import SkinGPTError
from skingpt_r1.model.processor import Pictures, SkinProcessor, pad_rows
from skingpt_r1.text.wording import ask, check_context

Picture: TypeAlias = str | Path | Image.Image


@dataclass(frozen=True)
class Request:
    """One question: the pictures of a case, and what the asker tells the model.

    The context is, for example, `{"site": "back", "age": "45"}`; a key that the prompt has no words
    for is refused.
    """

    images: tuple[Picture, ...]  # at least one
    context: Mapping[str, str] = field(default_factory=dict)
    question: str | None = None  # replaces the dermatology prompt and the context

    def __post_init__(self) -> None:
        if problems := check_context(self.context):
            raise SkinGPTError("; ".join(problems))

    @classmethod
    def of(
        cls, images: Picture | Sequence[Picture], context: Mapping[str, str] | None = None
    ) -> Self:
        """A request for one picture or several."""
        if isinstance(images, str | Path | Image.Image):
            return cls((images,), context or {})
        if not images:
            raise SkinGPTError("a case needs at least one picture; none was given")
        return cls(tuple(images), context or {})

    @classmethod
    def of_case(cls, case: Case) -> Self:
        """The request that a data-set case stands for."""
        return cls(case.images, case.context)

    def open(self) -> list[Image.Image]:
        """The pictures in RGB, upright; an ImageError where one cannot be read or is too large."""
        opened = []
        for image in self.images:
            if isinstance(image, Image.Image):
                check_size("a picture", image.size)
                opened.append(image.convert("RGB"))
            else:
                opened.append(open_image(Path(image)))
        return opened


class PromptBatch(NamedTuple):
    """Prompts that wait for an answer, padded on the left."""

    input_ids: Tensor  # [cases, length]
    attention_mask: Tensor  # [cases, length]
    pixel_values: Tensor  # [patches, F]
    image_grid_thw: Tensor  # [images, 3]
    images_per_case: Tensor  # [cases]

    def to(self, device: torch.device) -> "PromptBatch":
        """The same batch on another device."""
        return PromptBatch(*(value.to(device) for value in self))


class Example(NamedTuple):
    """One training example."""

    prompt: list[int]  # token ids up to where the model answers
    answer: list[int]  # the narrative and the end of turn
    pictures: Pictures


def chat_ids(processor: SkinProcessor, request: Request, grids: Tensor) -> list[int]:
    """Token ids up to where the model answers: the pictures, then the prompt with what is known.

    `grids`, `[images, 3]`, are those of the processed pictures.
    """
    text = request.question or ask(request.context)
    processor.refuse_control_tokens(text, "the prompt")
    content: list[dict[str, str]] = [{"type": "image"}] * len(request.images)
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]
    return processor.tokenize(processor.render_chat(messages, answer_follows=True), grids)


def encode_prompt(processor: SkinProcessor, request: Request) -> tuple[list[int], Pictures]:
    """Token ids up to where the model answers, and the processed pictures."""
    pictures = processor.pictures(request.open())
    return chat_ids(processor, request, pictures.image_grid_thw), pictures


def encode_prompts(processor: SkinProcessor, requests: Sequence[Request]) -> PromptBatch:
    """Several prompts as one batch, padded on the left."""
    encoded = [encode_prompt(processor, request) for request in requests]
    input_ids, mask = pad_rows([ids for ids, _ in encoded], processor.pad_id, "left")
    return PromptBatch(
        input_ids=input_ids,
        attention_mask=mask,
        pixel_values=torch.cat([pictures.pixel_values for _, pictures in encoded]),
        image_grid_thw=torch.cat([pictures.image_grid_thw for _, pictures in encoded]),
        images_per_case=torch.tensor([len(request.images) for request in requests]),
    )


def encode_answer(processor: SkinProcessor, narrative: str) -> list[int]:
    """Token ids of what the model should write: the narrative and the end of turn."""
    processor.refuse_control_tokens(narrative, "a text to be taught")
    return [*processor.text_ids(narrative), processor.end_id]


def encode_example(processor: SkinProcessor, request: Request, narrative: str) -> Example:
    """A prompt with its answer, as a training example."""
    prompt, pictures = encode_prompt(processor, request)
    return Example(prompt, encode_answer(processor, narrative), pictures)
