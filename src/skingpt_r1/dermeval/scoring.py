"""Judging narratives: a question to the model, a greedy critique, and its scores or a reason.

A reply that cannot be read is asked for again in the other form, once; nothing is drawn at random,
so the same narratives in the same batches get the same scores.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from skingpt_r1.model.decoding import Decoding, generate_ids
from skingpt_r1.model.diagnosis import needed_processor
from skingpt_r1.model.prompt import PromptBatch, Request, encode_prompts, longest_input
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.phrasing_critique import ask_for_critique
from skingpt_r1.rubric import Scores, Unscored, parse_scores

Item: TypeAlias = tuple[tuple[Path, ...], str]
Scorer: TypeAlias = Callable[[Sequence[Item]], list[Scores | Unscored]]

MAX_NEW_TOKENS = 256
ASKED_SCALE = 5.0  # the question names it, so that a bare number is never read as one of ten


class Judgement(NamedTuple):
    """What the judge said of one narrative.

    Attributes:
        verdict: the scores, or why there are none.
        text: the reply that the verdict was read from; empty when the narrative is too long.
        asked: how often the judge was asked.
    """

    verdict: Scores | Unscored
    text: str
    asked: int


def make_scorer(
    model: SkinGPT,
    *,
    brief: bool = True,
    batch_size: int = 32,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Scorer:
    """A function from narratives with their pictures to scores; for research, not for diagnosis.

    Args:
        model: an evaluator; see `load_evaluator`.
        brief: ask for scores alone, which is faster.
        batch_size: narratives that are judged together.
        max_new_tokens: longest critique.
    """

    def score(items: Sequence[Item]) -> list[Scores | Unscored]:
        found: list[Scores | Unscored] = []
        for start in range(0, len(items), batch_size):
            batch = items[start : start + batch_size]
            judged = judge(model, batch, brief=brief, max_new_tokens=max_new_tokens)
            found += [judgement.verdict for judgement in judged]
        return found

    return score


def judge(
    model: SkinGPT,
    items: Sequence[Item],
    *,
    brief: bool,
    max_new_tokens: int = MAX_NEW_TOKENS,
    retry: bool = True,
) -> list[Judgement]:
    """Judge one batch of narratives.

    Args:
        model: an evaluator.
        items: pictures and narrative of each.
        brief: ask for scores alone.
        max_new_tokens: longest critique.
        retry: ask once more, in the other form, where the reply cannot be read.
    """
    first = _ask(model, items, brief=brief, max_new_tokens=max_new_tokens)
    again = [
        at
        for at, judgement in enumerate(first)
        if retry and judgement.asked and isinstance(judgement.verdict, Unscored)
    ]
    second = _ask(
        model, [items[at] for at in again], brief=not brief, max_new_tokens=max_new_tokens
    )
    for at, judgement in zip(again, second, strict=True):
        first[at] = judgement._replace(asked=2)
    return first


def _ask(
    model: SkinGPT, items: Sequence[Item], *, brief: bool, max_new_tokens: int
) -> list[Judgement]:
    if not items:
        return []
    requests = [
        Request(files, question=ask_for_critique(text, brief=brief)) for files, text in items
    ]
    prompts = encode_prompts(needed_processor(model), requests)
    limit = longest_input(model) - max_new_tokens
    if int(prompts.attention_mask.sum(-1).max()) > limit:
        return _ask_one_by_one(model, requests, limit, max_new_tokens)
    return [_read(text) for text in _write(model, prompts, max_new_tokens)]


def _ask_one_by_one(
    model: SkinGPT, requests: Sequence[Request], limit: int, max_new_tokens: int
) -> list[Judgement]:
    """A batch with a narrative that is too long: the others are asked on their own."""
    judgements = []
    for request in requests:
        prompts = encode_prompts(needed_processor(model), [request])
        length = prompts.input_ids.shape[1]
        if length > limit:
            reason = Unscored("too_long", f"{length} tokens, at most {limit}")
            judgements.append(Judgement(reason, "", 0))
        else:
            judgements.append(_read(_write(model, prompts, max_new_tokens)[0]))
    return judgements


def _write(model: SkinGPT, prompts: PromptBatch, max_new_tokens: int) -> list[str]:
    decoding = Decoding(max_new_tokens=max_new_tokens)
    rows = generate_ids(model, prompts, decoding)
    return [needed_processor(model).decode(row) for row in rows]


def _read(text: str) -> Judgement:
    return Judgement(parse_scores(text, scale=ASKED_SCALE), text, 1)
