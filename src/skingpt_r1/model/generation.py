"""Generation: the vocabulary bias on every token, greedy or sampled, in batches and streamed.

From pictures to a narrative: asking, streaming, and weighing candidate diagnoses.

How likely candidate answers are: what they share is read once, for all of them.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.model.contract import ConditionedModel
from skingpt_r1.model.families.qwen2_5_vl import TowerTokens, picture_outputs
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.prompt import PromptBatch, Request, encode_prompts, refuse_control_tokens
from skingpt_r1.text.narrative import Narrative, parse_narrative
from skingpt_r1.text.tokens import defused


class Decoding(BaseModel):
    """How text is generated.

    Attributes:
        max_new_tokens: upper bound on the answer.
        temperature: 0 is greedy.
        top_p: smallest set of tokens with this probability is kept; used when sampling.
        repetition_penalty: 1 is none.
        seed: of the sampling; the caller's random state is left as it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)
    seed: int = 42

    def generation_config(self, *, end_ids: list[int], pad_id: int) -> GenerationConfig:
        """The library's form of these settings."""
        sampling: dict[str, Any] = {}
        if self.temperature > 0:
            sampling = {"temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=self.temperature > 0,
            repetition_penalty=self.repetition_penalty,
            eos_token_id=end_ids,
            pad_token_id=pad_id,
            **sampling,
        )


