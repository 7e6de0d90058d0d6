"""Judging narratives: a question to the model, a greedy critique, and its scores or a reason.

A reply that cannot be read is asked for again in the other form, once; no step is random, so the
same narratives in the same batches get the same scores. A file is scored into a run folder,
resumably:

run.json        the model, the file's hash, the form that is asked for
ratings.jsonl   one row for each narrative, in the file's order: scores, or why there are none
results.json    counts and means
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.prompt import PromptBatch, Request, encode_prompts
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.ratings.rating import (
    SCORE_COLUMNS,
    FileRating,
    Rating,
    RatingScores,
    Rationales,
    Text,
    file_row,
    one_or_all,
    read_rating_rows,
    read_texts,
)
from skingpt_r1.records import ResultRow, sha256_file, start_run, write_results
from skingpt_r1.runs import Count, own_run, picture_name, run_in_order
from skingpt_r1.text.giveaways import NO_WORDS, no_content
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored, parse_scores
from skingpt_r1.text.wording import ask_for_critique

Item: TypeAlias = tuple[tuple[Path, ...], str]
Scorer: TypeAlias = Callable[[Sequence[Item]], list[Scores | Unscored]]

MAX_NEW_TOKENS = 256
ASKED_SCALE = 5.0  # the question names it, so that a bare number is never read as one of ten


class Critique(NamedTuple):
    """What the judge said of one narrative."""

    verdict: Scores | Unscored  # the scores, or why there are none
    text: str  # the reply that the verdict was read from; empty when the narrative was not judged
    asked: int  # how often the judge was asked


def make_scorer(model: SkinGPT, *, brief: bool = True, batch_size: int = 32) -> Scorer:
    """A function from narratives with their pictures to scores; for research, not for diagnosis.

    `brief` asks for scores alone, which is faster; so many narratives are judged together.
    """

    def score(items: Sequence[Item]) -> list[Scores | Unscored]:
        batches = (items[at : at + batch_size] for at in range(0, len(items), batch_size))
        return [found.verdict for batch in batches for found in judge(model, batch, brief=brief)]

    return score


def judge(
    model: SkinGPT,
    items: Sequence[Item],
    *,
    brief: bool,
    max_new_tokens: int = MAX_NEW_TOKENS,
    retry: bool = True,
) -> list[Critique]:
    """Judge one batch of narratives; for research, not for diagnosis.

    A narrative that says nothing is not asked about: the model would find scores for it.

    Args:
        model: an evaluator.
        items: pictures and narrative of each.
        brief: ask for scores alone.
        max_new_tokens: longest critique.
        retry: ask once more, in the other form, where the reply cannot be read.
    """
    found = [_without_content(text) for _, text in items]
    for form in (brief, not brief) if retry else (brief,):
        open_ = [
            at
            for at, critique in enumerate(found)
            if critique is None or (critique.asked and isinstance(critique.verdict, Unscored))
        ]
        replies = _ask(model, [items[at] for at in open_], form, max_new_tokens)
        for at, reply in zip(open_, replies, strict=True):
            found[at] = reply if found[at] is None else reply._replace(asked=2)
    return [critique for critique in found if critique is not None]


def _without_content(text: str) -> Critique | None:
    why = no_content(text)
    if why is None:
        return None
    return Critique(Unscored("empty" if why == NO_WORDS else "no_content", why), "", 0)


def _ask(model: SkinGPT, items: Sequence[Item], brief: bool, max_new_tokens: int) -> list[Critique]:
    """The critiques of a batch; with a narrative that is too long in it, each is asked alone."""
    if not items:
        return []
    requests = [
        Request(files, question=ask_for_critique(text, brief=brief)) for files, text in items
    ]
    prompts = encode_prompts(model.needed_processor, requests)
    limit = model.longest_input - max_new_tokens
    longest = int(prompts.attention_mask.sum(-1).max())
    if longest <= limit:
        replies = _write(model, prompts, max_new_tokens)
        return [_read(reply, text) for reply, (_, text) in zip(replies, items, strict=True)]
    if len(items) > 1:
        return [_ask(model, [item], brief, max_new_tokens)[0] for item in items]
    return [Critique(Unscored("too_long", f"{longest} tokens, at most {limit}"), "", 0)]


def _write(model: SkinGPT, prompts: PromptBatch, max_new_tokens: int) -> list[str]:
    rows = model.generate_ids(prompts, Decoding(max_new_tokens=max_new_tokens))
    return [model.needed_processor.decode(row) for row in rows]


def _read(reply: str, text: str) -> Critique:
    return Critique(parse_scores(reply, scale=ASKED_SCALE, judged=text), reply, 1)


RATINGS_FILE = "ratings.jsonl"


class ScoredFile(NamedTuple):
    """What came of a file."""

    path: Path  # the rating file that was written
    scored: int  # narratives with scores
    unscored: dict[str, int]  # reason -> narratives
    rows: list[ResultRow]  # the table, as in `results.json`


def score_file(
    model: SkinGPT,
    name: str,
    path: Path,
    folder: Path,
    *,
    brief: bool = False,
    batch_size: int = 32,
    progress: Count | None = None,
) -> ScoredFile:
    """Judge every narrative of a file; the same call continues what was interrupted.

    Args:
        model: an evaluator.
        name: of the evaluator; the rater of the rows that are written.
        path: JSON Lines with id, image and diagnostic_text; ratings are read as narratives.
        folder: of the run.
        brief: ask for scores alone.
        batch_size: narratives that are judged together.
        progress: callback(judged, all).

    Raises:
        RecordError: the file breaks the schema, or names pictures that are not there.
        TrainingError: the folder belongs to another run, or to another process.
    """
    texts = read_texts(path)
    assert model.config.backbone is not None
    asked = {"model": name, "brief": brief, "batch_size": batch_size, "file": path.name}
    asked["dtype"] = str(model.backbone.dtype).removeprefix("torch.")
    digest = {"sha256": sha256_file(path), "narratives": len(texts)}

    def work(start: int) -> Iterator[dict[str, Any]]:
        for at in range(start, len(texts), batch_size):
            batch = texts[at : at + batch_size]
            items = [(files, text.diagnostic_text) for text, files in batch]
            critiques = judge(model, items, brief=brief)
            for (text, files), critique in zip(batch, critiques, strict=True):
                yield file_row(_rating(text, files, critique, name, folder))

    out = folder / RATINGS_FILE
    with own_run(folder):
        start_run(folder, asked, seed=0, manifest=digest)
        run_in_order(
            out,
            cast(Any, FileRating),
            lambda: (text.id for text, _ in texts),
            work,
            batch=batch_size,
            count=progress,
        )
        return _summarise(out, name, folder)


def _rating(
    text: Text, files: Sequence[Path], critique: Critique, name: str, folder: Path
) -> Rating:
    verdict = critique.verdict
    rest: dict[str, Any] = {}
    if isinstance(verdict, Scores):
        rest["scores"] = RatingScores.of(verdict.values)
        said = [verdict.rationales.get(dimension) for dimension in DIMENSIONS]
        if any(said):
            rest["rationales"] = Rationales(**dict(zip(SCORE_COLUMNS, said, strict=True)))
    else:
        rest |= {"unscored": verdict.reason, "detail": verdict.detail or None}
    return Rating(
        id=text.id,
        image=one_or_all([picture_name(file, folder) for file in files]),
        diagnostic_text=text.diagnostic_text,
        group=text.group,
        rater=name,
        evaluation_text=critique.text or None,
        **rest,
    )


def _summarise(out: Path, name: str, folder: Path) -> ScoredFile:
    verdicts = [row.verdict for row in read_rating_rows(out)]
    scored = [verdict for verdict in verdicts if isinstance(verdict, Scores)]
    reasons = Counter(verdict.reason for verdict in verdicts if isinstance(verdict, Unscored))
    means = {"unscored": float(len(verdicts) - len(scored))}
    if scored:
        six = np.mean([scores.values for scores in scored], axis=0)
        means |= dict(zip((*DIMENSIONS, "Overall"), map(float, (*six, six.mean())), strict=True))
    rows = [
        ResultRow(
            table="scores",
            system=name,
            metric=metric,
            value=value,
            n=len(verdicts) if metric == "unscored" else len(scored),
        )
        for metric, value in means.items()
    ]
    write_results(folder, rows)
    return ScoredFile(out, len(scored), dict(reasons), rows)
