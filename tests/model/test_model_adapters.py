"""The visual adapter and its experts against slow references; the shift of the vocabulary."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from skingpt_r1.model.adapters.text import LanguageBias
from skingpt_r1.model.adapters.visual import ExpertLayer, VisualAdapter, mean_over_patches
from skingpt_r1.model.config import AdapterConfig, VisualConfig

LENGTHS = torch.tensor([4, 2])
PATCHES = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))


def adapter(**settings: object) -> VisualAdapter:
    config = VisualConfig(features="tower", embed_dim=16, bottleneck=4, **settings)
    return VisualAdapter(config, feature_dim=10, teacher_dim=7, inject_dim=9)


@pytest.mark.parametrize("layers", ["residual", "experts"])
def test_shapes_and_identity(layers: str) -> None:
    model = adapter(layers=layers, inject=True)
    out = model(PATCHES, LENGTHS)
    assert out.embedding.shape == (2, 16)
    assert out.teacher_projection.shape == (2, 7)
    assert out.tone_logits.shape == (2, 3)
    assert out.injection is not None
    assert out.injection.shape == (6, 9)
    assert not out.injection.any()
    x = model.in_proj(PATCHES)
    expected = torch.stack([x[:4].mean(0), x[4:].mean(0)])
    torch.testing.assert_close(out.embedding, expected)


def test_tone_is_read_from_the_pooled_input() -> None:
    model = adapter()
    for layer in model.layers:
        layer.contract.weight.data.normal_()
    pooled = mean_over_patches(model.in_proj(PATCHES), LENGTHS)
    torch.testing.assert_close(model(PATCHES, LENGTHS).tone_logits, model.tone_classifier(pooled))


def test_residual_layers_have_no_balance() -> None:
    assert float(adapter()(PATCHES, LENGTHS).balance) == 0


def test_balance_is_summed_over_layers() -> None:
    model = adapter(layers="experts")
    for layer in model.layers:
        layer.router_patch.weight.data.zero_()
        layer.router_tone.weight.data.zero_()
    assert model(PATCHES, LENGTHS).balance.item() == pytest.approx(8.0)


def test_no_projection_at_the_teachers_width() -> None:
    model = VisualAdapter(VisualConfig(embed_dim=16), feature_dim=10, teacher_dim=16)
    assert model.out_proj is None
    out = model(PATCHES, LENGTHS)
    assert out.teacher_projection is out.embedding


@pytest.mark.parametrize("layers", ["residual", "experts"])
def test_every_weight_gets_a_gradient(layers: str) -> None:
    torch.manual_seed(0)
    model = adapter(layers=layers, inject=True)
    for value in model.parameters():
        value.data.normal_(0, 0.3)
    out = model(torch.randn(200, 10), torch.tensor([120, 80]))
    total = (
        out.teacher_projection.square().sum()
        + out.tone_logits.square().sum()
        + out.balance
        + out.injection.square().sum()
    )
    total.backward()
    silent = [n for n, v in model.named_parameters() if v.grad is None or not v.grad.any()]
    assert not silent


def test_sizes_of_the_released_code() -> None:
    config = VisualConfig(layers="experts")
    model = VisualAdapter(config, feature_dim=1176)
    bias = LanguageBias(1024, 3584, rank=64, scale_init=1.5)
    count = sum(p.numel() for m in (model, bias) for p in m.parameters())
    assert count == 5_826_916


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="features: tower"):
        VisualConfig(inject=True)
    with pytest.raises(ValidationError, match="experts_per_token"):
        VisualConfig(num_experts=1, experts_per_token=2)
    with pytest.raises(ValidationError, match="extra"):
        AdapterConfig.model_validate({"text_adaptor": "bias"})


def test_language_bias() -> None:
    bias = LanguageBias(6, 5, rank=4, scale_init=1.5)
    embedding = torch.randn(3, 6)
    assert not bias(embedding).any()
    bias.up.weight.data.normal_()
    code = torch.tanh(embedding @ bias.down.weight.T)
    torch.testing.assert_close(bias(embedding), 1.5 * code @ bias.up.weight.T)


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
