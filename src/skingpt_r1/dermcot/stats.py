"""The counts of a corpus: who was dropped where and why, what was kept, and what it cost."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.corpus import (
    STAGES,
    CaseRecord,
    CorpusRecord,
    Provenance,
    Stage,
    StageRecord,
)
from skingpt_r1.errors import RecordError
from skingpt_r1.records import ResultRow, iterate_records
from skingpt_r1.text.rubric import DIMENSIONS

KEPT = "kept"


@dataclass(slots=True)
class StageCounts:
    """What became of the cases that entered a stage.

    Attributes:
        entered: records of the stage.
        dropped: reason code -> cases.
        cost_usd: as far as prices are known.
        unknown_costs: texts whose price is not known.
        narrators: name of what wrote or decided -> records.
    """

    entered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    cost_usd: float = 0.0
    unknown_costs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    narrators: Counter[str] = field(default_factory=Counter)

    @property
    def passed(self) -> int:
        """Cases that went on."""
        return self.entered - self.dropped.total()


@dataclass(slots=True)
class CorpusStats:
    """The counts of one corpus folder.

    Attributes:
        cases: part -> cases gathered.
        stages: stage -> counts, for every stage that has begun.
        scores: `scored` and `kept` -> sum of each dimension's scores; see `mean_scores`.
        scored: `scored` and `kept` -> number of narratives.
        kept: `diagnosis`, `site`, `tone` -> value -> kept narratives.
        held_out: narratives in the held-out part.
        slips: `made` and `kept` -> candidates with a simulated slip that went into scoring, and
            that were kept; empty without slips.
    """

    cases: Counter[str] = field(default_factory=Counter)
    stages: dict[Stage, StageCounts] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    scored: Counter[str] = field(default_factory=Counter)
    kept: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    held_out: int = 0
    slips: Counter[str] = field(default_factory=Counter)

    def mean_scores(self, group: str) -> dict[str, float]:
        """Mean of each dimension over a group of `scores`; empty when nobody is in it."""
        count = self.scored[group]
        return {name: self.scores[group][name] / count for name in DIMENSIONS} if count else {}

    @property
    def cost_usd(self) -> float:
        """Paid over all stages, as far as it is known."""
        return sum(counts.cost_usd for counts in self.stages.values())

    @property
    def unknown_cost(self) -> int:
        """Texts whose cost is not known."""
        return sum(counts.unknown_costs for counts in self.stages.values())


def count_corpus(folder: Path) -> CorpusStats:
    """Count a corpus, finished or not; reads each file once, one record at a time.

    Raises:
        RecordError: the folder holds no corpus, or a file breaks its schema.
    """
    if not corpus.cases_path(folder).is_file():
        raise RecordError(
            f"{folder} holds no corpus: stages/0_cases.jsonl is missing; make one with "
            "skingpt dermcot build RECIPE --out DIR"
        )
    stats = CorpusStats()
    for case in iterate_records(corpus.cases_path(folder), CaseRecord):
        stats.cases[case.part] += 1
    for stage in STAGES:
        path = corpus.stage_path(folder, stage)
        if path.is_file():
            stats.stages[stage] = _count_stage(iterate_records(path, StageRecord), stats)
    _count_slips(folder, stats)
    if corpus.corpus_path(folder).is_file():
        for record in corpus.read_corpus(folder):
            _count_kept(record, stats)
    if corpus.corpus_path(folder, "held_out").is_file():
        stats.held_out = sum(1 for _ in corpus.read_corpus(folder, "held_out"))
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


def _count_stage(records: Iterable[StageRecord], stats: CorpusStats) -> StageCounts:
    counts = StageCounts()
    for record in records:
        counts.entered += 1
        if record.dropped is not None:
            counts.dropped[record.dropped] += 1
        origin = record.provenance
        counts.narrators[origin.narrator] += 1
        counts.cost_usd += origin.cost_usd or 0.0
        counts.unknown_costs += origin.cost_usd is None
        counts.input_tokens += origin.input_tokens
        counts.output_tokens += origin.output_tokens
        if record.scores is not None:
            _add_scores(stats, "scored", record.scores)
    return counts


def _count_kept(record: CorpusRecord, stats: CorpusStats) -> None:
    assert record.scores is not None
    _add_scores(stats, KEPT, record.scores)
    stats.kept["diagnosis"][record.diagnosis] += 1
    stats.kept["site"][record.context.get("site", "unknown")] += 1
    stats.kept["tone"][str(record.tone or "unknown")] += 1


def _add_scores(stats: CorpusStats, group: str, scores: dict[str, float]) -> None:
    stats.scored[group] += 1
    sums = stats.scores.setdefault(group, dict.fromkeys(DIMENSIONS, 0.0))
    for name, value in scores.items():
        sums[name] += value


def _count_slips(folder: Path, stats: CorpusStats) -> None:
    """Of the candidates that were selected among, those with a simulated slip."""
    path = corpus.stage_path(folder, "select")
    if not path.is_file():
        return
    selected = iterate_records(path, StageRecord)
    for candidate, verdict in zip_longest(corpus.entering(folder, "select"), selected):
        if candidate is None or verdict is None:
            return
        texts: tuple[Stage, ...] = ("observe", "reason")
        origins: list[Provenance] = [candidate.records[stage].provenance for stage in texts]
        if any(origin.simulated_slip for origin in origins):
            stats.slips["made"] += 1
            stats.slips[KEPT] += verdict.dropped is None


def _row(table: str, system: str, metric: str, value: float, n: int) -> ResultRow:
    return ResultRow(table=table, system=system, metric=metric, value=float(value), n=n)
