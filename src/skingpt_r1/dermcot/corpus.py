"""The records of a corpus: the case, what each stage made of it, and the finished narrative.

Every stage writes one record for each case that entered it, in the order of the cases. A record
holds no time and no path of the machine, so that a continued run writes the same bytes. At the end:
where the files of a corpus are, how they are read one record at a time, and the counts: who was
dropped where and why, what was kept, and what it cost.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, FiniteFloat

from skingpt_r1.case import Case, SkinTone, Split
from skingpt_r1.errors import DatasetError, RecordError
from skingpt_r1.recipes import package_yaml
from skingpt_r1.records import Record, ResultRow, iterate_records
from skingpt_r1.runs import find_root, picture_paths
from skingpt_r1.text.rubric import DIMENSIONS

Stage = Literal["observe", "reason", "normalise", "audit", "score", "select"]
STAGES: tuple[Stage, ...] = ("observe", "reason", "normalise", "audit", "score", "select")
Part = Literal["candidate", "held_out"]
Stratum = tuple[str, str, str]  # diagnosis, body site, skin tone
UNKNOWN = "unknown"
Problem = tuple[str, str]  # why a case is dropped: a code of `REASONS`, and detail for a person

WORDING: Mapping[str, Any] = package_yaml("dermcot/words.yaml")
REASONS: Mapping[str, str] = WORDING["reasons"]  # code -> why a case was dropped


class Provenance(Record):
    """Where a text or a decision comes from.

    `simulated_slip` is the mistake that an offline narrator was told to make, to have something to
    filter; it is never shown to the evaluator.
    """

    narrator: str = "rules"  # what wrote or decided it; `rules` for the code of a stage
    prompt_sha256: str | None = None
    seed: int | None = None  # of the wording or the sampling
    cost_usd: FiniteFloat | None = 0.0  # None when the price is not known
    input_tokens: int = 0
    output_tokens: int = 0
    simulated_slip: str | None = None


class _Pictures(Record):
    id: str  # unique in the corpus
    dataset: str  # the reader that made the case, or `synthetic`
    group: str  # what must not be split: patient, lesion or file series
    part: Part  # `held_out` for the part that dermatologists certify
    images: tuple[str, ...]  # files, relative to the root of their data
    sha256: tuple[str, ...]  # of each file
    phash: tuple[str, ...]  # perceptual hash of each picture, 64 hexadecimal digits


class CaseRecord(_Pictures):
    """A case that a narrative is wanted of."""

    label: str  # the gold diagnosis
    split: Split | None = None  # the official one, where the data set has it
    fitzpatrick: int | None = None
    tone: SkinTone | None = None
    findings: dict[str, str] = Field(default_factory=dict)  # recorded or measured
    context: dict[str, str] = Field(default_factory=dict)  # site and age, where known
    # Other columns; the audit checks here whether a reported symptom is known.
    attributes: dict[str, str] = Field(default_factory=dict)

    @property
    def stratum(self) -> Stratum:
        """Diagnosis, body site and skin tone; `unknown` where the data set does not say."""
        return self.label, self.context.get("site", UNKNOWN), str(self.tone or UNKNOWN)


class StageRecord(Record):
    """What a stage made of a case."""

    id: str
    stage: Stage
    text: str = ""  # empty for stages that only decide, and for dropped cases without one
    provenance: Provenance = Provenance()
    dropped: str | None = None  # a code of `REASONS`; None when the case goes on
    detail: str = ""  # for a person; never quotes what may identify somebody
    scores: dict[str, FiniteFloat] | None = None  # by dimension; of the score stage only


class CorpusRecord(_Pictures):
    """A finished narrative with its case; a line of `corpus.jsonl` or `held_out.jsonl`.

    The held-out part is not scored: its `scores` and `evaluator` are None. `observe` and `reason`
    are the provenance of the two texts.
    """

    diagnosis: str  # the gold label
    split: Split | None
    fitzpatrick: int | None
    tone: SkinTone | None
    findings: dict[str, str]
    context: dict[str, str]
    narrative: str
    scores: dict[str, FiniteFloat] | None
    evaluator: str | None
    observe: Provenance
    reason: Provenance

    @property
    def stratum(self) -> Stratum:
        """As that of its case."""
        return self.diagnosis, self.context.get("site", UNKNOWN), str(self.tone or UNKNOWN)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case and what the finished stages made of it; it passed all of them."""

    case: CaseRecord
    records: Mapping[Stage, StageRecord] = field(hash=False)

    def text(self, stage: Stage) -> str:
        """What a stage wrote."""
        return self.records[stage].text


