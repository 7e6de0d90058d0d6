"""Diagnosis: a readable narrative or a named reason, and the likeliest of given candidates."""

import pytest
import torch
from model_kinds import CONFIGS

from skingpt_r1.errors import CheckpointError, NarrativeError, SkinGPTError
from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.prompt import Request, encode_prompts
from skingpt_r1.text.narrative import Narrative, make_narrative

SHORT = Decoding(max_new_tokens=4)
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
    ranked = writer.rank(pictures[0], labels)
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
