"""The formulas of the score-oriented stage against slow references."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.dermeval.policy import (
    advantages,
    divergence_total,
    move_baseline,
    policy_total,
    squared_error_rewards,
    token_log_probs,
)
from skingpt_r1.dermeval.recipe import EvaluatorRecipe, PolicyRecipe
from skingpt_r1.recipes import read_recipe
from skingpt_r1.text.rubric import DIMENSIONS

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
    rewards = squared_error_rewards(parsed, target, -9.0, None)
    assert sum(rewards) == pytest.approx(-total / count)
    assert -25 <= sum(rewards) <= 0
    assert not [r for name, r in zip(DIMENSIONS, rewards, strict=True) if name not in parsed and r]


def test_the_reward_of_an_unparsed_reply_is_configured():
    assert math.fsum(squared_error_rewards({}, (1.0,) * 6, -4.0)) == -4.0
    assert all(map(math.isnan, squared_error_rewards({}, (1.0,) * 6, None)))


def test_a_dimension_that_did_not_parse_does_not_count():
    target = (3.0,) * 6
    assert sum(squared_error_rewards({"Safety": 3.0}, target, None, None)) == 0.0
    assert sum(squared_error_rewards({"Safety": 3.0, "Accuracy": 1.0}, target, None, None)) == -2.0


@given(st.dictionaries(st.sampled_from(DIMENSIONS), score, min_size=1), targets)
@settings(max_examples=100, deadline=None)
def test_a_dimension_that_is_left_out_is_charged_the_largest_error(parsed, target):
    rewards = squared_error_rewards(parsed, target, None)
    slow = [
        (parsed[name] - true) ** 2 if name in parsed else 25.0
        for name, true in zip(DIMENSIONS, target, strict=True)
    ]
    assert rewards == pytest.approx([-error / 6 for error in slow])
    left_out = [r for name, r in zip(DIMENSIONS, rewards, strict=True) if name not in parsed]
    assert left_out == pytest.approx([-25 / 6] * len(left_out))
    if len(parsed) == 6:
        assert rewards == pytest.approx(squared_error_rewards(parsed, target, None, None))
    elif len(parsed) > 1:
        fewer = dict(list(parsed.items())[1:])
        assert sum(squared_error_rewards(fewer, target, None)) <= sum(rewards) + 1e-9


def test_saying_nothing_pays_no_more_than_saying_little():
    recipe = PolicyRecipe(max_steps=1)
    little = squared_error_rewards({"Safety": 0.0}, (5.0,) * 6, recipe.unparsed_reward)
    nothing = squared_error_rewards({}, (5.0,) * 6, recipe.unparsed_reward)
    assert recipe.left_out == "charged"
    assert sum(nothing) <= sum(little) + 1e-9


def test_the_recipe_of_the_weights_keeps_the_published_reward():
    path = Path(__file__).parents[2] / "recipes" / "dermeval_nano.yaml"
    policy = read_recipe(EvaluatorRecipe, path, ()).policy
    assert (policy.left_out, policy.unparsed_reward) == ("published", -4.0)


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
    assert advantages([math.nan] * 6, [-1.0] * 6, [0] * 6, [0, 1, 2]) == [0.0, 0.0, 0.0]


@given(
    st.lists(
        st.tuples(st.floats(-25, 0), st.floats(-25, 0), st.integers(0, 5)), min_size=6, max_size=6
    ),
    st.lists(st.integers(0, 5), max_size=12).map(sorted),
)
def test_a_token_is_praised_for_the_scores_that_do_not_stand_before_its_line(dimensions, lines):
    rewards, baseline, decided = zip(*dimensions, strict=True)
    found = advantages(rewards, baseline, decided, lines)
    for line, praise in zip(lines, found, strict=True):
        slow = 0.0
        for reward, usual, place in dimensions:
            if place >= line:
                slow += reward - usual
        assert praise == pytest.approx(slow, abs=1e-9)
    if lines and lines[0] == 0:
        assert found[0] == pytest.approx(sum(rewards) - sum(baseline), abs=1e-9)


def test_the_policy_loss_is_minus_advantage_times_log_probability():
    log_probs = torch.tensor([-0.1, -0.2, -0.7, -1.1, -0.4], requires_grad=True)
    total = policy_total(log_probs, torch.tensor([0.5, 0.5, -2.0, -2.0, -2.0]))
    slow = -(0.5 * (-0.1 - 0.2) + -2.0 * (-0.7 - 1.1 - 0.4))
    assert float(total.detach()) == pytest.approx(slow)
    total.backward()
    assert log_probs.grad.tolist() == [-0.5, -0.5, 2.0, 2.0, 2.0]


def test_a_step_makes_a_better_reply_likelier():
    logits = torch.zeros(1, 3, requires_grad=True)
    chosen = token_log_probs(logits, torch.tensor([1]), 1.0)
    policy_total(chosen, torch.tensor([0.8])).backward()
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


def exact_gradient(logits, target):
    """Of the expected reward of independent scores, over all replies; no sampling."""
    leaf = logits.clone().requires_grad_()
    values = torch.arange(leaf.shape[1], dtype=torch.float64)
    expected = (leaf.softmax(-1) * (values - torch.tensor(target)[:, None]) ** 2).sum(-1).mean()
    (-expected).backward()
    return leaf.grad


def test_reward_to_go_has_the_gradient_of_the_expected_reward_with_less_noise():
    torch.manual_seed(0)
    target, draws = (4.0, 1.0, 3.0, 2.0, 5.0, 0.0), 4000
    logits = torch.randn(6, 6, dtype=torch.float64)
    replies = torch.multinomial(logits.softmax(-1), draws, replacement=True).t()
    truth, errors = exact_gradient(logits, target), {}
    for name, decided in (("to go", [0, 1, 2, 3, 4, 5]), ("whole", [6] * 6)):
        praise = []
        for row in replies.double().tolist():
            rewards = squared_error_rewards(dict(zip(DIMENSIONS, row, strict=True)), target, None)
            praise.append(advantages(rewards, [-0.8] * 6, decided, range(6)))
        each = torch.tensor(praise, dtype=torch.float64)
        chosen = torch.nn.functional.one_hot(replies, 6) - logits.softmax(-1)
        gradients = each[:, :, None] * chosen
        spread = gradients.std(0) / draws**0.5
        assert ((gradients.mean(0) - truth).abs() < 4.5 * spread + 1e-9).all()
        errors[name] = float(spread.pow(2).sum())
    assert errors["to go"] < 0.8 * errors["whole"]


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
                squared_error_rewards(dict(zip(DIMENSIONS, row, strict=True)), target, None)
                for row in drawn.double().tolist()
            ]
        )
        baseline = rewards.mean(0) if baseline is None else baseline
        chosen = token_log_probs(logits.repeat(16, 1), drawn.flatten(), 1.0)
        usual = baseline.tolist()
        praise = [
            gain
            for row in rewards.tolist()
            for gain in advantages(row, usual, [0, 1, 2, 3, 4, 5], range(6))
        ]
        loss = policy_total(chosen, torch.tensor(praise)) / 16
        baseline = move_baseline(baseline, rewards.mean(0), 0.9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        means.append(float(rewards.sum(1).mean()))
    assert means[0] < -4
    assert sum(means[-10:]) / 10 > -1.5
