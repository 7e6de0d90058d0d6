"""The composed model: the backbone at the start, adapters that matter later, no hidden memory."""

import pytest
import torch
from model_kinds import CONFIGS, batch_of, differs

from skingpt_r1.model.adapters.text import lora_state, merge_lora
from skingpt_r1.model.prompt import Request, encode_prompts

KINDS = pytest.mark.parametrize("kind", CONFIGS)
ADAPTED = 1e-3


def backbone_logits(model, batch):
    ids = batch.input_ids
    return model.backbone(
        input_ids=ids,
        attention_mask=batch.attention_mask,
        pixel_values=batch.pixel_values,
        image_grid_thw=batch.image_grid_thw,
        mm_token_type_ids=(ids == model.backbone.config.image_token_id).int(),
    ).logits


@KINDS
@torch.no_grad()
def test_untrained_is_the_backbone_bit_for_bit(kind, tiny_model, pictures) -> None:
    plain = tiny_model()
    batch = batch_of(plain.processor, pictures)
    expected = backbone_logits(plain, batch)
    model = tiny_model(CONFIGS[kind])
    assert torch.equal(model(**batch._asdict()).logits, expected)


@KINDS
@torch.no_grad()
def test_bias_false_is_the_backbone_after_training(kind, tiny_model, pictures) -> None:
    plain = tiny_model()
    batch = batch_of(plain.processor, pictures)
    model = tiny_model(CONFIGS[kind], stir=True)
    expected = backbone_logits(plain, batch)
    assert torch.equal(model(**batch._asdict(), adapters=False).logits, expected)
    assert differs(model(**batch._asdict()).logits, expected) > ADAPTED


@KINDS
def test_trainable_set_is_the_saved_set(kind, tiny_model) -> None:
    model = tiny_model(CONFIGS[kind])
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == {id(value) for value in model.adapter_state().values()}
    frozen = {n for n, p in model.backbone.named_parameters() if not p.requires_grad}
    assert not any(".lora_" in name for name in frozen)


@KINDS
def test_every_adapter_weight_gets_a_gradient(kind, tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS[kind], stir=True)
    out = model(**batch_of(model.processor, pictures)._asdict())
    terms = [out.logits, out.teacher_projection, out.tone_logits, out.balance]
    sum(term.float().square().mean() for term in terms).backward()
    silent = [name for name, value in model.adapter_state().items() if value.grad is None]
    assert not silent
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


@KINDS
@torch.no_grad()
def test_stored_tower_tokens_replace_the_tower(kind, tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS[kind], stir=True)
    batch = batch_of(model.processor, pictures)
    tokens = model.tower_tokens(batch.pixel_values, batch.image_grid_thw)
    spared = model(**batch._asdict(), tower_tokens=tokens)
    assert torch.equal(spared.logits, model(**batch._asdict()).logits)


@torch.no_grad()
def test_bias_is_one_vector_per_case_at_every_position(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    batch = batch_of(model.processor, pictures)
    out = model(**batch._asdict())
    added = out.logits - model(**batch._asdict(), adapters=False).logits
    embeddings = torch.stack([out.image_embedding[0], out.image_embedding[1:].mean(0)])
    bias = model.language_bias
    code = torch.tanh(embeddings @ bias.down.weight.T)
    expected = bias.scale * code @ bias.up.weight.T @ model.backbone.lm_head.weight.T
    torch.testing.assert_close(added, expected[:, None].expand_as(added), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_vocabulary_mask_limits_the_bias(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    batch = batch_of(model.processor, pictures)
    model.vocabulary_mask = torch.zeros(512)
    plain = model(**batch._asdict(), adapters=False).logits
    assert torch.equal(model(**batch._asdict()).logits, plain)


@torch.no_grad()
def test_images_per_case_is_read_from_the_tokens(tiny_model, pictures) -> None:
    model = tiny_model()
    batch = batch_of(model.processor, pictures)
    counts = model.count_images(batch.input_ids, batch.image_grid_thw)
    assert counts.tolist() == batch.images_per_case.tolist() == [1, 2]
    with pytest.raises(ValueError, match="picture"):
        model.count_images(batch.input_ids, batch.image_grid_thw[:2])
    with pytest.raises(ValueError, match="needs a picture"):
        model(batch.input_ids)


@torch.no_grad()
def test_two_pictures_one_after_the_other(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["lora-inject"], stir=True)
    one = encode_prompts(model.processor, [Request.of(pictures[0])])
    other = encode_prompts(model.processor, [Request.of(pictures[1:3])])
    first = model(**one._asdict()).logits
    model(**other._asdict())
    assert torch.equal(model(**one._asdict()).logits, first)


@torch.no_grad()
def test_hidden_states_lead_to_the_logits(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    batch = batch_of(model.processor, pictures)
    tower = model.tower_tokens(batch.pixel_values, batch.image_grid_thw)
    states = model.hidden_states(
        batch.input_ids, batch.attention_mask, tower.merged, batch.image_grid_thw
    )
    plain = model(**batch._asdict(), adapters=False).logits
    assert torch.equal(model.backbone.lm_head(states), plain)


def test_training_mode_reaches_adapters_only(tiny_model) -> None:
    config = CONFIGS["lora"].model_copy(
        update={"lora": CONFIGS["lora"].lora.model_copy(update={"dropout": 0.5})}
    )
    model = tiny_model(config).train()
    assert model.visual_adapter.training
    assert not model.backbone.model.language_model.layers[0].self_attn.training
    dropouts = [m for n, m in model.backbone.named_modules() if n.endswith("lora_dropout.default")]
    assert dropouts
    assert all(m.training for m in dropouts)
    assert not any(m.training for m in model.eval().modules())


def test_a_step_leaves_the_backbone_as_it_was(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["lora-inject"], stir=True)
    low_rank = {id(p) for p in lora_state(model.backbone).values()}
    frozen = {n: p for n, p in model.backbone.named_parameters() if id(p) not in low_rank}
    before = {name: value.clone() for name, value in frozen.items()}
    optimizer = torch.optim.AdamW(model.adapter_state().values(), lr=0.1)
    out = model(**batch_of(model.processor, pictures)._asdict())
    (out.logits.square().mean() + out.teacher_projection.square().mean()).backward()
    optimizer.step()
    assert all(torch.equal(frozen[name], value) for name, value in before.items())


@pytest.mark.parametrize("kind", ["lora-inject", "lora-tower"])
@torch.no_grad()
def test_merged_matrices_give_the_same_logits(kind, tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS[kind], stir=True)
    batch = batch_of(model.processor, pictures)._asdict()
    adapted, plain = model(**batch).logits, model(**batch, adapters=False).logits
    assert (adapted - plain).abs().max() > 1e-2
    layers = {
        "language": model.backbone.model.language_model.layers[0].self_attn.q_proj,
        "tower": model.backbone.model.visual.blocks[0].attn.proj,
    }
    before = {place: layer.weight.clone() for place, layer in layers.items()}
    merge_lora(model.backbone)
    merge_lora(model.backbone)  # once more changes nothing
    moved = {place for place in layers if not torch.equal(layers[place].weight, before[place])}
    assert moved == ({"language", "tower"} if kind == "lora-tower" else {"language"})
    torch.testing.assert_close(model(**batch).logits, adapted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model(**batch, adapters=False).logits, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model(**batch).logits, adapted, rtol=1e-4, atol=1e-4)
