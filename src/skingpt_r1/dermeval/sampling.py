"""Batches of the score-oriented stage: questions, and the replies sampled for them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from skingpt_r1.distill.batches import Batch, collate, pad_text
from skingpt_r1.model.processor import pad_rows
from skingpt_r1.model.prompt import PromptBatch


def join_questions(
    cases: Sequence[Mapping[str, Tensor]], pad_id: int, *, divergence: bool, supervised: bool
) -> Batch:
    """Join examples as `collate` does, with the scores to be met and the counts of the terms.

    Args:
        cases: examples of `CritiqueExamples`.
        pad_id: token that fills short rows.
        divergence: whether the divergence from the supervised model takes part.
        supervised: whether the cross-entropy of the targets takes part.
    """
    batch = collate(cases, pad_id)
    batch["scores"] = torch.cat([case["scores"] for case in cases])
    replies, targets = float(len(cases)), float(len(batch["targets"]))
    counts = [replies, replies * divergence, targets * supervised, replies, replies]
    batch["counts"] = torch.tensor(counts, dtype=torch.float64) * batch["weight"].double()
    return batch


def prompts_of(batch: Batch, pad_id: int) -> PromptBatch:
    """The questions of a batch without their targets, padded on the left; pixels stay stored."""
    rows = _questions(batch)
    return PromptBatch(
        input_ids=pad_rows(rows, pad_id, left=True),
        attention_mask=pad_rows([[1] * len(row) for row in rows], 0, left=True),
        pixel_values=torch.empty(0),
        image_grid_thw=batch["grids"],
        images_per_case=batch["images"],
    )


def join_replies(batch: Batch, replies: Sequence[Sequence[int]], pad_id: int) -> Batch:
    """The questions of a batch with sampled replies in the place of their targets."""
    device = batch["input_ids"].device
    rows = [
        torch.tensor([*question, *reply])
        for question, reply in zip(_questions(batch), replies, strict=True)
    ]
    lengths = [len(reply) for reply in replies]
    text = pad_text(rows, lengths, pad_id) | {
        "targets": torch.cat([torch.tensor(list(reply)) for reply in replies]),
        "lengths": torch.tensor(lengths),
    }
    return {**batch, **{name: value.to(device) for name, value in text.items()}}


def cut_reply(row: Sequence[int], ends: frozenset[int]) -> list[int]:
    """A generated row up to and with its first end-of-turn or pad token; all of it without one."""
    end = next((at for at, token in enumerate(row) if token in ends), len(row) - 1)
    return list(row[: end + 1])


def _questions(batch: Batch) -> list[list[int]]:
    ends = batch["attention_mask"].sum(-1) - batch["lengths"].to(batch["input_ids"].device)
    return [row[:end].tolist() for row, end in zip(batch["input_ids"], ends.tolist(), strict=True)]
