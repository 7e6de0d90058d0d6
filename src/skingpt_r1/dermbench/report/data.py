"""What a report shows, as values: scores, classification, audits, leaks and the cases.

Everything is computed before; the four printers (page, Markdown, `results.json`, terminal) only
write it. A table holds one judge and one scale, so that two scales never meet. What could not be
computed is None, never zero. `run` names the run of a part where a report is of several.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from skingpt_r1.dermbench.classification.match import LabelMatch
from skingpt_r1.dermbench.records import Answer, Judgement, ProtocolName, Question
from skingpt_r1.stats.classification import Abstention, Bin, ClassScore
from skingpt_r1.stats.comparison import Comparison
from skingpt_r1.stats.intervals import Interval
from skingpt_r1.text.rubric import Protocol

Kind = Literal["system", "control", "oracle"]  # an oracle has seen the answer

LABEL_OUTCOMES = tuple(match.value for match in LabelMatch)


class ToneRow(NamedTuple):
    """One skin group: its cases, malignant ones among them, cases with a value, and their mean."""

    name: str
    n: int
    positives: int
    scored: int
    measure: Interval | None


@dataclass(frozen=True, kw_only=True)
class ToneTable:
    """One metric of one system by skin tone or Fitzpatrick type.

    Attributes:
        rows: every group, small ones and the unknown included, in the order of the scale.
        worst: the known group with the lowest mean; None with fewer than two.
        gap: highest less lowest mean; resampling widens it, so that its interval leans upwards.
        parity: `1 - (max - min) / max`; None where the highest mean is 0.
        scale: `skin tone` or `Fitzpatrick type`.
        high: the largest possible value, the right end of the bars.
    """

    system: str
    metric: str
    rows: tuple[ToneRow, ...]
    worst: str | None = None
    gap: Interval | None = None
    parity: Interval | None = None
    scale: str = "skin tone"
    high: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SystemScores:
    """One row of a leaderboard.

    Attributes:
        overall: mean over the dimensions; None when nothing was scored.
        dimensions: dimension -> mean.
        rank: 1 is best; None for what is not ranked.
        unscored: reason -> number of cases.
        cut: judged texts that were cut from the front.
    """

    system: str
    overall: Interval | None
    dimensions: Mapping[str, Interval]
    scored: int
    asked: int
    kind: Kind = "system"
    rank: Interval | None = None
    unscored: Mapping[str, int] = field(default_factory=dict)
    cut: int = 0


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """The scores of one judge on one scale, best first; `judged_on` is empty for rules."""

    judge: str
    protocol: ProtocolName
    rows: tuple[SystemScores, ...]
    pairs: tuple[Comparison, ...] = ()
    tones: tuple[ToneTable, ...] = ()
    judged_on: str = ""
    run: str = ""

    @property
    def scale(self) -> Protocol:
        """Ends of the scale."""
        return Protocol(self.protocol)


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """How the diagnoses of one system relate to the labels: outcome -> number of cases."""

    system: str
    outcomes: Mapping[str, int]
    n: int
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassifierRow:
    """One system on one classification set.

    Attributes:
        metrics: metric -> value; None where it cannot be computed.
        asked: cases of the set.
        counted: of these, not trained on.
        unread: answers in which no label was found; they count as wrong.
        unmatched: why no label was found, or the case is not counted -> number of cases.
        rank: by accuracy, 1 is best; None for what is not ranked.
        gain: accuracy less that of the baseline, on the same cases; None for the baseline.
    """

    system: str
    metrics: Mapping[str, Interval | None]
    asked: int
    counted: int = 0
    unread: int = 0
    unmatched: Mapping[str, int] = field(default_factory=dict)
    kind: Kind = "system"
    rank: Interval | None = None
    gain: Comparison | None = None


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """What became of each class: row = label, column = prediction, last column = no label read."""

    system: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    scores: tuple[ClassScore, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far the confidence of one system can be trusted.

    Attributes:
        measures: calibration error, Brier score, area under risk and coverage.
        bins: those with at least one answer.
        risk: (coverage, error among the covered), most confident answers first.
        abstentions: thresholds for a wanted share of errors, and what they do on other cases.
    """

    system: str
    measures: Mapping[str, Interval | None]
    bins: tuple[Bin, ...]
    risk: tuple[tuple[float, float], ...] = ()
    abstentions: tuple[Abstention, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One classification set in one form of asking; the same cases for every system.

    Without a baseline `pairs` compares every two systems; the page shows gains alone.
    """

    benchmark: str
    form: str
    rows: tuple[ClassifierRow, ...]
    baseline: str | None = None
    pairs: tuple[Comparison, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    tones: tuple[ToneTable, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    run: str = ""


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


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Cases of a benchmark that a system may have seen, shown apart."""

    system: str
    benchmark: str
    cases: int
    asked: int
    found_by: str
    treatment: str
    run: str = ""


class CaseAnswer(NamedTuple):
    """An answer, how what it names stands to the label, in words, and its judgements."""

    answer: Answer
    outcome: str | None = None
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportCase:
    """One question of the case browser.

    Attributes:
        answers: one for each system, in the order of the report.
        picture: `data:` URI; None when it is not shown, and `no_picture` says why.
    """

    question: Question
    answers: tuple[CaseAnswer, ...]
    picture: str | None = None
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
        facts: name -> value: data, seed, versions.
        systems: name -> what it is; the order of the case browser.
        notes: what a reader must know: simulated raters, made-up text, what is missing.
        num_cases: how many `cases()` gives.
        cases: makes an iterator over the cases; one in memory at a time.
    """

    title: str
    facts: Mapping[str, str]
    systems: Mapping[str, str]
    scores: tuple[ScoreTable, ...] = ()
    labels: tuple[LabelRow, ...] = ()
    classifications: tuple[Classification, ...] = ()
    audits: tuple[Audit, ...] = ()
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()
    num_cases: int = 0
    cases: Callable[[], Iterator[ReportCase]] = lambda: iter(())
