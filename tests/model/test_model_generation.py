"""Generation: equal to the full forward, alone, in a batch or streamed; narratives; candidates."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_kinds import CONFIGS, batch_of

from skingpt_r1.errors import CheckpointError, NarrativeError, SkinGPTError
from skingpt_r1.model import generation as likelihood
from skingpt_r1.model.generation import Biased, Decoding
from skingpt_r1.model.prompt import Request, encode_prompts
from skingpt_r1.text.narrative import Narrative, make_narrative

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
    together = model.write(requests, decoding=SHORT)
    alone = [model.write([request], decoding=SHORT)[0] for request in requests]
    assert together == alone
    assert len(set(together)) == 3
    assert model.write([]) == []


def test_bias_false_generates_what_the_backbone_does(tiny_model, pictures) -> None:
    plain = tiny_model()
    requests = [Request.of(pictures[0])]
    expected = plain.write(requests, decoding=SHORT)
    model = tiny_model(CONFIGS["lora-inject"], stir=True)
    assert model.write(requests, decoding=SHORT, adapters=False) == expected
    assert model.write(requests, decoding=SHORT) != expected


def test_generation_leaves_no_trace(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    one, other = Request.of(pictures[0]), Request.of(pictures[1:3])
    first = model.write([one], decoding=SHORT)
    model.write([other], decoding=SHORT)
    assert model.write([one], decoding=SHORT) == first
    assert model.backbone.model.rope_deltas is None


def test_sampling_follows_its_seed_and_spares_the_callers(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    requests = [Request.of(pictures[0])]
    state = torch.random.get_rng_state()
    texts = [
        model.write(
            requests, decoding=Decoding(max_new_tokens=12, temperature=5.0, top_p=1.0, seed=seed)
        )
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bias_serves_several_rows_per_case() -> None:
    bias = Biased(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    scores = bias(torch.zeros(4, 1), torch.zeros(4, 2))
    assert scores.tolist() == [[1, 0], [1, 0], [0, 2], [0, 2]]


def test_stream_gives_the_text_in_pieces(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    expected = model.write([Request.of(pictures[0])], decoding=SHORT)[0].text
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
        model.write([Request.of(pictures[0])], decoding=SHORT, adapters=adapters)
    with pytest.raises(CheckpointError, match="logits are not finite"):
        list(model.stream(pictures[0], decoding=SHORT, adapters=adapters))


def test_a_bias_that_is_not_finite_stops_the_text(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    with torch.no_grad():
        model.language_bias.scale.fill_(torch.nan)
    with pytest.raises(CheckpointError, match="logits are not finite"):
        model.write([Request.of(pictures[0])], decoding=SHORT)
    assert model.write([Request.of(pictures[0])], decoding=SHORT, adapters=False)


def test_a_text_ends_at_the_end_of_the_turn_whatever_eos_is_named(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"])
    tokenizer = model.processor.tokenizer
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.eos_token = "<|endoftext|>"
    model.backbone.generation_config.eos_token_id = None
    at_once = torch.zeros(1, 512)
    at_once[0, end] = 1e4
    batch = encode_prompts(model.processor, [Request.of(pictures[0])])
    ids = model.generate_ids(batch, SHORT, processors=[Biased(at_once)])
    assert ids.tolist() == [[end]]


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


BRIEF = Decoding(max_new_tokens=4)
WRITTEN = make_narrative("one red papule", "this fits a wart", "wart", ["naevus"])


@pytest.fixture
def writer(tiny_model, monkeypatch):
    """A model whose generation gives a fixed text."""
    model = tiny_model(CONFIGS["bias"], stir=True)
    said = {"text": WRITTEN.text}

    def generate_ids(batch, decoding, *, adapters, streamer=None, **_):
        ids = model.processor.tokenizer(said["text"])["input_ids"]
        if streamer is not None:
            streamer.put(batch.input_ids[0])
            for identity in ids:
                streamer.put(torch.tensor([identity]))
            streamer.end()
        return torch.tensor([ids] * len(batch.input_ids))

    monkeypatch.setattr(model, "generate_ids", generate_ids)
    model.said = said
    return model


def test_diagnose_gives_the_narrative(writer, pictures) -> None:
    assert writer.diagnose(pictures[0]) == WRITTEN


def test_diagnose_never_guesses(writer, pictures) -> None:
    writer.said["text"] = "it could be anything"
    with pytest.raises(NarrativeError) as caught:
        writer.diagnose(pictures[0])
    assert caught.value.reason


def test_stream_ends_with_the_narrative(writer, pictures) -> None:
    *pieces, last = writer.stream(pictures[0])
    assert isinstance(last, Narrative)
    assert last == WRITTEN
    assert "".join(pieces) == WRITTEN.text


@pytest.mark.parametrize(
    "label", ["<|image_pad|>", "wart<|im_end|>", "＜|vision_start|＞", "wart</s>"]
)
def test_candidates_with_control_tokens_are_refused(label, writer, pictures) -> None:
    with pytest.raises(SkinGPTError, match=r"candidate .* must not contain control tokens"):
        writer.diagnose(pictures[0], candidates=["nevus", label])


def test_candidates_replace_the_answer_only(writer, pictures) -> None:
    labels = ["naevus", "wart", "a scalp ringworm with crusts"]
    reasoning = WRITTEN.text.partition("<answer>")[0]
    ranked = writer.weigh(Request.of(pictures[0]), reasoning, labels)
    assert {candidate.label for candidate in ranked} == set(labels)
    assert sum(c.probability for c in ranked) == pytest.approx(1, abs=1e-5)
    assert [c.score for c in ranked] == sorted((c.score for c in ranked), reverse=True)
    narrative = writer.diagnose(pictures[0], candidates=labels)
    assert narrative.diagnosis == ranked[0].label
    assert (narrative.observation, narrative.reasoning) == (WRITTEN.observation, WRITTEN.reasoning)


@torch.no_grad()
def test_scores_are_mean_log_likelihoods(tiny_model, pictures) -> None:
    model = tiny_model(CONFIGS["bias"], stir=True)
    batch = encode_prompts(model.processor, [Request.of(pictures[0])])
    opening, answers = [40, 41], [[50, 51, 52], [60]]
    scores = model.score_answers(batch, opening, answers, adapters=True)
    for score, answer in zip(scores, answers, strict=True):
        ids = torch.tensor([batch.input_ids[0].tolist() + opening + answer])
        full = model(ids, None, batch.pixel_values, batch.image_grid_thw).logits.log_softmax(-1)
        first = ids.shape[1] - len(answer)
        expected = [full[0, first - 1 + i, token] for i, token in enumerate(answer)]
        torch.testing.assert_close(score, torch.stack(expected).mean())


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a", " "]])
def test_impossible_candidates(labels, writer, pictures) -> None:
    with pytest.raises(SkinGPTError, match="candidates"):
        writer.diagnose(pictures[0], candidates=labels)


def test_without_a_tokenizer_only_forward_works(tiny_model, pictures) -> None:
    model = tiny_model()
    model.processor = None
    with pytest.raises(CheckpointError, match="tokenizer"):
        model.diagnose(pictures[0])


def test_no_picture(tiny_model) -> None:
    with pytest.raises(SkinGPTError, match="at least one picture"):
        tiny_model().diagnose([])
