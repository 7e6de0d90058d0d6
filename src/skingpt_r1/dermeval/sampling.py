"""Sampled replies of the score-oriented stage: their batches, greedy notes, and expected rewards.

A judge replies greedily. Sampled notes err more often than greedy ones, and a score that follows
them learns to allow for errors that will not be there. So notes can be left greedy and only what is
scored be explored; a note is then no action of the policy and has no advantage.

For a score `a.d` of one dimension, with target t and the share 1/|V| of the reward,

    r(a, d) = -share (a + d/10 - t)^2
    decimal: sum over d of pi(d | a) r(a, d), all ten decimals after the digit that was sampled
    whole:   sum over a of pi(a) c(a) + (R - c(a*)) log pi(a*),  c(a) = mean over d of r(a, d)

with a* the digit that was sampled and R its expected reward, a constant. c does not depend on what
was sampled, so that the gradient is that of REINFORCE in expectation, with less noise: ours, after
"expected policy gradients" and control variates (https://arxiv.org/abs/1706.05374,
https://arxiv.org/abs/1611.02247).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor

from skingpt_r1.distill.objective import Batch, collate, pad_text
from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.processor import SkinProcessor, pad_rows
from skingpt_r1.model.prompt import PromptBatch
from skingpt_r1.text.rubric import DIMENSIONS


def join_questions(
    cases: Sequence[Mapping[str, Tensor]], pad_id: int, *, divergence: bool, supervised: bool
) -> Batch:
    """Join examples of `CritiqueExamples` with the scores to be met and the counts of the terms.

    `divergence` and `supervised` say whether these terms take part.
    """
    batch = collate(cases, pad_id)
    batch["scores"] = torch.cat([case["scores"] for case in cases])
    replies, targets = float(len(cases)), float(len(batch["targets"]))
    counts = [replies, replies * divergence, targets * supervised, replies, replies]
    batch["counts"] = torch.tensor(counts, dtype=torch.float64) * batch["weight"].double()
    return batch


def prompts_of(batch: Batch, pad_id: int) -> PromptBatch:
    """The questions of a batch without their targets, padded on the left; pixels stay stored."""
    input_ids, mask = pad_rows(_questions(batch), pad_id, "left")
    return PromptBatch(
        input_ids=input_ids,
        attention_mask=mask,
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


TITLE = DIMENSIONS[0]  # of the line with which a verdict begins


class GreedyNotes(LogitsProcessor):  # type: ignore[misc]  # the library is untyped
    """Leaves one token to choose from until the verdict of a row has begun."""

    def __init__(self, processor: SkinProcessor, rows: int) -> None:
        """Before the first token of `rows` replies that are written together."""
        self.processor = processor
        self.tails = [""] * rows
        self.begun = torch.zeros(rows, dtype=torch.bool)
        self.is_first = True

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`[rows, V]` to `[rows, V]`, with minus infinity for all but the likeliest in notes."""
        if not self.is_first:
            self._read(input_ids[:, -1].tolist())
        self.is_first = False
        best = torch.full_like(scores, -torch.inf)
        best.scatter_(-1, (top := scores.argmax(-1, keepdim=True)), scores.gather(-1, top))
        return torch.where(self.begun.to(scores.device)[:, None], scores, best)

    def _read(self, written: Sequence[int]) -> None:
        for row, token in enumerate(written):
            if not self.begun[row]:
                piece = self.processor.decode([token])
                self.tails[row], self.begun[row] = _follow(self.tails[row], piece)


def verdict_begins(pieces: Sequence[str]) -> int:
    """The place of the first token after the first title; the number of tokens without one."""
    tail = ""
    for place, piece in enumerate(pieces):
        tail, has_begun = _follow(tail, piece)
        if has_begun:
            return place + 1
    return len(pieces)


def _follow(tail: str, piece: str) -> tuple[str, bool]:
    """The end of a text that grows by a piece, and whether the title stands there."""
    text = tail + piece
    return text[-len(TITLE) :], TITLE in text


_DIGITS = "0123456789"


class ScoreDigits(NamedTuple):
    """Where a reply has a score: the token of its whole digit, and that digit."""

    at: int
    whole: int


def digit_tokens(processor: SkinProcessor) -> list[int]:
    """The token of each digit, 0 to 9.

    Raises:
        CheckpointError: the tokenizer does not write every digit as one token.
    """
    rows = [processor.tokenizer.encode(digit, add_special_tokens=False) for digit in _DIGITS]
    if any(len(row) != 1 for row in rows):
        raise CheckpointError(
            "expected rewards need a tokenizer that writes every digit as one token; set "
            "policy.scores to `sampled`"
        )
    return [row[0] for row in rows]


def find_score_digits(
    pieces: Sequence[str], scores: Mapping[str, float], decided: Sequence[int], lines: Sequence[int]
) -> list[ScoreDigits | None]:
    """For each dimension the place of its score.

    None where the score is not three tokens, digit, point and digit, on the line that counts.

    Args:
        pieces: text of each token of the reply.
        scores: dimension -> score, as the parser reads the reply.
        decided: the line of the reply in which each dimension has its score.
        lines: the line of each token.
    """
    return [
        next(
            (
                ScoreDigits(at, int(pieces[at]))
                for at in range(len(pieces) - 2)
                if lines[at] == line and name in scores and _reads(pieces, at) == scores[name]
            ),
            None,
        )
        for name, line in zip(DIMENSIONS, decided, strict=True)
    ]


def expected_score_total(
    whole: Tensor, decimal: Tensor, sampled: Tensor, target: Tensor, share: Tensor
) -> Tensor:
    """[]: minus the expected rewards of scores, whose gradient is the formulas' above.

    Args:
        whole: [scores, 10], logits of the digits in the place of the whole digit.
        decimal: [scores, 10], logits of the digits in the place of the decimal.
        sampled: [scores], the whole digit that was sampled.
        target: [scores], what the score should be.
        share: [scores], 1/|V|.
    """
    digits = torch.arange(len(_DIGITS), device=whole.device, dtype=whole.dtype)
    values = digits[:, None] + digits / 10
    rewards = -share[:, None, None] * (values - target[:, None, None]) ** 2
    own = rewards[torch.arange(len(sampled)), sampled]
    guess = rewards.mean(-1)
    # Softmax over the digits alone: there is no reward for writing something else.
    expected = (decimal.softmax(-1) * own).sum(-1)
    surprise = expected.detach() - guess.gather(-1, sampled[:, None])[:, 0]
    chosen = whole.log_softmax(-1).gather(-1, sampled[:, None])[:, 0]
    return -(expected + (whole.softmax(-1) * guess).sum(-1) + surprise * chosen).sum()


def _reads(pieces: Sequence[str], at: int) -> float | None:
    whole, point, decimal = pieces[at : at + 3]
    if len(whole) == len(decimal) == 1 and whole in _DIGITS and decimal in _DIGITS:
        return float(f"{whole}.{decimal}") if point == "." else None
    return None
