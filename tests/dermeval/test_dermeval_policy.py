"""The score-oriented stage against slow references: draws, probabilities, gradient, baseline."""

import math

import pytest
import torch
from tiny_evaluator import tiny_recipe

from skingpt_r1.dermeval.examples import (
    CritiqueExamples,
    mean_lessons,
    rater_lessons,
    store_pictures,
)
from skingpt_r1.dermeval.policy import (
    PolicyObjective,
    PolicyWeights,
    picture_tokens,
    question_joiner,
    score_lines,
    squared_error_rewards,
    token_lines,
)
from skingpt_r1.dermeval.sampling import cut_reply, digit_tokens
from skingpt_r1.distill.losses import combine
from skingpt_r1.errors import RecordError, SkinGPTError
from skingpt_r1.model.prompt import Request, encode_example
from skingpt_r1.ratings.rating import read_ratings
from skingpt_r1.text.rubric import DIMENSIONS, Scores, parse_some_scores
from skingpt_r1.text.wording import ask_for_critique, write_critique

MAX_NEW = 60


@pytest.fixture(scope="module")
def judged(files):
    return read_ratings(files[0])


@pytest.fixture(scope="module")
def examples(taught, backbone, files, judged, tmp_path_factory):
    recipe = tiny_recipe(backbone, *files)
    pictures = store_pictures(taught, judged, recipe.features, tmp_path_factory.mktemp("pictures"))
    return CritiqueExamples(pictures, mean_lessons(judged, brief=1.0, seed=0), taught)


def objective(model, backbone, files, **changes):
    places = {f"policy__{name}": value for name, value in changes.items()}
    recipe = tiny_recipe(backbone, *files, **places).policy
    reference = model.adapter_state()
    made = PolicyObjective(model, recipe, max_new_tokens=MAX_NEW, seed=3, reference=reference)
    return (
        made,
        question_joiner(recipe),
        PolicyWeights(divergence=recipe.kl, supervised=recipe.supervised),
    )


def joined(examples, join, rows=(0, 1, 2)):
    return join([examples[row] | {"weight": torch.ones(())} for row in rows], 0)


def test_an_example_is_what_the_plain_path_encodes(examples, taught, judged):
    for row in range(3):
        item, lesson = judged[row], examples.lessons[row]
        request = Request(item.images, question=ask_for_critique(item.text, brief=lesson.brief))
        target = write_critique(item.mean, brief=lesson.brief)
        plain = encode_example(taught.processor, request, target)
        found = examples[row]
        assert found["input_ids"].tolist() == plain.prompt + plain.answer
        assert found["targets"].tolist() == plain.answer
        assert found["grids"].tolist() == plain.pictures.image_grid_thw.tolist()
        assert found["scores"][0].tolist() == pytest.approx(item.mean.values)


def test_one_example_for_each_row_and_both_forms(judged):
    lessons = rater_lessons(judged, brief=0.5, seed=0)
    assert len(lessons) == sum(len(item.ratings) for item in judged)
    assert {lesson.brief for lesson in lessons} == {True, False}
    assert lessons == rater_lessons(judged, brief=0.5, seed=0)
    assert not any(lesson.brief for lesson in rater_lessons(judged, brief=0.0, seed=0))


def test_a_control_token_in_what_is_taught_is_refused(examples, taught, judged):
    lesson = examples.lessons[0]
    scores = Scores(lesson.scores.values, rationales={"Accuracy": "It fits.<|im_end|>"})
    wrong = type(lesson)(0, lesson.text, False, scores)
    with pytest.raises(SkinGPTError, match="must not contain control tokens"):
        CritiqueExamples(examples.pictures, [lesson, wrong], taught)
    judged_only = type(lesson)(0, "A plaque.<|image_pad|>", False, lesson.scores)
    assert len(CritiqueExamples(examples.pictures, [judged_only], taught)[0]["input_ids"])


def test_a_narrative_that_is_too_long_is_named(examples, taught, judged):
    lesson = examples.lessons[0]
    long = type(lesson)(0, "lesion " * taught.longest_input, True, lesson.scores)
    with pytest.raises(RecordError, match="1 narratives are longer than the"):
        CritiqueExamples(examples.pictures, [lesson, long], taught)


@pytest.mark.parametrize(
    ("row", "cut"), [([5, 6, 1, 0, 0], [5, 6, 1]), ([5, 0, 0], [5, 0]), ([5, 6], [5, 6])]
)
def test_replies_end_with_their_first_end(row, cut):
    assert cut_reply(row, frozenset((0, 1))) == cut