class VocabularyBias(LogitsProcessor):  # type: ignore[misc]  # the library is untyped
    """Adds each case's vocabulary bias to the logits of every generated token."""

    def __init__(self, bias: Tensor) -> None:
        """Keep the bias, `[cases, V]`, computed once per case."""
        self.bias = bias

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`[rows, V]` to `[rows, V]`; rows may be a multiple of cases."""
        return scores + self.bias.repeat_interleave(len(scores) // len(self.bias), dim=0)


class FiniteLogits(LogitsProcessor):  # type: ignore[misc]  # the library is untyped
    """Stops at logits that are NaN or infinite, which would be read as the first token for ever."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`[rows, V]`, unchanged.

        Raises:
            CheckpointError: a logit is NaN or infinite; minus infinity bars a token, and some must
                be left.
        """
        refuse_numbers("logits", scores.amax(-1))  # NaN takes the place of the largest
        return scores


def refuse_numbers(name: str, values: Tensor) -> None:
    """Stop at model outputs that are not finite.

    Raises:
        CheckpointError: an element is NaN or infinite.
    """
    if not bool(values.isfinite().all()):
        raise CheckpointError(
            f"the model's {name} are not finite (NaN or infinity): its numbers overflow; load it "
            "in float32, or use other weights"
        )


@torch.no_grad()
def generate_ids(
    model: ConditionedModel,
    batch: PromptBatch,
    decoding: Decoding,
    *,
    bias: bool = True,
    tower: TowerTokens | None = None,
    processors: Sequence[LogitsProcessor] = (),
    **extras: Any,
) -> Tensor:
    """`[cases, new]`: generated token ids; rows that ended early are filled with the pad token.

    Args:
        model: any model; with a processor, its end-of-turn token also ends the text.
        batch: prompts, padded on the left.
        decoding: how to generate.
        bias: False asks the plain backbone.
        tower: what `tower_tokens()` gave, to spare the tower; the batch's pixels are then only
            read by a visual adapter that reads pixels.
        processors: change the logits after the bias, before sampling.
        **extras: handed to the backbone's `generate`: a streamer, stopping criteria.

    Raises:
        CheckpointError: the logits of a token are not finite.
    """
    batch = batch.to(model.device)
    end_ids, pad_id = _end_and_pad(model)
    with model.plain(bias), torch.random.fork_rng(enabled=decoding.temperature > 0):
        torch.manual_seed(decoding.seed) if decoding.temperature > 0 else None
        if tower is None:
            tower = model.tower_tokens(batch.pixel_values, batch.image_grid_thw)
        visual = model.look(batch.pixel_values, tower, batch.image_grid_thw)
        tokens = model.language_tokens(tower, visual, batch.image_grid_thw, bias=bias)
        shift = model.vocabulary_bias(visual.embedding, batch.images_per_case) if bias else None
        ids: Tensor = model.backbone.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=model.positions(
                batch.input_ids, batch.attention_mask, batch.image_grid_thw
            ),
            mm_encoder_outputs=picture_outputs(tokens),
            generation_config=decoding.generation_config(end_ids=end_ids, pad_id=pad_id),
            logits_processor=LogitsProcessorList(
                [*([] if shift is None else [VocabularyBias(shift)]), FiniteLogits(), *processors]
            ),
            **extras,
        )
    return ids[:, batch.input_ids.shape[1] :]


def _end_and_pad(model: ConditionedModel) -> tuple[list[int], int]:
    known = model.backbone.generation_config.eos_token_id
    ends = [] if known is None else [known] if isinstance(known, int) else list(known)
    if model.processor is not None and model.processor.end_id not in ends:
        ends.append(model.processor.end_id)
    pad = model.processor.pad_id if model.processor is not None else (ends or [0])[0]
    return ends, pad


TOKENS_PER_PASS = 512  # of answers read together; memory only, results do not depend on it


@torch.no_grad()
def score_answers(
    model: ConditionedModel,
    batch: PromptBatch,
    opening: Sequence[int],
    answers: Sequence[Sequence[int]],
    *,
    bias: bool,
) -> Tensor:
    """`[answers]`: mean log-likelihood per token of each answer after one prompt and an opening.

    The prompt, its pictures and the opening run through the backbone once; their keys and values
    stay in the cache. The answers then run side by side in one row, each seeing that and itself.

    Args:
        model: any model.
        batch: one prompt.
        opening: tokens that every answer follows, such as a reasoning.
        answers: tokens of each answer, none of them empty.
        bias: False asks the plain backbone.

    Raises:
        CheckpointError: a likelihood is not finite.
    """
    prefix = torch.cat([batch.input_ids[0], torch.tensor(opening, dtype=torch.long)])
    batch = batch.to(model.device)
    with model.plain(bias):
        tower = model.tower_tokens(batch.pixel_values, batch.image_grid_thw)
        visual = model.look(batch.pixel_values, tower, batch.image_grid_thw)
        tokens = model.language_tokens(tower, visual, batch.image_grid_thw, bias=bias)
        shift = model.vocabulary_bias(visual.embedding, batch.images_per_case) if bias else None
        ids = prefix[None].to(model.device)
        longest = max(len(answer) for answer in answers)
        places = _positions(model, ids, batch.image_grid_thw, longest)
        first = model.backbone.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=places[..., : ids.shape[1]],
            mm_encoder_outputs=picture_outputs(tokens),
            past_key_values=DynamicCache(config=model.backbone.config.get_text_config()),
            use_cache=True,
        )
        last = first.last_hidden_state[:, -1]
        sums = [
            _sums(model, first.past_key_values, last, group, places, shift)
            for group in _groups(answers)
        ]
    lengths = torch.tensor([len(answer) for answer in answers])
    likelihoods = torch.cat(sums).cpu() / lengths
    refuse_numbers("likelihoods", likelihoods)
    return likelihoods


def _positions(model: ConditionedModel, ids: Tensor, grids: Tensor, longest: int) -> Tensor:
    """`[3, 1, prefix + longest]`: the places of the prefix and of any answer behind it."""
    # The prefix ends in text, so any text token stands for the answers to come.
    whole = torch.cat([ids, ids[:, -1:].expand(1, longest)], dim=1)
    return model.positions(whole, torch.ones_like(whole), grids)


def _groups(answers: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """The answers in order, as many together as `TOKENS_PER_PASS` allows."""
    group: list[Sequence[int]] = []
    count = 0
    for answer in answers:
        if group and count + len(answer) > TOKENS_PER_PASS:
            yield group
            group, count = [], 0
        group.append(answer)
        count += len(answer)
    yield group


def _sums(
    model: ConditionedModel,
    cache: DynamicCache,
    last: Tensor,
    answers: Sequence[Sequence[int]],
    places: Tensor,
    shift: Tensor | None,
) -> Tensor:
    """`[answers]`: log-likelihood of each answer; the cache is left as it was."""
    length = cache.get_seq_length()
    states = last.expand(len(answers), -1)
    owner = torch.arange(len(answers))
    targets = torch.tensor([answer[0] for answer in answers])
    # The last token of an answer is predicted and never read.
    read = [answer[:-1] for answer in answers]
    if any(read):
        inside = torch.cat([torch.full((len(row),), n) for n, row in enumerate(read)])
        offset = torch.cat([torch.arange(len(row)) for row in read])
        output = model.backbone.model(
            input_ids=torch.tensor([[token for row in read for token in row]]).to(model.device),
            attention_mask=_mask(inside, length, last),
            position_ids=places[..., length + offset],
            past_key_values=cache,
            use_cache=True,
        )
        cache.crop(-len(inside))
        states = torch.cat([states, output.last_hidden_state[0]])
        owner = torch.cat([owner, inside])
        rest = [token for answer in answers for token in answer[1:]]
        targets = torch.cat([targets, torch.tensor(rest)])
    logits = model.backbone.lm_head(states)
    logits = (logits if shift is None else logits + shift).float()
    found = logits.log_softmax(-1).gather(1, targets[:, None].to(model.device))[:, 0]
    return torch.zeros(len(answers), device=found.device).index_add_(
        0, owner.to(found.device), found
    )


def _mask(inside: Tensor, length: int, like: Tensor) -> Tensor:
    """`[1, 1, answers' tokens, prefix + tokens]`: 0 where a token may look, the rest far below.

    A token sees the whole prefix, and of its own answer what stands before it.
    """
    count = len(inside)
    own = (inside[:, None] == inside) & torch.ones(count, count, dtype=torch.bool).tril()
    seen = torch.cat([torch.ones(count, length, dtype=torch.bool), own], dim=1)
    mask = torch.zeros(seen.shape, dtype=like.dtype).masked_fill(~seen, torch.finfo(like.dtype).min)
    return mask[None, None].to(like.device)


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
