"""The formulas of the score-oriented stage, as pure functions.

    r = -(1/|V|) sum over k in V of (p_k - t_k)^2      V: the dimensions that parsed
    A = r - b
    b <- m b + (1 - m) r                               r: mean over a batch
    loss = -A log pi(y | x)

Source: SOREB (score-oriented REINFORCE with a moving-average baseline) and the reward are named in
the DermEval release. The update of the baseline, the loss, m and every weight are not published:
these are the natural forms and our choices (docs/sources.md).
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from skingpt_r1.rubric import DIMENSIONS


def squared_error_reward(
    parsed: Mapping[str, float], target: Sequence[float], unparsed: float | None
) -> float:
    """Minus the mean squared error over the dimensions that parsed.

    Args:
        parsed: dimension -> score, of the dimensions that could be read.
        target: six scores in the order of `DIMENSIONS`.
        unparsed: reward when nothing could be read; NaN, which is left out, when None.
    """
    if not parsed:
        return math.nan if unparsed is None else unparsed
    true = dict(zip(DIMENSIONS, target, strict=True))
    return -math.fsum((value - true[name]) ** 2 for name, value in parsed.items()) / len(parsed)


def advantages(rewards: Tensor, baseline: Tensor) -> Tensor:
    """[replies]: reward less baseline; 0 for a reply that is left out (NaN)."""
    return torch.nan_to_num(rewards - baseline, nan=0.0)


def move_baseline(baseline: Tensor, mean_reward: Tensor, momentum: float) -> Tensor:
    """The baseline after a batch; it stays where it is when the batch has no reward (NaN)."""
    moved = momentum * baseline + (1 - momentum) * mean_reward
    return torch.where(torch.isnan(mean_reward), baseline, moved)


def policy_total(log_probs: Tensor, lengths: Tensor, advantage: Tensor) -> Tensor:
    """[]: sum over replies of -A log pi(y | x); divide by the number of replies for the loss.

    Args:
        log_probs: [tokens], of the sampled tokens, reply after reply; carries the gradient.
        lengths: [replies], tokens of each reply; they add up to `tokens`.
        advantage: [replies], a constant.
    """
    weights = advantage.detach().to(log_probs.dtype)
    return -(log_probs * weights.repeat_interleave(lengths, dim=0)).sum()


def divergence_total(log_probs: Tensor, reference: Tensor) -> Tensor:
    """[]: sum over sampled tokens of an estimate of KL(policy, supervised model), never negative.

    With q = log pi_supervised - log pi it is exp(q) - q - 1, whose mean under the policy is the
    divergence. Source: the low-variance estimator usual in policy optimisation ("k3").

    Args:
        log_probs: [tokens], of the policy; carries the gradient.
        reference: [tokens], of the supervised model, a constant.
    """
    gap = reference.detach() - log_probs
    return (gap.exp() - gap - 1).sum()


def token_log_probs(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """[tokens]: log-probability of each sampled token at the temperature it was sampled with.

    Args:
        logits: [tokens, vocabulary].
        tokens: [tokens], ids.
        temperature: above 0.
    """
    log_probs = torch.log_softmax(logits.float() / temperature, dim=-1)
    return log_probs.gather(-1, tokens[:, None])[:, 0]
