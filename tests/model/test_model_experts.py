"""The expert layer against a double loop over patches and experts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skingpt_r1.model.adapters.visual import ExpertLayer
from skingpt_r1.model.config import VisualConfig

CONFIG = VisualConfig(layers="experts", embed_dim=12, bottleneck=5)


def stirred(config: VisualConfig = CONFIG, seed: int = 0) -> ExpertLayer:
    layer = ExpertLayer(config)
    generator = torch.Generator().manual_seed(seed)
    for value in layer.parameters():
        value.data.normal_(0, 0.5, generator=generator)
    return layer.double()


def inputs(lengths: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(lengths), 12, generator=generator, dtype=torch.float64)
    tone = torch.randn(len(lengths), 3, generator=generator, dtype=torch.float64).softmax(-1)
    return x, tone, torch.tensor(lengths)


def double_loop(layer: ExpertLayer, x: Tensor, tone: Tensor, lengths: Tensor) -> Tensor:
    """Patch by patch, expert by expert, as the equations say."""
    owner = [image for image, length in enumerate(lengths.tolist()) for _ in range(length)]
    rows = []
    for patch, row in enumerate(x):
        scores = layer.router_patch.weight @ row + layer.router_tone.weight @ tone[owner[patch]]
        probabilities = scores.softmax(-1)
        best = sorted(range(8), key=lambda k: -probabilities[k].item())[:2]
        total = sum(probabilities[k] for k in best) + 1e-6
        out = row
        for k in best:
            hidden = torch.relu(layer.expand_weight[k] @ row + layer.expand_bias[k])
            expert = layer.contract_weight[k] @ hidden + layer.contract_bias[k]
            out = out + probabilities[k] / total * expert
        rows.append(out)
    return torch.stack(rows)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(0, 99))
def test_equals_a_double_loop(lengths: list[int], seed: int) -> None:
    layer, batch = stirred(seed=seed), inputs(lengths, seed)
    fast, _ = layer(*batch)
    torch.testing.assert_close(fast, double_loop(layer, *batch))


def test_gradients_equal_those_of_the_double_loop() -> None:
    layer, batch = stirred(), inputs([4, 3])
    parameters = list(layer.parameters())
    fast = torch.autograd.grad(layer(*batch)[0].square().sum(), parameters)
    slow = torch.autograd.grad(double_loop(layer, *batch).square().sum(), parameters)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other)


def test_balance_equals_numpy() -> None:
    layer, (x, tone, lengths) = stirred(), inputs([5, 2, 7])
    _, balance = layer(x, tone, lengths)
    expected, start = [], 0
    router, tone_router = (
        w.weight.detach().numpy() for w in (layer.router_patch, layer.router_tone)
    )
    for image, length in enumerate(lengths.tolist()):
        rows = x[start : start + length].numpy()
        start += length
        scores = rows @ router.T + tone[image].numpy() @ tone_router.T
        probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        chosen = np.zeros_like(probabilities)
        np.put_along_axis(chosen, np.argsort(-probabilities, axis=1)[:, :2], 1.0, axis=1)
        expected.append(8 * (probabilities.mean(0) * chosen.mean(0)).sum())
    assert balance.item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_even_use_gives_two() -> None:
    layer = ExpertLayer(CONFIG)
    layer.router_patch.weight.data.zero_()
    layer.router_tone.weight.data.zero_()
    _, balance = layer(torch.randn(6, 12), torch.full((1, 3), 1 / 3), torch.tensor([6]))
    assert balance.item() == pytest.approx(2.0)


def test_starts_as_the_identity() -> None:
    x, tone, lengths = inputs([4])
    out, _ = ExpertLayer(CONFIG)(x.float(), tone.float(), lengths)
    assert torch.equal(out, x.float())


def test_pictures_do_not_disturb_each_other() -> None:
    layer, (x, tone, lengths) = stirred(), inputs([4, 3])
    together, _ = layer(x, tone, lengths)
    alone, _ = layer(x[4:], tone[1:], lengths[1:])
    torch.testing.assert_close(together[4:], alone)