def stage_record(identity: str, stage: Stage, problem: Problem | None, **made: Any) -> StageRecord:
    """What a stage writes about a case; one with a problem is let go. `made` are further fields."""
    dropped, detail = problem or (None, "")
    assert dropped is None or dropped in REASONS
    return StageRecord(id=identity, stage=stage, dropped=dropped, detail=detail, **made)


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


def enters(case: CaseRecord, stage: Stage) -> bool:
    """Whether a case is of a part that a stage looks at."""
    return case.part == "candidate" or stage not in _CANDIDATES_ONLY


def read_candidates(folder: Path, upto: Stage | None) -> Iterator[Candidate]:
    """The cases that passed every stage up to this one, in order, one at a time.

    Every case where `upto` is None.

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
    same = ("id", "dataset", "group", "split", "fitzpatrick", "tone", "findings", "context")
    records, root = read_corpus(folder, part), picture_root(folder)
    return (
        Case(
            **{name: getattr(record, name) for name in same},
            images=picture_paths(record.images, root),
            label=record.diagnosis,
            narrative=record.narrative,
        )
        for record in records
    )


def picture_root(folder: Path) -> Path:
    """The folder from which the records of a corpus name pictures, with the pictures in it.

    Raises:
        DatasetError: the data have moved, and nobody said where.
    """
    root = noted_root(folder)
    if root != folder and not _holds_pictures(folder, root):
        raise DatasetError(
            f"the pictures of {folder} are not in {root} any more; put them back, or give the "
            "command that began it once more, with --set cases.root=DIR"
        )
    return root


def noted_root(folder: Path) -> Path:
    """As `picture_root`, whether the pictures are there or not."""
    return find_root(folder, partial(_holds_pictures, folder)) or folder


def _holds_pictures(folder: Path, root: Path) -> bool:
    path = cases_path(folder)
    first = next(iterate_records(path, CaseRecord), None) if path.is_file() else None
    return root.is_dir() and (first is None or (root / first.images[0]).is_file())


def _out_of_step(path: Path, case: CaseRecord, record: StageRecord | None) -> RecordError:
    found = "the file ends" if record is None else f"there is {record.id!r}"
    return RecordError(
        f"{path}: expected case {case.id!r} and {found}; the stages are of different runs, or one "
        "is not finished; run the same build command again, or choose a new folder"
    )


KEPT = "kept"


@dataclass(slots=True)
class StageCounts:
    """What became of the cases that entered a stage."""

    entered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # by reason code

    @property
    def passed(self) -> int:
        """Cases that went on."""
        return self.entered - self.dropped.total()


@dataclass(slots=True)
class CorpusStats:
    """The counts of one corpus folder.

    `scores` and `scored` have the groups `scored` and `kept`; `slips` the groups `made` (candidates
    with a simulated slip that went into scoring) and `kept`, and is empty without slips.
    """

    cases: Counter[str] = field(default_factory=Counter)  # by part
    stages: dict[Stage, StageCounts] = field(default_factory=dict)  # of those that have begun
    # Group and dimension -> sum of the scores; see `mean_scores`.
    scores: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    scored: Counter[str] = field(default_factory=Counter)
    # `diagnosis`, `site`, `tone` -> value -> kept narratives
    kept: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    held_out: int = 0
    cost_usd: float = 0.0  # paid over all stages, as far as it is known
    unknown_cost: int = 0  # texts whose cost is not known
    slips: Counter[str] = field(default_factory=Counter)

    def add_scores(self, group: str, scores: Mapping[str, float]) -> None:
        """Count the scores of one narrative in a group."""
        self.scored[group] += 1
        for name, value in scores.items():
            self.scores[group, name] += value

    def mean_scores(self, group: str) -> dict[str, float]:
        """Mean of each dimension over a group of `scores`; empty when nobody is in it."""
        count = self.scored[group]
        return {name: self.scores[group, name] / count for name in DIMENSIONS} if count else {}


def count_corpus(folder: Path) -> CorpusStats:
    """Count a corpus, finished or not; reads each file once, one record at a time.

    Raises:
        RecordError: the folder holds no corpus, or a file breaks its schema.
    """
    if not cases_path(folder).is_file():
        raise RecordError(
            f"{folder} holds no corpus: stages/0_cases.jsonl is missing; make one with "
            "skingpt dermcot build RECIPE --out DIR"
        )
    stats = CorpusStats()
    for case in iterate_records(cases_path(folder), CaseRecord):
        stats.cases[case.part] += 1
    _count_stages(folder, stats)
    if corpus_path(folder).is_file():
        for record in read_corpus(folder):
            assert record.scores is not None
            stats.add_scores(KEPT, record.scores)
            for kind, value in zip(("diagnosis", "site", "tone"), record.stratum, strict=True):
                stats.kept[kind][value] += 1
    if corpus_path(folder, "held_out").is_file():
        stats.held_out = sum(1 for _ in read_corpus(folder, "held_out"))
    return stats


def result_rows(stats: CorpusStats) -> Iterator[ResultRow]:
    """The counts as rows of `results.json`."""
    for part, count in sorted(stats.cases.items()):
        yield _row("corpus", part, "cases", count, count)
    yield _row("corpus", "held_out", "narratives", stats.held_out, stats.cases["held_out"])
    yield _row("corpus", "all", "cost in US dollars", stats.cost_usd, stats.cases.total())
    for stage, counts in stats.stages.items():
        yield _row("stages", stage, "passed", counts.passed, counts.entered)
        for reason, count in sorted(counts.dropped.items()):
            yield _row("stages", stage, f"dropped: {reason}", count, counts.entered)
    yield from _score_rows(stats)
    for kind, values in stats.kept.items():
        for value, count in sorted(values.items()):
            yield _row(f"kept by {kind}", value, "narratives", count, stats.scored[KEPT])


def _score_rows(stats: CorpusStats) -> Iterator[ResultRow]:
    for group, count in stats.scored.items():
        for name, mean in stats.mean_scores(group).items():
            yield _row("scores", group, name, mean, count)
    for group, count in stats.slips.items():
        yield _row("simulated slips", group, "narratives", count, stats.slips["made"])


def _count_stages(folder: Path, stats: CorpusStats) -> None:
    slipped: set[str] = set()  # ids of the cases with a simulated slip in one of their texts
    for stage in STAGES:
        path = stage_path(folder, stage)
        if not path.is_file():
            continue
        counts = stats.stages[stage] = StageCounts()
        cost = 0.0
        for record in iterate_records(path, StageRecord):
            counts.entered += 1
            if record.dropped is not None:
                counts.dropped[record.dropped] += 1
            cost += record.provenance.cost_usd or 0.0
            stats.unknown_cost += record.provenance.cost_usd is None
            if record.scores is not None:
                stats.add_scores("scored", record.scores)
            if record.provenance.simulated_slip:
                slipped.add(record.id)
            if stage == "select" and record.id in slipped:
                stats.slips["made"] += 1
                stats.slips[KEPT] += record.dropped is None
        stats.cost_usd += cost


def _row(table: str, system: str, metric: str, value: float, n: int) -> ResultRow:
    return ResultRow(table=table, system=system, metric=metric, value=float(value), n=n)
