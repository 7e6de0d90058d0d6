"""The loss without a store: the whole backbone runs on every batch.

The slow reference of the stored path, for `bench/distill.py` and the tests.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from skingpt_r1.distill.features import StoredCase
from skingpt_r1.distill.losses import (
    IGNORED,
    UNKNOWN_TONE,
    Term,
    Terms,
    balance_term,
    no_term,
    text_term,
    tone_term,
    visual_term,
)
from skingpt_r1.distill.objective import Batch
from skingpt_r1.model.processor import SkinProcessor, pad_rows
from skingpt_r1.model.prompt import Request, encode_example
from skingpt_r1.model.skingpt import SkinGPT


def encode_whole(processor: SkinProcessor, items: Sequence[StoredCase]) -> Batch:
    """A padded batch as any trainer of the whole model would make it."""
    examples = [
        encode_example(processor, Request.of_case(item.case), item.narrative) for item in items
    ]
    rows = [example.prompt + example.answer for example in examples]
    labels = [[IGNORED] * len(example.prompt) + example.answer for example in examples]
    input_ids, mask = pad_rows(rows, processor.pad_id, "right")
    teachers = [item.teacher for item in items if item.teacher is not None]
    batch = {
        "input_ids": input_ids,
        "labels": pad_rows(labels, IGNORED, "right")[0],
        "attention_mask": mask,
        "pixel_values": torch.cat([example.pictures.pixel_values for example in examples]),
        "grids": torch.cat([example.pictures.image_grid_thw for example in examples]),
        "images": torch.tensor([len(item.case.images) for item in items]),
        "tones": torch.tensor([_tone(item) for item in items for _ in item.case.images]),
    }
    return batch | ({"teacher": torch.cat(teachers)} if teachers else {})


def whole_terms(model: SkinGPT, batch: Batch) -> Terms:
    """The four terms from one forward pass of the composed model."""
    output = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        pixel_values=batch["pixel_values"],
        image_grid_thw=batch["grids"],
        images_per_case=batch["images"],
    )
    width = output.logits.shape[-1]
    teacher: Tensor | None = batch.get("teacher")
    similarity: Term = (
        no_term(output.logits)
        if teacher is None
        else visual_term(output.teacher_projection, teacher)
    )
    return Terms(
        text_term(output.logits[:, :-1].reshape(-1, width), batch["labels"][:, 1:].flatten()),
        similarity,
        balance_term(output.balance, len(batch["grids"])),
        tone_term(output.tone_logits, batch["tones"]),
    )


def _tone(item: StoredCase) -> int:
    return UNKNOWN_TONE if item.case.tone is None else item.case.tone.class_index
