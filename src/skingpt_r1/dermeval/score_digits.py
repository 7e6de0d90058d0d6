"""Expected instead of sampled rewards where a score is two digits around a point.

For a score `a.d` of one dimension, with target t and the share 1/|V| of the reward,

    r(a, d) = -share (a + d/10 - t)^2
    decimal: sum over d of pi(d | a) r(a, d), all ten decimals after the digit that was drawn
    whole:   sum over a of pi(a) c(a) + (R - c(a*)) log pi(a*),  c(a) = mean over d of r(a, d)

with a* the digit that was drawn and R its expected reward, a constant. c does not depend on what
was drawn, so that the gradient is that of REINFORCE in expectation, with less noise: ours, after
"expected policy gradients" and control variates (https://arxiv.org/abs/1706.05374,
https://arxiv.org/abs/1611.02247).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.text.rubric import DIMENSIONS

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
    whole: Tensor, decimal: Tensor, drawn: Tensor, target: Tensor, share: Tensor
) -> Tensor:
    """[]: minus the expected rewards of scores, whose gradient is the formulas' above.

    Args:
        whole: [scores, 10], logits of the digits in the place of the whole digit.
        decimal: [scores, 10], logits of the digits in the place of the decimal.
        drawn: [scores], the whole digit that was drawn.
        target: [scores], what the score should be.
        share: [scores], 1/|V|.
    """
    digits = torch.arange(len(_DIGITS), device=whole.device, dtype=whole.dtype)
    values = digits[:, None] + digits / 10
    rewards = -share[:, None, None] * (values - target[:, None, None]) ** 2
    own = rewards[torch.arange(len(drawn)), drawn]
    guess = rewards.mean(-1)
    # Softmax over the digits alone: there is no reward for writing something else.
    expected = (decimal.softmax(-1) * own).sum(-1)
    surprise = expected.detach() - guess.gather(-1, drawn[:, None])[:, 0]
    chosen = whole.log_softmax(-1).gather(-1, drawn[:, None])[:, 0]
    return -(expected + (whole.softmax(-1) * guess).sum(-1) + surprise * chosen).sum()


def _reads(pieces: Sequence[str], at: int) -> float | None:
    whole, point, decimal = pieces[at : at + 3]
    if len(whole) == len(decimal) == 1 and whole in _DIGITS and decimal in _DIGITS:
        return float(f"{whole}.{decimal}") if point == "." else None
    return None
