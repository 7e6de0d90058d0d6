"""Generation: the same logits as the full forward, alone or in a batch, whole or streamed."""

import pytest
import torch
from model_kinds import CONFIGS, batch_of

from skingpt_r1.errors import CheckpointError, NarrativeError
from skingpt_r1.model.generation import Decoding, VocabularyBias
from skingpt_r1.model.prompt import Request, encode_prompts

SHORT = Decoding(max_new_tokens=12)
KINDS = pytest.mark.parametrize("kind", CONFIGS)


@KINDS
@torch.no_grad()
def test_cached_decoding_equals_the_full_forward(kind, tiny_model, pictures, monkeypatch) -> None:
    model = tiny_model(CONFIGS[kind], stir=True)
    unreached = model.processor.tokenizer.convert_tokens_to_ids("<|video_pad|>")
    monkeypatch.setattr(type(model.processor), "end_id", unreached)
    model.backbone.generation_config.eos_token_id = None
    scores = record_scores(model, monkeypatch)
    batch = batch_of(model.processor, pictures)
    new = model.generate_ids(batch, SHORT)
    assert new.shape == (2, SHORT.max_new_tokens)
    for step in range(SHORT.max_new_tokens):
        ids = torch.cat([batch.input_ids, new[:, :step]], 1)
        mask = torch.cat([batch.attention_mask, torch.ones_like(new[:, :step])], 1)
        full = model(**batch._replace(input_ids=ids, attention_mask=mask)._asdict())
        torch.testing.assert_close(full.logits[:, -1], scores[step], rtol=1e-4, atol=1e-4)


def record_scores(model, monkeypatch) -> list[torch.Tensor]:
    """What each generated token was chosen from, filled while generating."""
    scores: list[torch.Tensor] = []
    generate = model.backbone.generate

    def recording(**arguments):
        output = generate(**arguments, return_dict_in_generate=True, output_scores=True)
        scores.extend(output.scores)
        return output.sequences

    monkeypatch.setattr(model.backbone, "generate", recording)
    return scores


@KINDS
def test_left_padded_batch_equals_one_by_one(kind, tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS[kind], stir=True)
    requests = [
        Request.of(pictures[0]),
        Request.of(pictures[1:3], {"site": "back", "age": "45"}),
        Request.of(pictures[3], {"site": "arm"}),
    ]
    together = model.generate_batch(requests, decoding=SHORT)
    alone = [model.generate_batch([request], decoding=SHORT)[0] for request in requests]
    assert together == alone
    assert len(set(together)) == 3
    assert model.generate_batch([]) == []


def test_bias_false_generates_what_the_backbone_does(tiny_model, pictures) -> None:
    plain = tiny_model()
    requests = [Request.of(pictures[0])]
    expected = plain.generate_batch(requests, decoding=SHORT)
    model = tiny_model(CONFIGS["lora-inject"], stir=True)
    assert model.generate_batch(requests, decoding=SHORT, adapters=False) == expected
    assert model.generate_batch(requests, decoding=SHORT) != expected


def test_generation_leaves_no_trace(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    one, other = Request.of(pictures[0]), Request.of(pictures[1:3])
    first = model.generate_batch([one], decoding=SHORT)
    model.generate_batch([other], decoding=SHORT)
    assert model.generate_batch([one], decoding=SHORT) == first
    assert model.backbone.model.rope_deltas is None


def test_sampling_follows_its_seed_and_spares_the_callers(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    requests = [Request.of(pictures[0])]
    state = torch.random.get_rng_state()
    texts = [
        model.generate_batch(
            requests, decoding=Decoding(max_new_tokens=12, temperature=5.0, top_p=1.0, seed=seed)
        )
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bias_serves_several_rows_per_case() -> None:
    bias = VocabularyBias(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    scores = bias(torch.zeros(4, 1), torch.zeros(4, 2))
    assert scores.tolist() == [[1, 0], [1, 0], [0, 2], [0, 2]]


def test_stream_gives_the_text_in_pieces(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    expected = model.generate_batch([Request.of(pictures[0])], decoding=SHORT)[0]
    pieces = []
    stream = model.stream(pictures[0], decoding=SHORT)
    with pytest.raises(NarrativeError):  # random weights write no narrative
        collect(stream, pieces)
    assert len(pieces) > 1
    assert "".join(pieces).strip() == expected.strip()


def collect(stream, pieces: list[str]) -> None:
    for piece in stream:
        pieces.append(piece)  # noqa: PERF402  what came before an error must be kept


def test_leaving_a_stream_early_stops_the_generation(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    stream = model.stream(pictures[0], decoding=Decoding(max_new_tokens=100_000))
    next(stream)
    stream.close()


def test_a_failure_while_streaming_reaches_the_reader(tiny_model, pictures, monkeypatch) -> None:
    model = tiny_model()

    def fail(**_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.backbone, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(model.stream(pictures[0]))


def test_prompts_are_padded_on_the_left(tiny_model, pictures) -> None:
    processor = tiny_model().processor
    batch = encode_prompts(processor, [Request.of(pictures[0]), Request.of(pictures[:3])])
    assert batch.attention_mask[0, 0] == 0
    assert batch.attention_mask[:, -1].all()
    assert (batch.input_ids[0][batch.attention_mask[0] == 0] == processor.pad_id).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("adapters", [True, False])
def test_logits_that_are_not_finite_stop_the_text(value, adapters, tiny_model, pictures) -> None:
    """As weights in half precision overflow while they run; read on, it is one token for ever."""
    model = tiny_model(CONFIGS["bias"], stir=True)
    with torch.no_grad():
        model.backbone.lm_head.weight[7] = value
    with pytest.raises(CheckpointError, match="logits are not finite"):
        model.generate_batch([Request.of(pictures[0])], decoding=SHORT, adapters=adapters)
    with pytest.raises(CheckpointError, match="logits are not finite"):
        list(model.stream(pictures[0], decoding=SHORT, adapters=adapters))


def test_a_bias_that_is_not_finite_stops_the_text(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    with torch.no_grad():
        model.language_bias.scale.fill_(torch.nan)
    with pytest.raises(CheckpointError, match="logits are not finite"):
        model.generate_batch([Request.of(pictures[0])], decoding=SHORT)
    assert model.generate_batch([Request.of(pictures[0])], decoding=SHORT, adapters=False)


def test_a_text_ends_at_the_end_of_the_turn_whatever_eos_is_named(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"])
    tokenizer = model.processor.tokenizer
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.eos_token = "<|endoftext|>"
    model.backbone.generation_config.eos_token_id = None
    at_once = torch.zeros(1, 512)
    at_once[0, end] = 1e4
    batch = encode_prompts(model.processor, [Request.of(pictures[0])])
    ids = model.generate_ids(batch, SHORT, processors=[VocabularyBias(at_once)])
    assert ids.tolist() == [[end]]
