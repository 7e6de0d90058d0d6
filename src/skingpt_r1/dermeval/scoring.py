"""Judging narratives: a question to the model, a greedy critique, and its scores or a reason.

A reply that cannot be read is asked for again in the other form, once; nothing is drawn at random,
so the same narratives in the same batches get the same scores.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from skingpt_r1.model.diagnosis import needed_processor
from skingpt_r1.model.generation import Decoding, generate_ids
from skingpt_r1.model.prompt import PromptBatch, Request, encode_prompts, longest_input
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.text.content import NO_WORDS, no_content
from skingpt_r1.text.critique import ask_for_critique
from skingpt_r1.text.rubric import Scores, Unscored, parse_scores

Item: TypeAlias = tuple[tuple[Path, ...], str]
Scorer: TypeAlias = Callable[[Sequence[Item]], list[Scores | Unscored]]

MAX_NEW_TOKENS = 256
ASKED_SCALE = 5.0  # the question names it, so that a bare number is never read as one of ten


class Judgement(NamedTuple):
    """What the judge said of one narrative.

    Attributes:
        verdict: the scores, or why there are none.
        text: the reply that the verdict was read from; empty when the narrative was not judged.
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

    A narrative that says nothing is not asked about: the model would find scores for it.

    Args:
        model: an evaluator.
        items: pictures and narrative of each.
        brief: ask for scores alone.
        max_new_tokens: longest critique.
        retry: ask once more, in the other form, where the reply cannot be read.
    """
    known = [_without_content(text) for _, text in items]
    told = [item for item, verdict in zip(items, known, strict=True) if verdict is None]
    replies = iter(_ask(model, told, brief=brief, max_new_tokens=max_new_tokens))
    first = [verdict or next(replies) for verdict in known]
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


def _without_content(text: str) -> Judgement | None:
    why = no_content(text)
    if why is None:
        return None
    return Judgement(Unscored("empty" if why == NO_WORDS else "no_content", why), "", 0)


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
        texts = [text for _, text in items]
        return _ask_one_by_one(model, requests, texts, limit, max_new_tokens)
    replies = _write(model, prompts, max_new_tokens)
    return [_read(reply, text) for reply, (_, text) in zip(replies, items, strict=True)]


def _ask_one_by_one(
    model: SkinGPT,
    requests: Sequence[Request],
    texts: Sequence[str],
    limit: int,
    max_new_tokens: int,
) -> list[Judgement]:
    """A batch with a narrative that is too long: the others are asked on their own."""
    judgements = []
    for request, text in zip(requests, texts, strict=True):
        prompts = encode_prompts(needed_processor(model), [request])
        length = prompts.input_ids.shape[1]
        if length > limit:
            reason = Unscored("too_long", f"{length} tokens, at most {limit}")
            judgements.append(Judgement(reason, "", 0))
        else:
            judgements.append(_read(_write(model, prompts, max_new_tokens)[0], text))
    return judgements


def _write(model: SkinGPT, prompts: PromptBatch, max_new_tokens: int) -> list[str]:
    decoding = Decoding(max_new_tokens=max_new_tokens)
    rows = generate_ids(model, prompts, decoding)
    return [needed_processor(model).decode(row) for row in rows]


def _read(reply: str, text: str) -> Judgement:
    return Judgement(parse_scores(reply, scale=ASKED_SCALE, judged=text), reply, 1)
