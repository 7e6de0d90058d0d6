"""Greedy notes and expected rewards of sampled replies."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_evaluator import tiny_recipe

from skingpt_r1.dermeval.examples import CritiqueExamples, mean_lessons, store_pictures
from skingpt_r1.dermeval.policy import PolicyObjective, advantages, question_joiner
from skingpt_r1.dermeval.sampling import (
    TITLE,
    GreedyNotes,
    ScoreDigits,
    digit_tokens,
    expected_score_total,
    find_score_digits,
    prompts_of,
    verdict_begins,
)
from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.generation import Decoding
from skingpt_r1.ratings.rating import read_ratings
from skingpt_r1.text.rubric import DIMENSIONS


class Letters:
    """A processor whose tokens are the letters of a text."""

    def decode(self, tokens):
        return "".join(map(chr, tokens))


def test_one_token_is_left_until_the_title_is_there():
    processor = GreedyNotes(Letters(), rows=2)
    logits = torch.tensor([[0.0, 2.0, 1.0]]).repeat(2, 1)
    texts = [f"a note\n{TITLE}", "a note that is longer than that"]
    ids = torch.zeros(2, 1, dtype=torch.long)  # the last token of the question
    for place in range(len(texts[0]) + 1):
        found = processor(ids, logits).isfinite().sum(-1).tolist()
        assert found == [3 if place == len(texts[0]) else 1, 1], place
        step = [ord(text[place]) if place < len(text) else 0 for text in texts]
        ids = torch.cat([ids, torch.tensor(step)[:, None]], 1)


def test_the_likeliest_token_is_the_one_that_is_left():
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    found = GreedyNotes(Letters(), rows=1)(torch.zeros(1, 1, dtype=torch.long), logits)
    assert found.tolist() == [[-torch.inf, 2.0, -torch.inf]]


@given(st.text("Acur y\n", max_size=20), st.data())
def test_the_verdict_begins_after_the_piece_that_ends_the_title(notes, data):
    text = f"{notes}{TITLE}: 3.0"
    pieces = []
    while (start := len("".join(pieces))) < len(text):
        pieces.append(text[start : start + data.draw(st.integers(1, 4))])
    begins = verdict_begins(pieces)
    assert TITLE in "".join(pieces[:begins])
    assert TITLE not in "".join(pieces[: begins - 1])


def test_without_a_title_no_token_is_an_action():
    assert verdict_begins(["a", " note"]) == 2
    assert verdict_begins([]) == 0


@pytest.fixture(scope="module")
def drawn_and_greedy(taught, backbone, files, tmp_path_factory):
    """Replies drawn at a high temperature behind greedy notes, and the greedy replies."""
    recipe = tiny_recipe(backbone, *files, policy__notes="greedy", policy__temperature=3.0)
    judged = read_ratings(files[0])
    pictures = store_pictures(taught, judged, recipe.features, tmp_path_factory.mktemp("pictures"))
    examples = CritiqueExamples(pictures, mean_lessons(judged, brief=1.0, seed=0), taught)
    objective = PolicyObjective(
        taught, recipe.policy, max_new_tokens=40, seed=0, reference=taught.adapter_state()
    )
    join = question_joiner(recipe.policy)
    batch = join([examples[row] | {"weight": torch.ones(())} for row in range(3)], 0)
    drawn = objective.sample(batch)
    prompts = prompts_of(batch, taught.processor.pad_id)
    tower = objective.log_probs.language.tower(objective.log_probs.language.seen(batch))
    greedy = taught.generate_ids(prompts, Decoding(max_new_tokens=40), tower=tower)
    return drawn, greedy.tolist()


def test_notes_are_those_of_a_judge_and_scores_are_drawn(drawn_and_greedy):
    drawn, greedy = drawn_and_greedy
    for reply, begins, row in zip(drawn.replies, drawn.begins, greedy, strict=True):
        assert 0 < begins < len(reply)
        assert reply[:begins] == row[:begins]
    assert any(
        reply[begins:] != row[begins : len(reply)]
        for reply, begins, row in zip(drawn.replies, drawn.begins, greedy, strict=True)
    )


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
