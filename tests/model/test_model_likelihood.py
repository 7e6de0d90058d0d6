"""Candidate answers with a shared prefix equal each answer alone, on every kind of adapter."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_kinds import CONFIGS

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model import generation as likelihood
from skingpt_r1.model.prompt import Request, encode_prompts

ANSWERS = [[50, 51, 52], [60], [50, 51, 53, 54, 55, 56], [61, 50], [50, 51, 52]]
OPENING = [40, 41, 42]


@torch.no_grad()
def alone(model, batch, opening, answers, *, adapters):
    """The plain path: one full forward pass for each answer."""
    scores = []
    for answer in answers:
        ids = torch.tensor([[*batch.input_ids[0].tolist(), *opening, *answer]])
        logits = model(
            ids,
            None,
            batch.pixel_values,
            batch.image_grid_thw,
            images_per_case=batch.images_per_case,
            adapters=adapters,
        ).logits.log_softmax(-1)
        first = ids.shape[1] - len(answer)
        scores.append(
            torch.stack([logits[0, first - 1 + n, t] for n, t in enumerate(answer)]).mean()
        )
    return torch.stack(scores)


@pytest.mark.parametrize("adapters", [True, False])
@pytest.mark.parametrize("kind", CONFIGS)
def test_shared_prefix_equals_each_alone(kind, adapters, tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS[kind], stir=True)
    request = Request.of(pictures[1:3], {"site": "back"})
    batch = encode_prompts(model.processor, [request])
    found = model.score_answers(batch, OPENING, ANSWERS, adapters=adapters)
    expected = alone(model, batch, OPENING, ANSWERS, adapters=adapters)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found[0] == pytest.approx(float(found[4]), abs=1e-5)


@pytest.mark.parametrize("tokens", [1, 4, 512])
def test_the_size_of_a_pass_changes_nothing(tokens, tiny_model, pictures, monkeypatch) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    batch = encode_prompts(model.processor, [Request.of(pictures[0])])
    expected = alone(model, batch, [], ANSWERS, adapters=True)
    monkeypatch.setattr(likelihood, "TOKENS_PER_PASS", tokens)
    found = model.score_answers(batch, [], ANSWERS, adapters=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(st.integers(20, 400), min_size=1, max_size=7), min_size=1, max_size=8))
def test_any_answers(tiny_model, pictures, answers) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    batch = encode_prompts(model.processor, [Request.of(pictures[0])])
    found = model.score_answers(batch, OPENING, answers, adapters=True)
    expected = alone(model, batch, OPENING, answers, adapters=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_likelihoods_that_are_not_finite_are_an_error(value, tiny_model, pictures) -> None:
    """No candidate is the likeliest of numbers that are none."""
    model = tiny_model(CONFIGS["bias"], stir=True)
    with torch.no_grad():
        model.language_bias.scale.fill_(value)
    batch = encode_prompts(model.processor, [Request.of(pictures[0])])
    with pytest.raises(CheckpointError, match="likelihoods are not finite"):
        model.score_answers(batch, OPENING, ANSWERS, adapters=True)
    assert model.score_answers(batch, OPENING, ANSWERS, adapters=False).isfinite().all()
