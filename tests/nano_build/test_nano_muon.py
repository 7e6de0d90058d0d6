"""Muon against its own definition, and the schedule that goes with it."""

import pytest
import torch
from tools.nano.schooling import COEFFICIENTS, STEPS, Muon, orthogonalise, schooling_optimizers
from torch import nn


def slow_orthogonalise(matrix):
    """The same polynomial on the singular values, by an SVD."""
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    a, b, c = COEFFICIENTS
    s = s / s.norm()
    for _ in range(STEPS):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag(s) @ v


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_orthogonalise_equals_the_polynomial_of_the_singular_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalise(matrix), slow_orthogonalise(matrix), rtol=0, atol=1e-4)
    assert (torch.linalg.svdvals(orthogonalise(matrix)) - 1).abs().max() < 0.4


def test_step_equals_the_rule_written_out():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 5))
    start, gradients = weight.detach().clone(), [torch.randn(3, 5) for _ in range(3)]
    optimizer = Muon([weight], 0.1, momentum=0.9, weight_decay=0.01)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    expected, mean = start, torch.zeros(3, 5)
    for gradient in gradients:
        mean = 0.9 * mean + 0.1 * gradient
        update = slow_orthogonalise(0.1 * gradient + 0.9 * mean)
        expected = expected * (1 - 0.1 * 0.01) - 0.1 * update
    torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=1e-4)


def test_every_trainable_weight_has_exactly_one_optimizer():
    model = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(4, 4), nn.LayerNorm(4)])})
    model["head"] = nn.Linear(4, 2)
    model["frozen"] = nn.Linear(2, 2).requires_grad_(False)
    optimizers, schedules = schooling_optimizers(
        model, (), learning_rate=1e-3, muon_rate=0.02, steps=10
    )
    held = [p for o in optimizers for group in o.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in held} == {id(p) for p in model.parameters() if p.requires_grad}
    assert [p.shape for p in optimizers[0].param_groups[0]["params"]] == [(4, 4)]
    assert len(schedules) == 2
