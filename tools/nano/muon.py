"""Muon in single precision, for schooling the embedded backbone.

PyTorch's own Muon works in bfloat16, which takes seconds a step on processors without it; otherwise
this is the same rule. Source of coefficients and steps: https://kellerjordan.github.io/posts/muon/
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are about one, by five Newton-Schulz steps.

    Args:
        matrix: [rows, columns], float32.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal; for the matrices inside blocks only."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        defaults = {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                mean = self.state[matrix].setdefault("mean", torch.zeros_like(matrix))
                mean.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalise(torch.lerp(matrix.grad, mean, group["momentum"]))
                stretch = math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * stretch)


def schooling_optimizers(
    model: nn.Module,
    others: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    muon_rate: float,
    steps: int,
) -> tuple[list[torch.optim.Optimizer], list[torch.optim.lr_scheduler.LRScheduler]]:
    """Muon for the trainable matrices inside blocks, AdamW for the rest, both rising and falling.

    Args:
        model: its blocks are what names such as `blocks.0` and `layers.0` contain.
        others: parameters outside the model that learn, too.
        learning_rate: AdamW's peak.
        muon_rate: Muon's peak.
        steps: length of the schedule.
    """
    matrices: list[nn.Parameter] = []
    rest = list(others)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inside = parameter.ndim == 2 and ("blocks." in name or "layers." in name)
            (matrices if inside else rest).append(parameter)
    optimizers = [
        Muon(matrices, muon_rate),
        torch.optim.AdamW(rest, learning_rate, betas=(0.9, 0.98), weight_decay=0.02),
    ]
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, group["lr"], total_steps=steps, pct_start=0.08, cycle_momentum=False
        )
        for optimizer in optimizers
        for group in optimizer.param_groups
    ]
    return optimizers, list(schedules)
