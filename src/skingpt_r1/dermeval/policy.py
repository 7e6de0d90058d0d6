"""The score-oriented stage as an objective of the trainer: sample, reward, follow the gradient.

A reply is sampled for every question of a batch, read by `rubric`, and rewarded against the mean
rater. The moving-average baseline and the number of batches travel with the checkpoints, so that a
run that was stopped goes on with the same replies.

    r = sum over k of r_k,  r_k = -e_k / |V|,  e_k = (p_k - t_k)^2
        published: V are the dimensions that parsed
        charged:   V are all six, and e_k = 25 where k is left out
    A_t = sum over k not yet written at token t of r_k - b_k
    b <- m b + (1 - m) r                                  r: mean over a batch
    loss = -sum over t of A_t log pi(y_t | x, y_<t)

At the first token A = r - b. A score that stands already does not depend on the tokens after it, so
that it adds nothing to their advantage; the expected gradient is the same with less noise ("reward
to go", Williams 1992, https://doi.org/10.1007/BF00992696). Charged, a dimension that is left out
costs the largest error that a score can have; as published, leaving it out pays as much as the
right score.

Source: SOREB (score-oriented REINFORCE with a moving-average baseline) and the reward are named in
the DermEval release; the charge is ours. The update of the baseline, the loss, m and every weight
are not published: these are the natural forms and our choices (docs/sources.md).
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.func import functional_call

from skingpt_r1.dermeval.recipe import PolicyRecipe
from skingpt_r1.dermeval.sampling import (
    GreedyNotes,
    ScoreDigits,
    cut_reply,
    digit_tokens,
    expected_score_total,
    find_score_digits,
    join_questions,
    join_replies,
    prompts_of,
    verdict_begins,
)
from skingpt_r1.dermeval.scoring import ASKED_SCALE
from skingpt_r1.distill.losses import Term
from skingpt_r1.distill.objective import Batch, LanguageModel
from skingpt_r1.distill.trainer import Trained
from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.text.rubric import DIMENSIONS, parse_some_scores

LARGEST_ERROR = 25.0  # squared, of a score from 0 to 5


def squared_error_rewards(
    parsed: Mapping[str, float],
    target: Sequence[float],
    unparsed: float | None,
    left_out: float | None = LARGEST_ERROR,
) -> list[float]:
    """What each dimension adds to the reward: minus its share of the mean squared error.

    Args:
        parsed: dimension -> score, of the dimensions that could be read.
        target: six scores in the order of `DIMENSIONS`.
        unparsed: reward when no score could be read, shared by all six; NaN, which is left out,
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
    """The advantage of each token of a reply; all 0 for a reply that is left out (NaN).

    Args:
        rewards: of the six dimensions.
        baseline: of the six dimensions.
        decided: the line of the reply in which each dimension has its score.
        lines: the line of each token.
        digits: scores with an expected reward of their own, which their two digits have not.
        begins: the first token that was sampled; those before it have no advantage.
    """
    if any(map(math.isnan, rewards)):
        return [0.0] * len(lines)
    gains = [reward - usual for reward, usual in zip(rewards, baseline, strict=True)]
    left = [
        math.fsum(gain for gain, line in zip(gains, decided, strict=True) if line >= here)
        for here in range(max(lines, default=0) + 1)
    ]
    advantage = [left[line] for line in lines]
    for gain, place in zip(gains, digits, strict=True):
        if place is not None:
            advantage[place.at] -= gain
            advantage[place.at + 2] -= gain
    return [0.0] * begins + advantage[begins:]


def move_baseline(baseline: Tensor, mean_reward: Tensor, momentum: float) -> Tensor:
    """The baseline after a batch; it stays where it is when the batch has no reward (NaN)."""
    moved = momentum * baseline + (1 - momentum) * mean_reward
    return torch.where(torch.isnan(mean_reward), baseline, moved)


def policy_total(log_probs: Tensor, advantage: Tensor) -> Tensor:
    """[]: sum over tokens of -A log pi, for [tokens] of all replies; A is a constant."""
    return -(log_probs * advantage.detach().to(log_probs.dtype)).sum()


