"""The visual adapter: shapes, the identity at the start, and every layer in use."""

import pytest
import torch
from pydantic import ValidationError

from skingpt_r1.model.adapters.text import LanguageBias
from skingpt_r1.model.adapters.visual import VisualAdapter, mean_over_patches
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
