"""Replies whose notes are written greedily and whose verdict is sampled, as the trainer draws them.

A judge is asked greedily. Notes that are sampled err more often than greedy ones, and a score that
follows them learns to allow for errors that will not be there. So notes can be left as they will be
and only what is scored be explored; a note is then no action of the policy and has no praise.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.text.rubric import DIMENSIONS

TITLE = DIMENSIONS[0]  # of the line with which a verdict begins


class GreedyNotes(LogitsProcessor):  # type: ignore[misc]  # the library is untyped
    """Leaves one token to choose from until the verdict of a row has begun."""

    def __init__(self, processor: SkinProcessor, rows: int) -> None:
        """Nothing is written yet.

        Args:
            processor: of the model.
            rows: replies that are written together.
        """
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
    """The place of the first token after the first title; the number of tokens without one.

    Args:
        pieces: text of each token of a reply.
    """
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
