"""What a report shows: tables of result rows, audits, and the cases.

Everything is computed before; the four printers (page, Markdown, terminal, `results.json`) print
the rows of the same tables. A table holds one judge and one scale, so that two scales never meet.
What could not be computed has no row, and is never zero. `run` names the run of a part where a
report is of several.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

from skingpt_r1.dermbench.classification.match import LabelMatch
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.classification import ACCURACY, Bin
from skingpt_r1.stats.comparison import Comparison
from skingpt_r1.stats.intervals import Interval

Kind = Literal["system", "control", "oracle"]  # an oracle has seen the answer
TableKind = Literal["scores", "labels", "classification", "leaks"]

LABEL_OUTCOMES = tuple(match.value for match in LabelMatch)
MEAN_SCORE = "mean score"
RANK, COVERAGE, UNSCORED = "rank", "coverage", "unscored"
NO_LABEL = "no label"
FOUND_BY = "id, group, file or picture"
OVERLAP = f"overlap, {FOUND_BY}"
DIFFERENCE, HOLM = "difference of the mean score", "p after Holm's correction"
CLASS_METRICS = ("recall", "precision", "F1")  # of each class


def of_run(name: str, run: str) -> str:
    """A name with its run, where the report is of several."""
    return f"{name}, run {run}" if run else name


def measured(
    table: str, system: str, measures: Mapping[str, Interval | None]
) -> Iterator[ResultRow]:
    """A row for each measure that could be computed."""
    for metric, measure in measures.items():
        if measure is not None:
            yield measure.row(table, system, metric)


def counted(what: str, reasons: Mapping[str, int], n: int) -> dict[str, Interval | None]:
    """The number of cases by reason, of n cases, as measures; see `ResultTable.counts`."""
    return {
        f"{what}, {reason}": Interval(count, None, None, n) for reason, count in reasons.items()
    }


def pair_name(first: str, second: str) -> str:
    """How a comparison stands in the column of the systems."""
    return f"{first} - {second}"


def compared(table: str, pair: Comparison, metric: str, system: str = "") -> Iterator[ResultRow]:
    """A difference, and its p-value after Holm's correction; in a row of their own by default."""
    n = pair.difference.n
    found = {metric: pair.difference, HOLM: Interval(pair.p_holm, None, None, n)}
    return measured(table, system or pair_name(pair.first, pair.second), found)


def gain_over(baseline: str | None) -> str:
    """The metric of a difference to a baseline."""
    return f"gain over {baseline}"


def at_most(what: str, wanted: float) -> str:
    """The metric of a share where at most so many answers may be wrong."""
    return f"{what}, at most {wanted:.0%} errors"


class SkinGroup(NamedTuple):
    """One skin group: its cases, malignant ones among them, and cases with a value."""

    name: str
    n: int
    positives: int
    scored: int


