"""The folder of a corpus: where its files are, and how they are read one record at a time."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.dermcot.corpus import (
    STAGES,
    Candidate,
    CaseRecord,
    CorpusRecord,
    Part,
    Stage,
    StageRecord,
)
from skingpt_r1.errors import DatasetError, RecordError
from skingpt_r1.records import iterate_records
from skingpt_r1.runs import PLACES, find_root

FILES: dict[Part, str] = {"candidate": "corpus.jsonl", "held_out": "held_out.jsonl"}
# Dermatologists score the held-out part; the evaluator does not, and nothing is selected from it.
_CANDIDATES_ONLY: tuple[Stage, ...] = ("score", "select")


def cases_path(folder: Path) -> Path:
    """The file of the cases."""
    return folder / "stages" / "0_cases.jsonl"


def stage_path(folder: Path, stage: Stage) -> Path:
    """The file of a stage."""
    return folder / "stages" / f"{STAGES.index(stage) + 1}_{stage}.jsonl"


def corpus_path(folder: Path, part: Part = "candidate") -> Path:
    """The file of a finished part."""
    return folder / FILES[part]


def relative(path: Path, folder: Path) -> str:
    """A picture's path as records name it: from the root of its data, with `/`."""
    if path.is_relative_to(folder):  # also where it is a link to somewhere else
        return path.relative_to(folder).as_posix()
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def enters(case: CaseRecord, stage: Stage) -> bool:
    """Whether a case is of a part that a stage looks at."""
    return case.part == "candidate" or stage not in _CANDIDATES_ONLY


def read_candidates(folder: Path, upto: Stage | None) -> Iterator[Candidate]:
    """The cases that passed every stage up to this one, in order, one at a time.

    Args:
        folder: of the corpus.
        upto: the last stage that must be passed; None gives every case.

    Raises:
        RecordError: a file is missing, breaks its schema, or ends before the cases do.
    """
    stages = STAGES[: STAGES.index(upto) + 1] if upto else ()
    streams = [iterate_records(stage_path(folder, stage), StageRecord) for stage in stages]
    for case in iterate_records(cases_path(folder), CaseRecord):
        records: dict[Stage, StageRecord] = {}
        for stage, stream in zip(stages, streams, strict=True):
            if not enters(case, stage):
                break
            record = next(stream, None)
            if record is None or record.id != case.id:
                raise _out_of_step(stage_path(folder, stage), case, record)
            records[stage] = record
            if record.dropped is not None:
                break
        else:
            yield Candidate(case, records)


def entering(folder: Path, stage: Stage) -> Iterator[Candidate]:
    """The cases that a stage looks at: those that passed every stage before it."""
    place = STAGES.index(stage)
    before = read_candidates(folder, STAGES[place - 1] if place else None)
    return (candidate for candidate in before if enters(candidate.case, stage))


def held_out(folder: Path) -> Iterator[Candidate]:
    """The held-out cases whose narratives passed the audit."""
    return (found for found in read_candidates(folder, "audit") if found.case.part == "held_out")


def read_corpus(folder: Path, part: Part = "candidate") -> Iterator[CorpusRecord]:
    """The records of a finished part, one at a time.

    Raises:
        RecordError: the part is not finished, or its file breaks the schema.
    """
    path = corpus_path(folder, part)
    if not path.is_file():
        raise RecordError(
            f"{folder} has no {path.name}; finish it with the command that began it: "
            "skingpt dermcot build"
        )
    return iterate_records(path, CorpusRecord)


def corpus_cases(folder: Path, part: Part = "candidate") -> Iterator[Case]:
    """The finished part as cases with narratives, which is what `skingpt distill` learns from."""
    return (case_of_record(record, folder) for record in read_corpus(folder, part))


def case_of_record(record: CorpusRecord, folder: Path) -> Case:
    """A finished record as a case with its narrative."""
    return Case(
        id=record.id,
        images=picture_paths(record.images, picture_root(folder)),
        dataset=record.dataset,
        group=record.group,
        label=record.diagnosis,
        split=record.split,
        fitzpatrick=record.fitzpatrick,
        tone=record.tone,
        findings=record.findings,
        context=record.context,
        narrative=record.narrative,
    )


def picture_paths(names: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """The picture files that a record names."""
    return tuple(folder / name for name in names)


def picture_root(folder: Path) -> Path:
    """The folder from which the records of a corpus name pictures, with the pictures in it.

    Raises:
        DatasetError: the data have moved, and nobody said where.
    """
    root = noted_root(folder)
    if root != folder and not _holds(_first_case(folder), root):
        raise DatasetError(
            f"the pictures of {folder} are not in {root} any more; put them back, or give the "
            "command that began it once more, with --set cases.root=DIR"
        )
    return root


def noted_root(folder: Path) -> Path:
    """As `picture_root`, whether the pictures are there or not."""
    if not (folder / PLACES).is_file():
        return folder
    return find_root(folder, partial(_holds, _first_case(folder))) or folder


def _first_case(folder: Path) -> CaseRecord | None:
    path = cases_path(folder)
    return next(iterate_records(path, CaseRecord), None) if path.is_file() else None


def _holds(first: CaseRecord | None, root: Path) -> bool:
    return root.is_dir() and (first is None or (root / first.images[0]).is_file())


def _out_of_step(path: Path, case: CaseRecord, record: StageRecord | None) -> RecordError:
    found = "the file ends" if record is None else f"there is {record.id!r}"
    return RecordError(
        f"{path}: expected case {case.id!r} and {found}; the stages are of different runs, or one "
        "is not finished; run the same build command again, or choose a new folder"
    )
