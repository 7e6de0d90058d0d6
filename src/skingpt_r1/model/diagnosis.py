"""From pictures to a narrative: asking, streaming, and weighing candidate diagnoses."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.model.contract import ConditionedModel
from skingpt_r1.model.generation import Decoding, generate_ids
from skingpt_r1.model.likelihood import score_answers
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.prompt import Request, encode_prompts, refuse_control_tokens
from skingpt_r1.text.narrative import Narrative, parse_narrative
from skingpt_r1.text.tokens import defused

ANSWER_OPENS = "<answer>"
ANSWER_CLOSES = "</answer>"


class Candidate(NamedTuple):
    """One candidate diagnosis.

    Attributes:
        label: as given.
        score: mean log-likelihood per token of the label after the reasoning.
        probability: softmax of the scores over the candidates.
    """

    label: str
    score: float
    probability: float


def generate_batch(
    model: ConditionedModel, requests: Sequence[Request], *, decoding: Decoding, bias: bool
) -> list[str]:
    """One text per request, decoded together."""
    processor = needed_processor(model)
    if not requests:
        return []
    ids = generate_ids(model, encode_prompts(processor, requests), decoding, bias=bias)
    return [processor.decode(row) for row in ids]


def diagnose(
    model: ConditionedModel,
    request: Request,
    *,
    candidates: Sequence[str] | None,
    decoding: Decoding,
    bias: bool,
) -> Narrative:
    """The narrative of one case; with candidates, its diagnosis is the likeliest of them.

    Raises:
        NarrativeError: the text is not a readable narrative; nothing is guessed.
    """
    if candidates is not None:
        _check_candidates(needed_processor(model), candidates)
    text = generate_batch(model, [request], decoding=decoding, bias=bias)[0]
    if candidates is None:
        return parse_narrative(text)
    reasoning = text.partition(ANSWER_OPENS)[0]
    best = weigh(model, request, reasoning, candidates, bias=bias)[0]
    return parse_narrative(f"{reasoning}{ANSWER_OPENS} {best.label} {ANSWER_CLOSES}")


def rank(
    model: ConditionedModel,
    request: Request,
    candidates: Sequence[str],
    *,
    decoding: Decoding,
    bias: bool,
) -> list[Candidate]:
    """Reason freely, then weigh the candidates; the likeliest first."""
    _check_candidates(needed_processor(model), candidates)
    text = generate_batch(model, [request], decoding=decoding, bias=bias)[0]
    return weigh(model, request, text.partition(ANSWER_OPENS)[0], candidates, bias=bias)


def weigh(
    model: ConditionedModel,
    request: Request,
    reasoning: str,
    candidates: Sequence[str],
    *,
    bias: bool,
) -> list[Candidate]:
    """Candidates in the order of their likelihood as the answer after some reasoning.

    The score is the mean log-likelihood of the tokens of `label </answer>` after the prompt, the
    reasoning and `<answer>`, so that a long name is not at a disadvantage (our choice).

    Raises:
        SkinGPTError: there are no candidates, or one is given twice, empty or holds a control
            token.
    """
    processor = needed_processor(model)
    labels = _check_candidates(processor, candidates)
    opening = _plain_ids(processor, f"{defused(reasoning)}{ANSWER_OPENS}")
    answers = [_plain_ids(processor, f" {label} {ANSWER_CLOSES}") for label in labels]
    batch = encode_prompts(processor, [request])
    scores = score_answers(model, batch, opening, answers, bias=bias)
    order = torch.argsort(scores, descending=True, stable=True).tolist()
    shares = scores.softmax(0)
    return [Candidate(labels[i], float(scores[i]), float(shares[i])) for i in order]


def _check_candidates(processor: SkinProcessor, candidates: Sequence[str]) -> list[str]:
    labels = [label.strip() for label in candidates]
    if not labels or not all(labels) or len(set(labels)) != len(labels):
        raise SkinGPTError(f"candidates must be distinct and not empty; got {list(candidates)}")
    for label in labels:
        refuse_control_tokens(label, f"candidate {label!r}", processor.control_tokens)
    return labels


def stream(
    model: ConditionedModel, request: Request, *, decoding: Decoding, bias: bool
) -> Iterator[str | Narrative]:
    """Pieces of text, then the Narrative. Leaving early stops the generation."""
    processor = needed_processor(model)
    batch = encode_prompts(processor, [request])
    streamer = TextIteratorStreamer(
        processor.tokenizer,
        skip_prompt=True,
        skip_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
    stop = _Stop()

    def run() -> None:
        try:
            generate_ids(
                model,
                batch,
                decoding,
                bias=bias,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([stop]),
            )
        finally:
            streamer.end()  # a failure must end the stream too

    pieces: list[str] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(run)
        try:
            for piece in streamer:
                if piece:
                    pieces.append(piece)
                    yield piece
        finally:
            stop.wanted.set()
        future.result()
    yield parse_narrative("".join(pieces))


def needed_processor(model: ConditionedModel) -> SkinProcessor:
    """The model's processor.

    Raises:
        CheckpointError: the model has none.
    """
    if model.processor is None:
        raise CheckpointError(
            "this model was loaded from a directory without tokenizer files, so it has only "
            "`forward`; add tokenizer.json, tokenizer_config.json and a chat template"
        )
    return model.processor


class _Stop(StoppingCriteria):  # type: ignore[misc]  # the library is untyped
    """Ends the generation when the reader of a stream has left."""

    def __init__(self) -> None:
        self.wanted = Event()

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return torch.full((len(input_ids),), self.wanted.is_set(), device=input_ids.device)


def _plain_ids(processor: SkinProcessor, text: str) -> list[int]:
    ids: list[int] = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
