"""The corpus from beginning to end: each stage in turn, each continued where it stopped.

Nothing but ids and the compact rows of the selection is held for all cases at once. A killed run,
started again, ends with the same bytes as one that was never killed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.cases import case_records, gather
from skingpt_r1.dermcot.corpus import (
    Candidate,
    CaseRecord,
    CorpusRecord,
    Part,
    Provenance,
    Stage,
    StageRecord,
    stage_record,
)
from skingpt_r1.dermcot.recipe import CorpusRecipe, SelectRecipe
from skingpt_r1.dermcot.select import select
from skingpt_r1.dermcot.write import Narrator, Step, audit, blocks, normalise, observe, reason
from skingpt_r1.errors import RecordError
from skingpt_r1.records import (
    append_record,
    iterate_records,
    read_json,
    start_run,
    write_json_atomic,
)
from skingpt_r1.runs import (
    PLACES,
    Progress,
    note_root,
    own_run,
    picture_paths,
    run_in_order,
    same_root,
)
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored

# Pictures and narrative of each case in, a verdict for each out, in order.
ScoreFunction = Callable[[Sequence[tuple[tuple[Path, ...], str]]], list[Scores | Unscored]]

logger = logging.getLogger(__name__)

SELECTION = "selection.json"
# Parts of the recipe that may change without making another run.
CHEAP: dict[str, Any] = {"select": True, "certify": True, "narrators": {"calls"}}
# More than any corpus has cases: everything is decided in one batch.
_ALL = 2**62

Work = Callable[[Iterable[Candidate]], Iterator[StageRecord]]


class Tools(NamedTuple):
    """What the pipeline is handed; narrators and scores are made only when there is work."""

    narrators: Callable[[Path], Mapping[Step, Narrator]]  # for a folder whose cases are gathered
    score: Callable[[], ScoreFunction]
    evaluator: str  # name of what scores, for the provenance
    workers: int = 2  # processes that draw and measure pictures


def build(
    recipe: CorpusRecipe, folder: Path, tools: Tools, progress: Progress | None = None
) -> None:
    """Make a corpus, or continue it.

    All of the recipe but `select` and `certify` names the run; a changed `select` makes a new
    selection of the same scored candidates.

    Raises:
        TrainingError: the folder belongs to another recipe or other data, or to another process.
        DatasetError: problems of the data set.
        RecordError: a file of the folder is damaged or of another run.
    """
    with own_run(folder):
        root = _gather(recipe, folder, tools.workers, progress)
        for stage, work in _works(recipe, folder, root, tools).items():
            batch = recipe.score.batch_size if stage == "score" else 1
            run_stage(folder, stage, work, progress, batch=batch)
        select_corpus(folder, recipe.select, progress)


def _gather(recipe: CorpusRecipe, folder: Path, workers: int, tell: Progress | None) -> Path:
    """Begin or continue the run with its cases; gives where their pictures are."""
    gathered = gather(recipe.cases, folder)
    named = same_root(folder, recipe.model_dump(mode="json", exclude=CHEAP), "cases")
    is_new = not corpus.cases_path(folder).is_file()
    start_run(folder, named, seed=recipe.seed, manifest=gathered.manifest)
    if recipe.cases.root is not None and (is_new or (folder / PLACES).is_file()):
        # A corpus without the note names its pictures from its own folder, and goes on doing so.
        note_root(folder, recipe.cases.root)
    root = corpus.picture_root(folder)
    run_in_order(
        corpus.cases_path(folder),
        CaseRecord,
        lambda: (case.id for case, _ in gathered.cases()),
        lambda done: case_records(gathered, recipe.cases, folder, done=done, workers=workers),
        count=tell and partial(tell, "cases"),
    )
    return root


def _works(recipe: CorpusRecipe, folder: Path, root: Path, tools: Tools) -> dict[Stage, Work]:
    """What each stage before the selection does; tools are made when there is work for them."""
    narrators, seed = cache(lambda: tools.narrators(folder)), recipe.seed
    return {
        "observe": lambda found: observe(found, narrators()["observe"], folder=root, seed=seed),
        "reason": lambda found: reason(found, narrators()["reason"], folder=root, seed=seed),
        "normalise": lambda found: normalise(found, seed=seed),
        "audit": lambda found: audit(found, recipe.audit),
        "score": lambda found: score(
            blocks(found, recipe.score.batch_size), tools.score(), root, tools.evaluator
        ),
    }


def run_stage(
    folder: Path, stage: Stage, work: Work, progress: Progress | None = None, *, batch: int = 1
) -> None:
    """Run one stage from where it stopped; see `runs.run_in_order`.

    `work` is not called when all candidates are done; `batch` are decided together.

    Raises:
        RecordError: the file holds records of other cases.
    """
    run_in_order(
        corpus.stage_path(folder, stage),
        StageRecord,
        lambda: (candidate.case.id for candidate in corpus.entering(folder, stage)),
        lambda start: work(islice(corpus.entering(folder, stage), start, None)),
        batch=batch,
        count=progress and partial(progress, stage),
    )


def score(
    batches: Iterable[Sequence[Candidate]],
    score_function: ScoreFunction,
    root: Path,
    evaluator: str,
) -> Iterator[StageRecord]:
    """Stage 5: six scores, from pictures and narrative alone.

    A verdict that cannot be read drops the case as `unscored`.
    """
    origin = Provenance(narrator=evaluator)
    for batch in batches:
        items = [(picture_paths(one.case.images, root), one.text("normalise")) for one in batch]
        for candidate, verdict in zip(batch, score_function(items), strict=True):
            scores, problem = None, None
            if isinstance(verdict, Unscored):
                more = f": {verdict.detail}" if verdict.detail else ""
                problem = ("unscored", f"{verdict.reason}{more}")
            else:
                scores = dict(zip(DIMENSIONS, verdict.values, strict=True))
            yield stage_record(
                candidate.case.id, "score", problem, provenance=origin, scores=scores
            )


def select_corpus(folder: Path, recipe: SelectRecipe, progress: Progress | None = None) -> None:
    """Select among the scored candidates and write both finished parts.

    The settings stand in `selection.json`; with other settings the old selection goes.

    Raises:
        RecordError: a stage before is not finished.
        TrainingError: another process writes the folder.
    """
    with own_run(folder):
        settings, note = recipe.model_dump(mode="json"), folder / SELECTION
        if not note.exists() or read_json(note) != settings:
            # The held-out part stays: nothing is selected from it.
            for path in (corpus.stage_path(folder, "select"), corpus.corpus_path(folder)):
                path.unlink(missing_ok=True)
            write_json_atomic(note, settings)
        run_stage(
            folder,
            "select",
            lambda found: select(found, corpus.held_out(folder), recipe),
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


def _write_part(folder: Path, part: Part, candidates: Iterable[Candidate]) -> int:
    """Write a finished part beside its place and move it there; give the number of records."""
    path = corpus.corpus_path(folder, part)
    if path.exists():
        return sum(1 for _ in iterate_records(path, CorpusRecord))
    partial = path.with_suffix(".partial")
    partial.write_bytes(b"")
    count = 0
    for candidate in candidates:
        append_record(partial, _finished(candidate))
        count += 1
    partial.replace(path)
    return count


def _finished(candidate: Candidate) -> CorpusRecord:
    case, records = candidate.case, candidate.records
    scored = records.get("score")
    shared = CaseRecord.model_fields.keys() & CorpusRecord.model_fields.keys()
    return CorpusRecord(
        **{name: getattr(case, name) for name in shared},
        diagnosis=case.label,
        narrative=candidate.text("normalise"),
        scores=scored.scores if scored else None,
        evaluator=scored.provenance.narrator if scored else None,
        observe=records["observe"].provenance,
        reason=records["reason"].provenance,
    )
