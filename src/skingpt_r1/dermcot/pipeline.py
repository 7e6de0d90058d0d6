"""The corpus from beginning to end: each stage in turn, each continued where it stopped.

Nothing but counts and the compact rows of the selection is held for all cases at once. A killed
run, started again, ends with the same bytes as one that was never killed.

Stage 5: six scores for each narrative, by a function that the caller hands in.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.asking import blocks
from skingpt_r1.dermcot.cases import Gathered, case_records, gather
from skingpt_r1.dermcot.corpus import (
    Candidate,
    CaseRecord,
    CorpusRecord,
    Part,
    Provenance,
    Stage,
    StageRecord,
    picture_paths,
)
from skingpt_r1.dermcot.recipe import CasesRecipe, CorpusRecipe, SelectRecipe
from skingpt_r1.dermcot.stages.audit import audit
from skingpt_r1.dermcot.stages.normalise import normalise
from skingpt_r1.dermcot.stages.select import select
from skingpt_r1.dermcot.stages.write import observe, reason
from skingpt_r1.errors import RecordError
from skingpt_r1.llm.ask import Narrator
from skingpt_r1.records import (
    Record,
    append_record,
    iterate_records,
    mend_records,
    read_json,
    start_run,
    write_json_atomic,
)
from skingpt_r1.runs import PLACES, Progress, note_root, own_run, same_root
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored

# Pictures and narrative of each case in, a verdict for each out, in order.
ScoreFunction = Callable[[Sequence[tuple[tuple[Path, ...], str]]], list[Scores | Unscored]]


def score(
    candidates: Iterable[Candidate],
    score_function: ScoreFunction,
    *,
    folder: Path,
    evaluator: str,
    batch_size: int,
) -> Iterator[StageRecord]:
    """Scores; a verdict that cannot be read drops the case as `unscored`, with the reason.

    Args:
        candidates: those that passed the audit.
        score_function: sees pictures and narrative alone.
        folder: of the corpus, where the pictures' paths begin.
        evaluator: name for the provenance.
        batch_size: narratives scored together.
    """
    provenance = Provenance(narrator=evaluator)
    for batch in blocks(candidates, batch_size):
        asked = [
            (picture_paths(item.case.images, folder), item.text("normalise")) for item in batch
        ]
        for candidate, verdict in zip(batch, score_function(asked), strict=True):
            yield _record(candidate, verdict, provenance)


def _record(
    candidate: Candidate, verdict: Scores | Unscored, provenance: Provenance
) -> StageRecord:
    identity = candidate.case.id
    if isinstance(verdict, Unscored):
        detail = f"{verdict.reason}: {verdict.detail}" if verdict.detail else verdict.reason
        return StageRecord(
            id=identity, stage="score", provenance=provenance, dropped="unscored", detail=detail
        )
    scores = dict(zip(DIMENSIONS, verdict.values, strict=True))
    return StageRecord(id=identity, stage="score", provenance=provenance, scores=scores)


logger = logging.getLogger(__name__)

SELECTION = "selection.json"
# Parts of the recipe that may change without making another run.
CHEAP: dict[str, Any] = {"select": True, "certify": True, "narrators": {"calls"}}

Work = Callable[[Iterable[Candidate]], Iterator[StageRecord]]


class Narrators(NamedTuple):
    """What writes the two texts; often the same."""

    observe: Narrator
    reason: Narrator


class Tools(NamedTuple):
    """What the pipeline is handed; each is made only when there is work for it.

    Attributes:
        narrators: gives the narrators for a folder whose cases are gathered.
        score: gives the scoring function.
        evaluator: name of what scores, for the provenance.
        workers: processes that draw and look at pictures.
    """

    narrators: Callable[[Path], Narrators]
    score: Callable[[], ScoreFunction]
    evaluator: str
    workers: int = 2


def build(
    recipe: CorpusRecipe, folder: Path, tools: Tools, progress: Progress | None = None
) -> None:
    """Make a corpus, or continue it.

    Args:
        recipe: of the corpus. All of it but `select` and `certify` names the run; a changed
            `select` makes a new selection of the same scored candidates.
        folder: where everything goes.
        tools: narrators and scoring function.
        progress: told a stage and how many of how many cases are done.

    Raises:
        TrainingError: the folder belongs to another recipe or other data, or to another process.
        DatasetError: problems of the data set.
        RecordError: a file of the folder is damaged or of another run.
    """
    with own_run(folder):
        _build(recipe, folder, tools, progress or _silent)


def _build(recipe: CorpusRecipe, folder: Path, tools: Tools, tell: Progress) -> None:
    gathered = gather(recipe.cases, folder)
    named = same_root(folder, recipe.model_dump(mode="json", exclude=CHEAP), "cases")
    is_new = not corpus.cases_path(folder).is_file()
    start_run(folder, named, seed=recipe.seed, manifest=gathered.manifest)
    if recipe.cases.root is not None and (is_new or (folder / PLACES).is_file()):
        # A corpus without the note names its pictures from its own folder, and goes on doing so.
        note_root(folder, recipe.cases.root)
    root = corpus.picture_root(folder)
    _write_cases(gathered, recipe.cases, folder, tools.workers, tell)
    narrators = cache(lambda: tools.narrators(folder))
    seed = recipe.seed
    run_stage(
        folder,
        "observe",
        lambda found: observe(found, narrators().observe, folder=root, seed=seed),
        tell,
    )
    run_stage(
        folder,
        "reason",
        lambda found: reason(found, narrators().reason, folder=root, seed=seed),
        tell,
    )
    run_stage(folder, "normalise", lambda found: normalise(found, seed=seed), tell)
    run_stage(folder, "audit", lambda found: audit(found, recipe.audit), tell)
    run_stage(
        folder,
        "score",
        lambda found: score(
            found,
            tools.score(),
            folder=root,
            evaluator=tools.evaluator,
            batch_size=recipe.score.batch_size,
        ),
        tell,
        batch=recipe.score.batch_size,
    )
    select_corpus(folder, recipe.select, tell)


def run_stage(
    folder: Path, stage: Stage, work: Work, progress: Progress | None = None, *, batch: int = 1
) -> None:
    """Run one stage from where it stopped; its records are appended and flushed one by one.

    Args:
        folder: of the corpus.
        stage: which.
        work: what the stage does with the candidates that enter it; not called when all are done.
        progress: see `build`.
        batch: what is decided together is decided together again, so that a continued run meets
            the same batches; the records that are there stay.

    Raises:
        RecordError: the file holds records of other cases.
    """
    tell = progress or _silent
    path = corpus.stage_path(folder, stage)
    done = _count_done(path, corpus.entering(folder, stage))
    total = sum(1 for _ in corpus.entering(folder, stage))
    tell(stage, done, total)
    if done == total and path.exists():
        return
    begin = done - done % batch
    records = work(islice(corpus.entering(folder, stage), begin, None))
    _append(path, islice(records, done - begin, None), stage, done, total, tell)


def select_corpus(folder: Path, recipe: SelectRecipe, progress: Progress | None = None) -> None:
    """Select among the scored candidates and write both finished parts.

    The settings stand in `selection.json`; with other settings the old selection goes.

    Args:
        folder: of a corpus whose candidates are scored.
        recipe: minimum scores, quotas, and how many to keep.
        progress: see `build`.

    Raises:
        RecordError: a stage before is not finished.
        TrainingError: another process writes the folder.
    """
    with own_run(folder):
        _select(folder, recipe, progress)


def _select(folder: Path, recipe: SelectRecipe, progress: Progress | None) -> None:
    settings = recipe.model_dump(mode="json")
    note = folder / SELECTION
    if not _same_settings(note, settings):
        # The held-out part stays: nothing is selected from it.
        for path in (corpus.stage_path(folder, "select"), corpus.corpus_path(folder)):
            path.unlink(missing_ok=True)
        write_json_atomic(note, settings)
    # Selection compares all candidates, so that it always begins anew and the records that are
    # there are passed over.
    run_stage(
        folder,
        "select",
        lambda _: select(
            lambda: corpus.entering(folder, "select"), corpus.held_out(folder), recipe
        ),
        progress,
        batch=_ALL,
    )
    kept = _write_part(folder, "candidate", corpus.read_candidates(folder, "select"))
    _write_part(folder, "held_out", corpus.held_out(folder))
    if recipe.keep is not None and kept < recipe.keep:
        logger.warning("only %d of %d narratives are good enough to keep", kept, recipe.keep)


def read_selection(folder: Path) -> dict[str, Any]:
    """The settings by which the candidates of a corpus were last selected.

    Raises:
        RecordError: they were never selected.
    """
    if not (folder / SELECTION).is_file():
        raise RecordError(
            f"{folder} has no {SELECTION}: its candidates are not scored yet; finish it with "
            "skingpt dermcot build"
        )
    return read_json(folder / SELECTION)


# More than any corpus has cases: everything is decided in one batch.
_ALL = 2**62


def _write_cases(
    gathered: Gathered, recipe: CasesRecipe, folder: Path, workers: int, tell: Progress
) -> None:
    path = corpus.cases_path(folder)
    done = 0
    if path.exists():
        mend_records(path)
        for record, chosen in zip_longest(
            iterate_records(path, CaseRecord), islice(gathered.cases(), gathered.total)
        ):
            if record is None:
                break
            if chosen is None or record.id != chosen[0].id:
                raise _other_run(path, record.id)
            done += 1
    tell("cases", done, gathered.total)
    if done < gathered.total:
        records = case_records(gathered, recipe, folder, done=done, workers=workers)
        _append(path, records, "cases", done, gathered.total, tell)


def _append(
    path: Path, records: Iterable[Record], stage: str, done: int, total: int, tell: Progress
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    for number, record in enumerate(records, done + 1):
        append_record(path, record)
        tell(stage, number, total)


def _count_done(path: Path, entering: Iterable[Candidate]) -> int:
    """How many records are there, each for the case that entered in its place."""
    if not path.exists():
        return 0
    mend_records(path)
    done = 0
    for record, candidate in zip_longest(iterate_records(path, StageRecord), entering):
        if record is None:
            break
        if candidate is None or record.id != candidate.case.id:
            raise _other_run(path, record.id)
        done += 1
    return done


def _write_part(folder: Path, part: Part, candidates: Iterable[Candidate]) -> int:
    """Write a finished part beside its place and move it there; give the number of records."""
    path = corpus.corpus_path(folder, part)
    if path.exists():
        return sum(1 for _ in iterate_records(path, CorpusRecord))
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch()
    count = 0
    for candidate in candidates:
        append_record(partial, _finished(candidate))
        count += 1
    partial.replace(path)
    return count


def _finished(candidate: Candidate) -> CorpusRecord:
    case, records = candidate.case, candidate.records
    scored = records.get("score")
    return CorpusRecord(
        id=case.id,
        dataset=case.dataset,
        group=case.group,
        part=case.part,
        images=case.images,
        sha256=case.sha256,
        phash=case.phash,
        diagnosis=case.label,
        split=case.split,
        fitzpatrick=case.fitzpatrick,
        tone=case.tone,
        findings=case.findings,
        context=case.context,
        narrative=candidate.text("normalise"),
        scores=scored.scores if scored else None,
        evaluator=scored.provenance.narrator if scored else None,
        observe=records["observe"].provenance,
        reason=records["reason"].provenance,
    )


def _same_settings(note: Path, settings: dict[str, object]) -> bool:
    return note.exists() and read_json(note) == settings


def _other_run(path: Path, identity: str) -> RecordError:
    return RecordError(
        f"{path} holds case {identity!r} where another one belongs; it was made from other data or "
        "stages; choose a new folder"
    )


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass
