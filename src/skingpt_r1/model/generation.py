"""How text is generated, and how likely a text is.

Greedy or sampled decoding with the vocabulary bias on every token, streaming, and the likelihood of
candidate answers, where what they share is read once for all of them.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.recipes import Section

ANSWER_OPENS = "<answer>"
ANSWER_CLOSES = "</answer>"
TOKENS_PER_PASS = 512  # of answers read together; memory only, results do not depend on it


class Decoding(Section):
    """How text is generated."""

    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0)  # 0 is greedy
    # when sampling, the smallest set of tokens with this probability is kept
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)  # 1 is none
    seed: int = 42  # of the sampling; the caller's random state is left as it was

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


GREEDY = Decoding()


class GeneratedText(NamedTuple):
    """A text that a model wrote, and what it took."""

    text: str
    is_cut: bool  # the model had not ended it
    input_tokens: int  # read, pictures included
    output_tokens: int  # written, without the end of turn


class Biased(LogitsProcessor):  # type: ignore[misc]  # the library is untyped
    """Adds each case's vocabulary bias, `[cases, V]`, to the logits of every generated token.

    There may be several rows for each case. Logits that are NaN or infinite, which would be read as
    the first token for ever, are refused.
    """

    def __init__(self, bias: Tensor | None) -> None:
        self.bias = bias

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`[rows, V]` to the same."""
        if self.bias is not None:
            scores = scores + self.bias.repeat_interleave(len(scores) // len(self.bias), dim=0)
        # NaN takes the place of the largest; minus infinity bars a token, and some must be left
        refuse_numbers("logits", scores.amax(-1))
        return scores


def refuse_numbers(name: str, values: Tensor) -> None:
    """Stop at model outputs that are NaN or infinite."""
    if not bool(values.isfinite().all()):
        raise CheckpointError(
            f"the model's {name} are not finite (NaN or infinity): its numbers overflow; load it "
            "in float32, or use other weights"
        )


def stream_text(
    tokenizer: PreTrainedTokenizerBase, generate: Callable[..., object]
) -> Iterator[str]:
    """Pieces of the text that `generate` writes, as they come; leaving early stops it.

    `generate` takes `streamer` and `stopping_criteria` of transformers; it runs in a thread.
    """
    streamer = TextIteratorStreamer(
        tokenizer, skip_prompt=True, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    left = Event()

    def stop(input_ids: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.full((len(input_ids),), left.is_set(), device=input_ids.device)

    def run() -> None:
        try:
            generate(streamer=streamer, stopping_criteria=StoppingCriteriaList([stop]))
        finally:
            streamer.end()  # a failure must end the stream too

    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(run)
        try:
            yield from filter(None, streamer)
        finally:
            left.set()
        future.result()


def answer_groups(answers: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
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


def sum_likelihoods(
    backbone: Any,
    logits_of: Callable[[Tensor], Tensor],
    cache: DynamicCache,
    last: Tensor,
    answers: Sequence[Sequence[int]],
    places: Tensor,
) -> Tensor:
    """`[answers]`: log-likelihood of each answer after a prefix that was read.

    The answers run side by side in one row, each seeing the prefix and itself.

    Args:
        logits_of: from last hidden states, `[rows, D]`, to `[rows, V]`.
        cache: keys and values of the prefix; it is left as it was.
        last: `[1, D]`, the last hidden state of the prefix.
        answers: tokens of each answer, none of them empty.
        places: `[3, 1, length + longest answer]`, positions of the prefix and any answer behind it.
    """
    length = cache.get_seq_length()
    states = last.expand(len(answers), -1)
    owner = torch.arange(len(answers))
    targets = torch.tensor([answer[0] for answer in answers])
    # The last token of an answer is predicted and never read.
    read = [answer[:-1] for answer in answers]
    if any(read):
        inside = torch.cat([torch.full((len(row),), n) for n, row in enumerate(read)])
        offset = torch.cat([torch.arange(len(row)) for row in read])
        output = backbone.model(
            input_ids=torch.tensor([[token for row in read for token in row]]).to(last.device),
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
    likely = logits_of(states).float().log_softmax(-1)
    found = likely.gather(1, targets[:, None].to(last.device))[:, 0].cpu()
    return torch.zeros(len(answers)).index_add_(0, owner, found)


def _mask(inside: Tensor, length: int, like: Tensor) -> Tensor:
    """`[1, 1, answers' tokens, prefix + tokens]`: 0 where a token may look, the rest far below.

    A token sees the whole prefix, and of its own answer what stands before it.
    """
    count = len(inside)
    own = (inside[:, None] == inside) & torch.ones(count, count, dtype=torch.bool).tril()
    seen = torch.cat([torch.ones(count, length, dtype=torch.bool), own], dim=1)
    mask = torch.zeros(seen.shape, dtype=like.dtype).masked_fill(~seen, torch.finfo(like.dtype).min)
    return mask[None, None].to(like.device)


class RankedDiagnosis(NamedTuple):
    """One candidate diagnosis."""

    label: str  # as given
    score: float  # mean log-likelihood per token of the label after the reasoning
    probability: float  # softmax of the scores over the candidates


def check_candidates(candidates: Sequence[str], processor: SkinProcessor) -> list[str]:
    """The labels without surrounding spaces; refused when none, twice, empty or control tokens."""
    labels = [label.strip() for label in candidates]
    if not labels or not all(labels) or len(set(labels)) != len(labels):
        raise SkinGPTError(f"candidates must be distinct and not empty; got {list(candidates)}")
    for label in labels:
        processor.refuse_control_tokens(label, f"candidate {label!r}")
    return labels
