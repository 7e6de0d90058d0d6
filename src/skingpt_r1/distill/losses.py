"""The loss terms: each is a total and a count, so that no cut of the batch can change a mean.

    loss = 1.0 text + 1.0 visual + 0.001 balance + 0.1 tone

A term's mean is the sum of its totals over the sum of its counts: over the micro-batches of one
step, over the processes, over padded and unpadded batches alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import BaseModel
from torch import Tensor
from torch.nn import functional

IGNORED = -100  # target of a token that is not predicted
UNKNOWN_TONE = -1


@dataclass(frozen=True, slots=True)
class Term:
    """A sum and the number of things it was summed over (a scalar tensor each)."""

    total: Tensor
    count: Tensor


class Terms(NamedTuple):
    """The four terms of the loss, in the order of `TERMS`."""

    text: Term
    visual: Term
    balance: Term
    tone: Term


TERMS: tuple[str, ...] = Terms._fields


def text_term(logits: Tensor, targets: Tensor) -> Term:
    """Cross-entropy of the predicted tokens.

    Args:
        logits: [tokens, vocabulary], biased; row t predicts `targets[t]`.
        targets: [tokens]; `IGNORED` where nothing is to be predicted.
    """
    total = functional.cross_entropy(
        _single(logits), targets, ignore_index=IGNORED, reduction="sum"
    )
    return Term(total, (targets != IGNORED).sum())


def visual_term(projection: Tensor, teacher: Tensor) -> Term:
    """1 - cos(student, teacher), one per image.

    Args:
        projection: [images, width], the student's teacher projection.
        teacher: [images, width].
    """
    cosine = functional.cosine_similarity(_single(projection), _single(teacher), dim=-1)
    return Term((1 - cosine).sum(), _count(len(teacher), projection))


def balance_term(balance: Tensor, images: int) -> Term:
    """The experts' balance of a batch, which is a mean over its images, as a total.

    Args:
        balance: [], mean over images of `experts * sum(mean probability * mean selection)`, summed
            over layers; 0 for plain residual layers.
        images: how many images the mean was taken over.
    """
    return Term(balance.float() * images, _count(images, balance))


def tone_term(tone_logits: Tensor, tones: Tensor) -> Term:
    """Cross-entropy of the skin tone on the images whose tone is known.

    Args:
        tone_logits: [images, 3].
        tones: [images], 0 light, 1 medium, 2 dark, `UNKNOWN_TONE` unknown.
    """
    total = functional.cross_entropy(
        _single(tone_logits), tones, ignore_index=UNKNOWN_TONE, reduction="sum"
    )
    return Term(total, (tones != UNKNOWN_TONE).sum())


def no_term(like: Tensor) -> Term:
    """A term that this batch does not have: total 0, count 0."""
    return Term(torch.zeros((), device=like.device), _count(0, like))


def combine(terms: Sequence[Term], weights: BaseModel, counts: Tensor | None = None) -> Tensor:
    """The weighted loss: sum of weight * total / count.

    Args:
        terms: of one micro-batch, in the order of the fields of `weights`.
        weights: of the recipe, one field for each term.
        counts: [terms], counts of the whole step (all micro-batches, all processes); the terms'
            own counts when None.
    """
    values: Mapping[str, float] = weights.model_dump()
    loss = torch.zeros((), device=terms[0].total.device)
    for index, (name, term) in enumerate(zip(values, terms, strict=True)):
        count = term.count if counts is None else counts[index]
        loss = loss + values[name] * term.total / count.clamp(min=1)
    return loss


def _single(values: Tensor) -> Tensor:
    """In fp32 at least: sixteen-bit values are widened, double precision stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _count(number: int, like: Tensor) -> Tensor:
    return torch.tensor(number, device=like.device)