def divergence_total(log_probs: Tensor, reference: Tensor) -> Tensor:
    """[]: sum over sampled tokens of an estimate of KL(policy, supervised model), never negative.

    With q = log pi_supervised - log pi, both [tokens], it is exp(q) - q - 1, whose mean under the
    policy is the divergence.

    Source: the low-variance estimator usual in policy optimisation ("k3").
    """
    gap = reference.detach() - log_probs
    return (gap.exp() - gap - 1).sum()


def token_log_probs(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """[tokens]: log-probability of each sampled token at the temperature it was sampled with."""
    log_probs = torch.log_softmax(logits.float() / temperature, dim=-1)
    return log_probs.gather(-1, tokens[:, None])[:, 0]


class PolicyTerms(NamedTuple):
    """The terms of the stage; the last two are logged and weigh nothing."""

    policy: Term
    divergence: Term
    supervised: Term
    reward: Term
    unparsed: Term


class PolicyWeights(BaseModel):
    """Weights of `PolicyTerms`, in their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: float = 1.0
    divergence: float = 0.0
    supervised: float = 0.0
    reward: float = 0.0
    unparsed: float = 0.0


class Sampled(NamedTuple):
    """What was sampled for a batch.

    Attributes:
        digits: for each reply where each score has its digits; None where its reward is sampled.
    """

    replies: list[list[int]]  # token ids with the end of turn
    rewards: Tensor  # [replies, 6], what each dimension adds; NaN for a reply that is left out
    begins: list[int]  # for each reply the place of the first token that was sampled
    decided: list[list[int]]  # for each reply the line in which each dimension has its score
    lines: list[list[int]]  # for each reply the line of each token
    digits: list[list[ScoreDigits | None]]
    parsed: list[int]  # for each reply how many dimensions were read


class LogProbs(nn.Module):
    """Log-probabilities of the predicted tokens of a batch, and logits of the digits there."""

    def __init__(
        self, language: LanguageModel, temperature: float, digit_ids: Sequence[int]
    ) -> None:
        super().__init__()
        self.language = language
        self.temperature = temperature
        self.digit_ids = list(digit_ids)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[tokens] and [tokens, digits], reply after reply."""
        states, visual = self.language.states(batch)
        model = self.language.model
        head = model.backbone.lm_head
        logits = head(states.to(head.weight.dtype))
        logits = logits.index_fill(-1, picture_tokens(model).to(logits.device), -torch.inf)
        # Every trained weight gets a gradient, if only a zero: several processes need it.
        rest = 0 * (visual.teacher_projection.sum() + visual.tone_logits.sum() + visual.balance)
        log_probs = token_log_probs(logits, batch["targets"], self.temperature) + rest
        return log_probs, logits[:, self.digit_ids].float() / self.temperature


class PolicyObjective(nn.Module):
    """Batch -> `PolicyTerms`; samples replies as it goes.

    Attributes:
        log_probs: of replies under the trained adapters.
        recipe: of the stage.
        baseline: [7], the moving average of each dimension's reward, and 1 once it has begun.
        draws: [1], batches sampled so far.
    """

    def __init__(
        self,
        model: SkinGPT,
        recipe: PolicyRecipe,
        *,
        max_new_tokens: int,
        seed: int,
        reference: Mapping[str, Tensor],
    ) -> None:
        """The adapters of a model are trained on from where they are.

        `reference`: the supervised adapters, by the names of `model.adapter_state()`.
        """
        super().__init__()
        language = LanguageModel(model, recipe.precision)
        digit_ids = digit_tokens(model.needed_processor) if recipe.scores == "expected" else []
        self.log_probs = LogProbs(language, recipe.temperature, digit_ids)
        self.recipe = recipe
        self.max_new_tokens = max_new_tokens
        self.seed = seed
        self.baseline = torch.zeros(len(DIMENSIONS) + 1, dtype=torch.float64)
        self.draws = torch.zeros(1, dtype=torch.int64)
        names = {id(parameter): name for name, parameter in self.log_probs.named_parameters()}
        trained = model.adapter_state()
        self._reference = {
            names[id(trained[name])]: value.detach().clone() for name, value in reference.items()
        }

    @property
    def model(self) -> SkinGPT:
        """The composed model."""
        return self.log_probs.language.model

    def forward(self, batch: Batch) -> PolicyTerms:
        """The terms of a batch made by `join_questions`."""
        sampled = self.sample(batch)
        replied = join_replies(batch, sampled.replies, self.model.needed_processor.pad_id)
        log_probs, digits = self.log_probs(replied)
        baseline = self._move_baseline(sampled.rewards).tolist()
        advantage = [
            value
            for rewards, decided, lines, places, begins in zip(
                sampled.rewards.tolist(),
                sampled.decided,
                sampled.lines,
                sampled.digits,
                sampled.begins,
                strict=True,
            )
            for value in advantages(rewards, baseline, decided, lines, places, begins)
        ]
        weights = torch.tensor(advantage, device=log_probs.device)
        policy = self.recipe.words * policy_total(log_probs, weights)
        if self.recipe.scores == "expected":
            is_charged = self.recipe.left_out == "charged"
            counts = [len(DIMENSIONS) if is_charged else parsed for parsed in sampled.parsed]
            policy = policy + _expected_total(sampled, digits, batch["scores"], counts)
        totals = [
            policy,
            self._divergence(log_probs, replied) if self.recipe.kl else 0.0,
            self.log_probs.language(batch).text.total if self.recipe.supervised else 0.0,
            math.fsum(sampled.rewards.nan_to_num(nan=0.0).flatten().tolist()),
            sampled.parsed.count(0),
        ]
        weight = batch["weight"]
        return PolicyTerms(
            *(
                Term(torch.as_tensor(total, device=weight.device) * weight, count)
                for total, count in zip(totals, batch["counts"], strict=True)
            )
        )

    @torch.no_grad()
    def sample(self, batch: Batch) -> Sampled:
        """Sample one reply for every question of a batch and reward it."""
        processor, recipe = self.model.needed_processor, self.recipe
        rows = self._generate(batch)
        ends = frozenset((processor.end_id, processor.pad_id))
        replies = [cut_reply(row, ends) for row in rows.tolist()]
        texts = [processor.decode(reply) for reply in replies]
        parsed = [parse_some_scores(text, scale=ASKED_SCALE) for text in texts]
        left_out = LARGEST_ERROR if recipe.left_out == "charged" else None
        rewards = [
            squared_error_rewards(scores, target, recipe.unparsed_reward, left_out)
            for scores, target in zip(parsed, batch["scores"].tolist(), strict=True)
        ]
        pieces = [[processor.decode([token]) for token in reply] for reply in replies]
        decided = [score_lines(text) for text in texts]
        lines = [token_lines(row) for row in pieces]
        digits: list[list[ScoreDigits | None]] = [[None] * len(DIMENSIONS)] * len(replies)
        if recipe.scores == "expected":
            places = zip(pieces, parsed, decided, lines, strict=True)
            digits = [find_score_digits(*where) for where in places]
        return Sampled(
            replies,
            torch.tensor(rewards, dtype=torch.float64),
            [verdict_begins(row) if recipe.notes == "greedy" else 0 for row in pieces],
            decided,
            lines,
            digits,
            [len(scores) for scores in parsed],
        )

    def _generate(self, batch: Batch) -> Tensor:
        processor = self.model.needed_processor
        # Another seed for every batch and process, within what the generator takes.
        batches, process = int(self.draws), PartialState().process_index
        seed = ((self.seed * 1_000_003 + batches) * 1009 + process) % 2**63
        self.draws += 1
        language = self.log_probs.language
        greedy = [GreedyNotes(processor, len(batch["scores"]))]
        return self.model.generate_ids(
            prompts_of(batch, processor.pad_id),
            Decoding(
                max_new_tokens=self.max_new_tokens,
                temperature=self.recipe.temperature,
                top_p=1.0,
                seed=seed,
            ),
            tower=language.tower(language.seen(batch)),
            suppress_tokens=picture_tokens(self.model).tolist(),
            processors=greedy if self.recipe.notes == "greedy" else [],
        )

    def _move_baseline(self, rewards: Tensor) -> Tensor:
        """The baseline to compare with; afterwards it has moved on.

        Before the first batch it is that batch's mean, so that the first step has no bias.
        """
        mean = _mean_reward(rewards)
        if not self.baseline[-1] and not mean.isnan().any():
            self.baseline[:-1], self.baseline[-1] = mean, 1
        before = self.baseline[:-1].clone()
        self.baseline[:-1] = move_baseline(before, mean, self.recipe.momentum)
        return before

    def _divergence(self, log_probs: Tensor, batch: Batch) -> Tensor:
        weights = {name: value.to(self.model.device) for name, value in self._reference.items()}
        with torch.no_grad():
            reference: Tensor = functional_call(self.log_probs, weights, (batch,))[0]
        return divergence_total(log_probs, reference)


def picture_tokens(model: SkinGPT) -> Tensor:
    """Ids that stand for pictures; a reply with one could not be read again as a text."""
    config = model.backbone.config
    return torch.tensor(
        [config.image_token_id, config.video_token_id, config.vision_start_token_id]
    )


def make_policy(objective: PolicyObjective) -> Trained:
    """What the trainer needs: adapters to train; baseline and number of batches to keep."""
    kept = {"policy.baseline": objective.baseline, "policy.draws": objective.draws}
    return Trained(objective, objective.model.adapter_state(), kept)


def question_joiner(recipe: PolicyRecipe) -> "partial[Batch]":
    """`join_questions` for the terms that a recipe weighs."""
    return partial(join_questions, divergence=bool(recipe.kl), supervised=bool(recipe.supervised))


def _expected_total(
    sampled: Sampled, digits: Tensor, targets: Tensor, counts: Sequence[int]
) -> Tensor:
    """What the scores add that have digits, each by its expected reward.

    `counts`: how many dimensions the reward of each reply is a mean over.
    """
    rows, start = [], 0
    for reply, places, count, target in zip(
        sampled.replies, sampled.digits, counts, targets.tolist(), strict=True
    ):
        rows += [
            (start + place.at, place.whole, wanted, 1 / count)
            for place, wanted in zip(places, target, strict=True)
            if place is not None
        ]
        start += len(reply)
    if not rows:
        return digits.new_zeros(())
    at, whole, wanted, share = (
        torch.tensor(column, device=digits.device) for column in zip(*rows, strict=True)
    )
    return expected_score_total(digits[at], digits[at + 2], whole, wanted, share)


def _mean_reward(rewards: Tensor) -> Tensor:
    """[6]: mean over the replies of all processes that have a reward; NaN when none has."""
    sums = torch.cat([rewards.nansum(0), (~rewards.isnan()).all(1).sum().double()[None]])
    *totals, count = reduce(sums.to(PartialState().device), "sum").cpu()
    return torch.stack(totals) / count if count else torch.full((len(totals),), torch.nan).double()


def score_lines(text: str) -> list[int]:
    """The line of a reply in which each dimension has the score that counts.

    Read by the parser itself, whatever the form: the last line before which the reply so far says
    something else. A dimension without a score has the number of lines, after every token.
    """
    rows = text.split("\n")
    final = parse_some_scores(text, scale=ASKED_SCALE)
    decided = [0 if name in final else len(rows) for name in DIMENSIONS]
    for end in range(1, len(rows)):
        so_far = parse_some_scores("\n".join(rows[:end]), scale=ASKED_SCALE)
        for place, name in enumerate(DIMENSIONS):
            if name in final and so_far.get(name) != final[name]:
                decided[place] = end
    return decided


def token_lines(pieces: Sequence[str]) -> list[int]:
    """The line of each token; a line break belongs to the line that it ends."""
    lines, line = [], 0
    for piece in pieces:
        lines.append(line)
        line += piece.count("\n")
    return lines
