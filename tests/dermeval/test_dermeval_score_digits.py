"""Expected rewards of score digits: where they are, and their gradient against the exact one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.dermeval.policy import advantages
from skingpt_r1.dermeval.sampling import (
    ScoreDigits,
    digit_tokens,
    expected_score_total,
    find_score_digits,
)
from skingpt_r1.errors import CheckpointError
from skingpt_r1.text.rubric import DIMENSIONS

SHARE = torch.tensor([1 / 6])


def test_the_digits_are_found_on_the_line_that_counts():
    pieces = [
        "Acc", "uracy", ":", " ", "1", ".", "5", "\n",
        "Acc", "uracy", ":", " ", "4", ".", "5", "\n",
        "Safety", ":", " 3", ".", "0", "\n",
        "Coverage", ":", " ", "3", "\n",
    ]  # fmt: skip
    lines = [0] * 8 + [1] * 8 + [2] * 6 + [3] * 5
    scores = {"Accuracy": 4.5, "Safety": 3.0, "Clinical Coverage": 3.0}
    decided = [1, 2, 4, 3, 4, 4]
    found = find_score_digits(pieces, scores, decided, lines)
    # A digit that is one with its space, a score without a point, dimensions without a score.
    assert found == [ScoreDigits(12, 4), None, None, None, None, None]


def test_every_digit_is_one_token(taught):
    ids = digit_tokens(taught.processor)
    assert [taught.processor.decode([token]) for token in ids] == list("0123456789")


def test_a_tokenizer_with_longer_digits_is_refused():
    class Processor:
        class tokenizer:  # noqa: N801
            @staticmethod
            def encode(text, add_special_tokens):
                return [1, 2]

    with pytest.raises(CheckpointError, match="to `sampled`"):
        digit_tokens(Processor)


def reward(whole, decimal, target):
    return -((whole + decimal / 10 - target) ** 2) / 6


def exact_gradient(whole, decimals, target):
    """Of the expected reward over all hundred scores, with decimals that depend on the digit."""
    leaves = whole.clone().requires_grad_(), decimals.clone().requires_grad_()
    odds = leaves[0].softmax(-1)[:, None] * leaves[1].softmax(-1)
    (-sum(odds[a, d] * reward(a, d, target) for a in range(10) for d in range(10))).backward()
    return leaves[0].grad, leaves[1].grad


@pytest.mark.parametrize("target", [4.8, 3.0, 1.25])
def test_the_mean_gradient_is_exact_and_has_less_noise_than_the_sampled_one(target):
    torch.manual_seed(0)
    whole, decimals = torch.randn(10).double(), torch.randn(10, 10).double()
    truth = exact_gradient(whole, decimals, target)
    spread = whole.softmax(-1)[:, None] * decimals.softmax(-1)
    usual = sum(spread[a, d] * reward(a, d, target) for a in range(10) for d in range(10))
    odds, noise = whole.softmax(-1), {"expected": 0.0, "sampled": 0.0}
    mean = [torch.zeros_like(part) for part in truth]
    for digit in range(10):
        # What is drawn is the whole digit alone, so that the mean over draws is a sum of ten.
        leaves = whole.clone().requires_grad_(), decimals.clone().requires_grad_()
        expected_score_total(
            leaves[0][None],
            leaves[1][digit][None],
            torch.tensor([digit]),
            torch.tensor([target]).double(),
            SHARE.double(),
        ).backward()
        grads = [leaf.grad for leaf in leaves]
        for place, grad in enumerate(grads):
            mean[place] += odds[digit] * grad
        noise["expected"] += float(odds[digit]) * float((grads[0] - truth[0]).pow(2).sum())
        for decimal in range(10):
            score = torch.nn.functional.one_hot(torch.tensor(digit), 10) - odds
            plain = -(reward(digit, decimal, target) - usual) * score
            noise["sampled"] += float(spread[digit, decimal]) * float(
                (plain - truth[0]).pow(2).sum()
            )
    for found, wanted in zip(mean, truth, strict=True):
        assert torch.allclose(found, wanted, atol=1e-9)
    assert noise["expected"] < 0.1 * noise["sampled"]


@given(st.lists(st.floats(-4, 4), min_size=10, max_size=10), st.integers(0, 9), st.floats(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_value_is_minus_the_expected_reward_of_the_decimals_and_the_rest(logits, drawn, target):
    row = torch.tensor(logits, dtype=torch.float64)
    found = expected_score_total(
        row[None], row[None], torch.tensor([drawn]), torch.tensor([target]).double(), SHARE.double()
    )
    odds = [math.exp(value) for value in logits]
    odds = [value / math.fsum(odds) for value in odds]
    guess = [math.fsum(reward(a, d, target) for d in range(10)) / 10 for a in range(10)]
    expected = math.fsum(odds[d] * reward(drawn, d, target) for d in range(10))
    whole = math.fsum(odds[a] * guess[a] for a in range(10))
    slow = expected + whole + (expected - guess[drawn]) * math.log(odds[drawn])
    assert float(found) == pytest.approx(-slow, abs=1e-6)


def test_digits_with_an_expected_reward_are_praised_for_later_scores_only():
    rewards, usual = [-0.5, -0.25, 0.0, 0.0, 0.0, 0.0], [0.0] * 6
    lines = [0, 0, 0, 0, 1, 1, 1, 1]
    places = [ScoreDigits(1, 4), ScoreDigits(5, 3), None, None, None, None]
    decided = [0, 1, 1, 1, 1, 1]
    plain = advantages(rewards, usual, decided, lines)
    assert plain == [-0.75] * 4 + [-0.25] * 4
    found = advantages(rewards, usual, decided, lines, places)
    assert found == [-0.75, -0.25, -0.75, -0.25, -0.25, 0.0, -0.25, 0.0]
    assert len(rewards) == len(DIMENSIONS)
