"""The formulas of the score-oriented stage against slow references."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.dermeval.policy_terms import (
    advantages,
    divergence_total,
    move_baseline,
    policy_total,
    squared_error_reward,
    token_log_probs,
)
from skingpt_r1.rubric import DIMENSIONS

score = st.integers(0, 50).map(lambda value: value / 10)
targets = st.tuples(*[st.floats(0, 5)] * 6)


@given(st.dictionaries(st.sampled_from(DIMENSIONS), score, min_size=1), targets)
@settings(max_examples=100, deadline=None)
def test_the_reward_is_minus_the_mean_squared_error_over_what_parsed(parsed, target):
    total, count = 0.0, 0
    for index, name in enumerate(DIMENSIONS):
        if name in parsed:
            total += (parsed[name] - target[index]) ** 2
            count += 1
    reward = squared_error_reward(parsed, target, -9.0)
    assert reward == pytest.approx(-total / count)
    assert -25 <= reward <= 0


def test_the_reward_of_an_unparsed_reply_is_configured():
    assert squared_error_reward({}, (1.0,) * 6, -4.0) == -4.0
    assert math.isnan(squared_error_reward({}, (1.0,) * 6, None))


def test_a_dimension_that_did_not_parse_does_not_count():
    target = (3.0,) * 6
    assert squared_error_reward({"Safety": 3.0}, target, None) == 0.0
    assert squared_error_reward({"Safety": 3.0, "Accuracy": 1.0}, target, None) == -2.0


@given(st.lists(st.floats(-25, 0), min_size=1, max_size=20), st.floats(0, 0.99))
@settings(max_examples=100, deadline=None)
def test_the_baseline_is_a_weighted_mean_of_all_rewards(rewards, momentum):
    baseline = torch.tensor(rewards[0], dtype=torch.float64)
    for reward in rewards[1:]:
        baseline = move_baseline(baseline, torch.tensor(reward, dtype=torch.float64), momentum)
    last = len(rewards) - 1
    slow = momentum**last * rewards[0] + sum(
        (1 - momentum) * momentum ** (last - k) * rewards[k] for k in range(1, last + 1)
    )
    assert float(baseline) == pytest.approx(slow, abs=1e-9)


def test_what_has_no_reward_moves_nothing():
    baseline = torch.tensor(-1.5, dtype=torch.float64)
    assert move_baseline(baseline, torch.tensor(math.nan), 0.9) == -1.5
    rewards = torch.tensor([-1.0, math.nan, -2.0], dtype=torch.float64)
    assert advantages(rewards, baseline).tolist() == [0.5, 0.0, -0.5]


def test_the_policy_loss_is_minus_advantage_times_log_probability():
    log_probs = torch.tensor([-0.1, -0.2, -0.7, -1.1, -0.4], requires_grad=True)
    lengths, advantage = torch.tensor([2, 3]), torch.tensor([0.5, -2.0])
    total = policy_total(log_probs, lengths, advantage)
    slow = -(0.5 * (-0.1 - 0.2) + -2.0 * (-0.7 - 1.1 - 0.4))
    assert float(total.detach()) == pytest.approx(slow)
    total.backward()
    assert log_probs.grad.tolist() == [-0.5, -0.5, 2.0, 2.0, 2.0]


def test_a_step_makes_a_better_reply_likelier():
    logits = torch.zeros(1, 3, requires_grad=True)
    chosen = token_log_probs(logits, torch.tensor([1]), 1.0)
    policy_total(chosen, torch.tensor([1]), torch.tensor([0.8])).backward()
    assert logits.grad[0, 1] < 0 < logits.grad[0, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_log_probabilities_are_those_that_were_sampled_from(temperature):
    torch.manual_seed(0)
    logits, tokens = torch.randn(7, 11), torch.randint(0, 11, (7,))
    found = token_log_probs(logits, tokens, temperature)
    for row in range(7):
        weights = [math.exp(float(value) / temperature) for value in logits[row]]
        assert float(found[row]) == pytest.approx(
            math.log(weights[int(tokens[row])] / sum(weights)), abs=1e-5
        )


def test_the_divergence_is_an_estimate_of_kl_and_never_negative():
    torch.manual_seed(0)
    policy, reference = (torch.log_softmax(torch.randn(2, 6), -1) for _ in range(2))
    truth = float((policy[0].exp() * (policy[0] - reference[0])).sum())
    tokens = torch.multinomial(policy[0].exp(), 200_000, replacement=True)
    total = divergence_total(policy[0][tokens], reference[0][tokens])
    assert float(total) / len(tokens) == pytest.approx(truth, rel=0.02)
    each = [
        float(divergence_total(policy[0][t : t + 1], reference[0][t : t + 1])) for t in range(6)
    ]
    assert min(each) >= 0
    assert float(divergence_total(policy[0], policy[0])) == 0


def test_followed_for_a_while_the_formulas_raise_the_reward():
    """A policy over six independent scores, from even odds; no model, only the formulas."""
    torch.manual_seed(0)
    target = (4.0, 1.0, 3.0, 2.0, 5.0, 0.0)
    logits = torch.zeros(6, 6, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    baseline, means = None, []
    for _ in range(150):
        drawn = torch.multinomial(logits.detach().softmax(-1), 16, replacement=True).t()
        rewards = torch.tensor(
            [
                squared_error_reward(dict(zip(DIMENSIONS, row, strict=True)), target, None)
                for row in drawn.double().tolist()
            ]
        )
        baseline = rewards.mean() if baseline is None else baseline
        chosen = token_log_probs(logits.repeat(16, 1), drawn.flatten(), 1.0)
        lengths = torch.full((16,), 6)
        loss = policy_total(chosen, lengths, advantages(rewards, baseline)) / 16
        baseline = move_baseline(baseline, rewards.mean(), 0.9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        means.append(float(rewards.mean()))
    assert means[0] < -4
    assert sum(means[-10:]) / 10 > -1.5