def slow_rows(model, item, brief, reply):
    """Log-probabilities of all tokens in every place of a reply, by the composed model."""
    request = Request(item.images, question=ask_for_critique(item.text, brief=brief))
    plain = encode_example(model.processor, request, "")
    prompt = plain.prompt
    ids = torch.tensor([[*prompt, *reply]])
    logits = model(
        input_ids=ids,
        pixel_values=plain.pictures.pixel_values,
        image_grid_thw=plain.pictures.image_grid_thw,
    ).logits[0]
    logits[:, picture_tokens(model)] = -torch.inf  # never drawn
    return torch.log_softmax(logits[len(prompt) - 1 : -1].float(), -1)


def slow_log_probs(model, item, brief, reply):
    """Of the tokens of a reply, one after the other."""
    rows = slow_rows(model, item, brief, reply)
    return [rows[place][token] for place, token in enumerate(reply)]


@pytest.mark.parametrize("notes", ["sampled", "greedy"])
def test_loss_and_gradient_are_those_of_the_whole_model(
    notes, taught, backbone, files, examples, judged
):
    policy, join, weights = objective(taught, backbone, files, kl=0.0, supervised=0.0, notes=notes)
    batch = joined(examples, join)
    drawn = policy.sample(batch)
    policy.draws.zero_()
    usual = [-0.5, -0.4, -0.3, -0.6, -0.7, -0.5]
    policy.baseline.copy_(torch.tensor([*usual, 1.0]))
    loss = combine(policy(batch), weights)
    loss.backward()
    found = {
        name: p.grad.clone() for name, p in taught.adapter_state().items() if p.grad is not None
    }
    taught.zero_grad()
    slow = 0.0
    for row, reply in enumerate(drawn.replies):
        scores = parse_some_scores(taught.processor.decode(reply), scale=5)
        rewards = squared_error_rewards(scores, judged[row].mean.values, -25.0)
        assert rewards == pytest.approx(drawn.rewards[row].tolist(), abs=1e-5)
        log_probs = slow_log_probs(taught, judged[row], True, reply)
        written = taught.processor.decode(reply).find(DIMENSIONS[0])
        assert written >= 0
        for place, log_prob in enumerate(log_probs):
            if notes == "greedy" and len(taught.processor.decode(reply[:place])) < written + len(
                DIMENSIONS[0]
            ):
                continue
            line = taught.processor.decode(reply[:place]).count("\n")
            gain = sum(
                reward - often
                for reward, often, decided in zip(rewards, usual, drawn.decided[row], strict=True)
                if decided >= line
            )
            slow = slow - gain * log_prob / 3
    slow.backward()
    assert float(loss.detach()) == pytest.approx(float(slow.detach()), rel=1e-4)
    for name, parameter in taught.adapter_state().items():
        if parameter.grad is not None:
            assert torch.allclose(found[name], parameter.grad, rtol=1e-3, atol=1e-5), name
    taught.zero_grad()


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    found = {n: p.grad.clone() for n, p in model.adapter_state().items() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("left_out", ["charged", "published"])
def test_expected_rewards_are_those_of_the_digits_that_the_whole_model_may_write(
    taught, backbone, files, examples, judged, left_out
):
    changes = {"kl": 0.0, "supervised": 0.0, "scores": "expected", "words": 0.0}
    changes["left_out"] = left_out
    policy, join, weights = objective(taught, backbone, files, **changes)
    batch = joined(examples, join)
    drawn = policy.sample(batch)
    policy.draws.zero_()
    found = gradients(taught, combine(policy(batch), weights))
    digits = torch.tensor(digit_tokens(taught.processor))
    values = torch.arange(10.0)
    slow, scores = torch.zeros(()), 0
    for reply, places, item in zip(drawn.replies, drawn.digits, judged, strict=False):
        rows = slow_rows(taught, item, True, reply)[:, digits]
        parsed = parse_some_scores(taught.processor.decode(reply), scale=5)
        share = 1 / (6 if left_out == "charged" else max(len(parsed), 1))
        for place, target in zip(places, item.mean.values, strict=True):
            if place is None:
                continue
            scores += 1
            table = -share * (values[:, None] + values / 10 - target) ** 2
            decimal, whole = (rows[place.at + step].softmax(-1) for step in (2, 0))
            expected = (decimal * table[place.whole]).sum()
            guess = table.mean(1)
            surprise = float(expected.detach() - guess[place.whole])
            slow = slow - expected - (whole * guess).sum() - surprise * whole[place.whole].log()
    assert scores  # some of the small tokenizer's scores are digit, point and digit
    for name, gradient in gradients(taught, slow / 3).items():
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-5), name


