"""Judging narratives: a question to the model, a greedy critique, and its scores or a reason.

A reply that cannot be read is asked for again in the other form, once; nothing is drawn at random,
so the same narratives in the same batches get the same scores.

Scoring a file of narratives into a run folder, resumably.

folder/
run.json        the model, the file's hash, the form that is asked for
ratings.jsonl   one row for each narrative, in the file's order: scores, or why there are none
results.json    counts and means
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from skingpt_r1.errors import RecordError
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
    append_ratings,
    one_or_all,
    read_texts,
    relative_image,
)
from skingpt_r1.records import ResultRow, resume_records, sha256_file, start_run, write_results
from skingpt_r1.runs import Count, own_run
from skingpt_r1.text.content import NO_WORDS, no_content
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored, parse_scores
from skingpt_r1.text.wording import ask_for_critique

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
    prompts = encode_prompts(model.needed_processor, requests)
    limit = model.longest_input - max_new_tokens
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
        prompts = encode_prompts(model.needed_processor, [request])
        length = prompts.input_ids.shape[1]
        if length > limit:
            reason = Unscored("too_long", f"{length} tokens, at most {limit}")
            judgements.append(Judgement(reason, "", 0))
        else:
            judgements.append(_read(_write(model, prompts, max_new_tokens)[0], text))
    return judgements


def _write(model: SkinGPT, prompts: PromptBatch, max_new_tokens: int) -> list[str]:
    decoding = Decoding(max_new_tokens=max_new_tokens)
    rows = model.generate_ids(prompts, decoding)
    return [model.needed_processor.decode(row) for row in rows]


def _read(reply: str, text: str) -> Judgement:
    return Judgement(parse_scores(reply, scale=ASKED_SCALE, judged=text), reply, 1)


RATINGS_FILE = "ratings.jsonl"


class ScoredFile(NamedTuple):
    """What came of a file.

    Attributes:
        path: the rating file that was written.
        scored: narratives with scores.
        unscored: reason -> narratives.
        rows: the table, as in `results.json`.
    """

    path: Path
    scored: int
    unscored: dict[str, int]
    rows: list[ResultRow]


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
        progress: told how many of how many are judged.

    Raises:
        RecordError: the file breaks the schema, or names pictures that are not there.
        TrainingError: the folder belongs to another run, or to another process.
    """
    texts = read_texts(path)
    assert model.config.backbone is not None
    asked = {"model": name, "brief": brief, "batch_size": batch_size, "file": path.name}
    asked["dtype"] = str(model.backbone.dtype).removeprefix("torch.")
    digest = {"sha256": sha256_file(path), "narratives": len(texts)}
    with own_run(folder):
        start_run(folder, asked, seed=0, manifest=digest)
        _score(model, name, texts, folder, brief, batch_size, progress)
        return _summarise(folder / RATINGS_FILE, name, folder)


def _score(
    model: SkinGPT,
    name: str,
    texts: Sequence[tuple[Text, tuple[Path, ...]]],
    folder: Path,
    brief: bool,
    batch_size: int,
    progress: Count | None,
) -> None:
    out = folder / RATINGS_FILE
    done = len(_resume(out, texts))
    # Batches begin where they always begin: neighbours do not depend on where a run stopped.
    for start in range(done - done % batch_size, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        items = [(files, text.diagnostic_text) for text, files in batch]
        judged = judge(model, items, brief=brief, max_new_tokens=MAX_NEW_TOKENS)
        rows = [
            _row(text, files, judgement, name, folder)
            for (text, files), judgement in zip(batch, judged, strict=True)
        ]
        append_ratings(out, rows[max(done - start, 0) :])
        if progress is not None:
            progress(start + len(batch), len(texts))


def _resume(out: Path, texts: Sequence[tuple[Text, tuple[Path, ...]]]) -> list[Rating]:
    rows: list[Rating] = resume_records(out, cast(Any, FileRating)).records
    if [row.id for row in rows] != [text.id for text, _ in texts[: len(rows)]]:
        raise RecordError(f"{out} holds rows of another file; choose a new folder")
    return rows


def _row(
    text: Text, files: Sequence[Path], judgement: Judgement, name: str, folder: Path
) -> Rating:
    images = tuple(relative_image(file, folder) for file in files)
    verdict = judgement.verdict
    scores = rationales = None
    if isinstance(verdict, Scores):
        scores = RatingScores.of(verdict.values)
        said = [verdict.rationales.get(dimension) for dimension in DIMENSIONS]
        if any(said):
            rationales = Rationales(**dict(zip(SCORE_COLUMNS, said, strict=True)))
    return Rating(
        id=text.id,
        image=one_or_all(images),
        diagnostic_text=text.diagnostic_text,
        group=text.group,
        rater=name,
        scores=scores,
        rationales=rationales,
        evaluation_text=judgement.text or None,
        unscored=verdict.reason if isinstance(verdict, Unscored) else None,
        detail=(verdict.detail or None) if isinstance(verdict, Unscored) else None,
    )


def _summarise(out: Path, name: str, folder: Path) -> ScoredFile:
    verdicts = [row.verdict for row in resume_records(out, cast(Any, FileRating)).records]
    scored = [verdict for verdict in verdicts if isinstance(verdict, Scores)]
    reasons = Counter(verdict.reason for verdict in verdicts if isinstance(verdict, Unscored))
    rows = [_result(name, "unscored", len(verdicts) - len(scored), len(verdicts))]
    if scored:
        means = np.mean([scores.values for scores in scored], axis=0)
        rows += [
            _result(name, dimension, float(mean), len(scored))
            for dimension, mean in zip(DIMENSIONS, means, strict=True)
        ]
        rows.append(_result(name, "Overall", float(means.mean()), len(scored)))
    write_results(folder, rows)
    return ScoredFile(out, len(scored), dict(reasons), rows)


def _result(name: str, metric: str, value: float, n: int) -> ResultRow:
    return ResultRow(table="scores", system=name, metric=metric, value=float(value), n=n)