@dataclass(frozen=True, kw_only=True)
class ToneTable:
    """One metric of one system by skin tone or Fitzpatrick type; the means are rows of the table.

    Attributes:
        groups: every one, small ones and the unknown included, in the order of the scale.
    """

    system: str
    metric: str
    scale: str  # `skin tone` or `Fitzpatrick type`
    groups: tuple[SkinGroup, ...] = ()
    worst: str | None = None  # the known group with the lowest mean; None with fewer than two
    high: float = 1.0  # the largest possible value, the right end of the bars

    def mean(self, group: str) -> str:
        """The metric of a group's mean."""
        return f"{self.metric}, {self.scale} {group}"

    @property
    def gap(self) -> str:
        """Highest less lowest mean; resampling widens it, so that its interval leans upwards."""
        return f"{self.metric}, gap by {self.scale}"

    @property
    def parity(self) -> str:
        """`1 - (max - min) / max`; not defined where the highest mean is 0."""
        return f"{self.metric}, parity by {self.scale}"


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """What became of each class: row = label, column = prediction, last column = no label read."""

    system: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far the confidence of one system can be trusted; its measures are rows of the table.

    Attributes:
        risk: (coverage, error among the covered), most confident answers first.
        thresholds: largest wanted share of errors -> confidence to answer from, None for none.
    """

    system: str
    bins: tuple[Bin, ...]  # those with at least one answer
    risk: tuple[tuple[float, float], ...] = ()
    thresholds: Mapping[float, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """Rows that belong together, and what only people need beside them.

    Attributes:
        of: judge and scale, data set and form of asking, or the benchmark of an overlap.
        systems: name -> what it is, in the order of the table (scores: best first).
        pairs: systems that are compared, `first - second`; with a baseline its gains are shown.
        cut: system -> judged texts that were cut from the front.
    """

    kind: TableKind
    systems: Mapping[str, Kind]
    rows: tuple[ResultRow, ...]  # every number that the printers show
    of: tuple[str, ...] = ()
    run: str = ""
    rest: tuple[ResultRow, ...] = ()  # rows of `results.json` alone
    pairs: tuple[tuple[str, str], ...] = ()
    baseline: str | None = None
    test: str = ""  # by which test
    judged_on: str = ""  # day or days; empty for rules
    cut: Mapping[str, int] = field(default_factory=dict)
    tones: tuple[ToneTable, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    calibrations: tuple[Calibration, ...] = ()

    @property
    def title(self) -> str:
        """What it is of, and the run in a report of several."""
        return of_run(", ".join(self.of), self.run)

    @property
    def headline(self) -> str:
        """The metric that stands for the whole."""
        return MEAN_SCORE if self.kind == "scores" else ACCURACY

    @cached_property
    def _cells(self) -> dict[tuple[str, str], ResultRow]:
        return {(row.system, row.metric): row for row in self.rows}

    def cell(self, system: str, metric: str) -> ResultRow | None:
        """The row of a system and a metric; None where there is no number."""
        return self._cells.get((system, metric))

    def size(self, system: str) -> int:
        """The cases of a system."""
        return next(row.n for row in self.rows if row.system == system)

    def counts(self, system: str, what: str) -> dict[str, int]:
        """Reason -> number of cases, by reason; see `counted`."""
        start = f"{what}, "
        rows = (row for row in self.rows if row.system == system and row.metric.startswith(start))
        return dict(sorted((row.metric.removeprefix(start), int(row.value)) for row in rows))

    def shown(self, metrics: tuple[str, ...]) -> list[str]:
        """Those of some metrics of which any system has a number."""
        known = {metric for _, metric in self._cells}
        return [metric for metric in metrics if metric in known]

    def in_run(self, run: str) -> "ResultTable":
        """The same table under the name of its run."""
        rows, rest = (
            tuple(row.model_copy(update={"table": of_run(row.table, run)}) for row in some)
            for some in (self.rows, self.rest)
        )
        return replace(self, run=run, rows=rows, rest=rest)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One check of a judge: of which system, dimension or rater, and in words what it means."""

    judge: str
    check: str
    subject: str
    measure: Interval | None
    verdict: str
    flagged: bool = False
    run: str = ""

    @property
    def rows(self) -> Iterator[ResultRow]:
        """Its number, if it has one."""
        table = of_run(f"audit of {self.judge}", self.run)
        return measured(table, self.subject, {self.check: self.measure})


class CaseAnswer(NamedTuple):
    """An answer, how what it names stands to the label, in words, and its judgements."""

    answer: Answer
    outcome: str | None = None
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportCase:
    """One question of the case browser."""

    question: Question
    answers: tuple[CaseAnswer, ...]  # one for each system, in the order of the report
    picture: str | None = None  # `data:` URI; None when it is not shown, and `no_picture` says why
    no_picture: str = ""
    run: str = ""

    @property
    def id(self) -> str:
        """Unique in the report."""
        return f"{self.run}/{self.question.id}" if self.run else self.question.id


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        notes: what a reader must know: simulated raters, made-up text, what is missing.
        cases: makes an iterator over the cases; one in memory at a time.
    """

    title: str
    facts: Mapping[str, str]  # name -> value: data, seed, versions
    systems: Mapping[str, str]  # name -> what it is; the order of the case browser
    tables: tuple[ResultTable, ...] = ()
    audits: tuple[Audit, ...] = ()
    notes: tuple[str, ...] = ()
    num_cases: int = 0  # how many `cases()` gives
    cases: Callable[[], Iterator[ReportCase]] = lambda: iter(())

    def of(self, kind: TableKind) -> list[ResultTable]:
        """The tables of one kind."""
        return [table for table in self.tables if table.kind == kind]

    def in_run(self, run: str) -> "ReportData":
        """The same report with the name of the run on every part."""
        return replace(
            self,
            tables=tuple(table.in_run(run) for table in self.tables),
            audits=tuple(replace(audit, run=run) for audit in self.audits),
            cases=lambda: (replace(case, run=run) for case in self.cases()),
        )