def test_draws_repeat_with_the_counter_and_differ_between_batches(
    taught, backbone, files, examples
):
    policy, join, _ = objective(taught, backbone, files, temperature=2.0)
    batch = joined(examples, join)
    first, second = policy.sample(batch), policy.sample(batch)
    assert first.replies != second.replies
    policy.draws.zero_()
    assert policy.sample(batch).replies == first.replies


def test_the_baseline_begins_at_the_first_mean_and_then_moves(taught, backbone, files, examples):
    policy, join, _ = objective(taught, backbone, files, momentum=0.75)
    batch = joined(examples, join)
    policy(batch)
    first = policy.baseline.clone()
    assert first[-1] == 1
    policy.draws.zero_()
    assert policy.sample(batch).rewards.mean(0).tolist() == pytest.approx(first[:-1].tolist())
    terms = policy(batch)
    mean = float(terms.reward.total) / 3
    usual, before = float(policy.baseline[:-1].sum()), float(first[:-1].sum())
    assert usual == pytest.approx(0.75 * before + 0.25 * mean)


def test_the_divergence_is_zero_at_the_supervised_weights_and_grows_away_from_them(
    taught, backbone, files, examples
):
    policy, join, _ = objective(taught, backbone, files, kl=1.0)
    batch = joined(examples, join)
    assert float(policy(batch).divergence.total.detach()) == pytest.approx(0, abs=1e-5)
    before = {name: p.detach().clone() for name, p in taught.adapter_state().items()}
    with torch.no_grad():
        for parameter in taught.adapter_state().values():
            parameter.add_(0.02 * torch.randn_like(parameter))
    assert float(policy(batch).divergence.total.detach()) > 1e-4
    with torch.no_grad():
        for name, parameter in taught.adapter_state().items():
            parameter.copy_(before[name])


def test_unparsed_replies_get_their_reward_or_are_left_out(taught, backbone, files, examples):
    for reward in (-2.5, None):
        recipe = tiny_recipe(backbone, *files, policy__unparsed_reward=reward).policy
        reference = taught.adapter_state()
        policy = PolicyObjective(taught, recipe, max_new_tokens=1, seed=0, reference=reference)
        drawn = policy.sample(joined(examples, question_joiner(recipe)))
        assert drawn.parsed.count(0) == 3
        totals = [math.fsum(row) for row in drawn.rewards.tolist()]
        assert all(math.isnan(r) if reward is None else r == reward for r in totals)
        terms = policy(joined(examples, question_joiner(recipe)))
        assert float(terms.policy.total.detach()) == 0
        assert float(terms.unparsed.total) == 3


def test_terms_that_weigh_nothing_are_not_counted(taught, backbone, files, examples):
    _, join, _ = objective(taught, backbone, files, kl=0.0, supervised=0.0)
    assert joined(examples, join)["counts"].tolist() == [3, 0, 0, 3, 3]
    _, join, _ = objective(taught, backbone, files, kl=0.1, supervised=0.1)
    counts = joined(examples, join)["counts"].tolist()
    assert counts == [3, 3, len(joined(examples, join)["targets"]), 3, 3]


def test_a_score_stands_from_the_line_that_the_parser_takes_it_from():
    scores = dict(zip(DIMENSIONS, (4.0, 3.0, 2.0, 1.0, 5.0, 4.5), strict=True))
    lines = [
        "a note",
        *[f"{name}: {value}" for name, value in scores.items()],
        "Overall Score: 3.3",
    ]
    assert score_lines("\n".join(lines)) == [1, 2, 3, 4, 5, 6]
    assert score_lines("\n".join(lines[:4])) == [1, 2, 3, 4, 4, 4]
    again = [*lines, *[f"{name}: 1.0" for name in scores], "Overall Score: 1.0"]
    assert score_lines("\n".join(again)) == [8, 9, 10, 11, 12, 13]
    assert score_lines("nothing to read") == [1] * 6


def test_a_line_break_belongs_to_the_line_that_it_ends():
    assert token_lines(["a", " b", "\n", "c\n", "d", ""]) == [0, 0, 0, 1, 2, 2]
