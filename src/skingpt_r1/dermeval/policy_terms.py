"""The formulas of the score-oriented stage, as pure functions.

    r = sum over k of r_k,  r_k = -e_k / |V|,  e_k = (p_k - t_k)^2
        published: V are the dimensions that parsed
        charged:   V are all six, and e_k = 25 where k is left out
    A_t = sum over k not yet written at token t of r_k - b_k
    b <- m b + (1 - m) r                                  r: mean over a batch
    loss = -sum over t of A_t log pi(y_t | x, y_<t)

At the first token A = r - b. A score that stands already does not depend on the tokens after it, so
that they are not praised or blamed for it; the expected gradient is the same with less noise
("reward to go", Williams 1992, https://doi.org/10.1007/BF00992696).

Charged, a dimension that is left out costs the largest error that a score can have. As published it
costs nothing, so that leaving it out pays as much as the right score.

Source: SOREB (score-oriented REINFORCE with a moving-average baseline) and the reward are named in
the DermEval release; the charge is ours. The update of the baseline, the loss, m and every weight
are not published: these are the natural forms and our choices (docs/sources.md).
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from skingpt_r1.dermeval.score_digits import ScoreDigits
from skingpt_r1.text.rubric import DIMENSIONS

LARGEST_ERROR = 25.0  # squared, of a score from 0 to 5


def squared_error_rewards(
    parsed: Mapping[str, float],
    target: Sequence[float],
    unparsed: float | None,
    left_out: float | None = LARGEST_ERROR,
) -> list[float]:
    """What each dimension adds to the reward, minus the mean squared error.

    Args:
        parsed: dimension -> score, of the dimensions that could be read.
        target: six scores in the order of `DIMENSIONS`.
        unparsed: reward when nothing could be read, shared by all six; NaN, which is left out,
            when None.
        left_out: squared error of a dimension that the reply leaves out; None, as published: it
            does not count in the mean.
    """
    if not parsed:
        return [math.nan if unparsed is None else unparsed / len(DIMENSIONS)] * len(DIMENSIONS)
    errors = {
        name: left_out if name not in parsed else (parsed[name] - true) ** 2
        for name, true in zip(DIMENSIONS, target, strict=True)
    }
    counted = [error for error in errors.values() if error is not None]
    return [0.0 if error is None else -error / len(counted) for error in errors.values()]


def advantages(
    rewards: Sequence[float],
    baseline: Sequence[float],
    decided: Sequence[int],
    lines: Sequence[int],
    digits: Sequence[ScoreDigits | None] = (None,) * len(DIMENSIONS),
    begins: int = 0,
) -> list[float]:
    """What each token of a reply is praised for; all 0 for a reply that is left out (NaN).

    Args:
        rewards: of the six dimensions.
        baseline: of the six dimensions.
        decided: the line of the reply in which each dimension has its score.
        lines: the line of each token.
        digits: scores with an expected reward of their own, for which their two digits are not
            praised again.
        begins: the first token that was drawn; those before it are not praised.
    """
    if any(map(math.isnan, rewards)):
        return [0.0] * len(lines)
    gains = [reward - usual for reward, usual in zip(rewards, baseline, strict=True)]
    left = [
        math.fsum(gain for gain, line in zip(gains, decided, strict=True) if line >= here)
        for here in range(max(lines, default=0) + 1)
    ]
    praise = [left[line] for line in lines]
    for gain, place in zip(gains, digits, strict=True):
        if place is not None:
            praise[place.at] -= gain
            praise[place.at + 2] -= gain
    return [0.0] * begins + praise[begins:]


def move_baseline(baseline: Tensor, mean_reward: Tensor, momentum: float) -> Tensor:
    """The baseline after a batch; it stays where it is when the batch has no reward (NaN)."""
    moved = momentum * baseline + (1 - momentum) * mean_reward
    return torch.where(torch.isnan(mean_reward), baseline, moved)


def policy_total(log_probs: Tensor, advantage: Tensor) -> Tensor:
    """[]: sum over tokens of -A log pi; divide by the number of replies for the loss.

    Args:
        log_probs: [tokens], of the sampled tokens, reply after reply; carries the gradient.
        advantage: [tokens], a constant.
    """
    return -(log_probs * advantage.detach().to(log_probs.dtype)).sum()


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
