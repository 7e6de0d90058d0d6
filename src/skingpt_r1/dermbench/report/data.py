"""What a report shows, as values: tables of scores, classification, audits, leaks and the cases.

Everything is computed before; the report only draws it. A table holds one judge and one protocol,
so the two scales can never meet in one table. What could not be computed is None, never zero. A
report of several runs names the run of each part; `run` is empty in a report of one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from skingpt_r1.dermbench.classification.match import LabelMatch
from skingpt_r1.dermbench.records import ProtocolName
from skingpt_r1.dermbench.skin_tone import ToneGaps
from skingpt_r1.stats.classification import Abstention, Bin, ClassScore
from skingpt_r1.stats.comparison import Comparison
from skingpt_r1.stats.intervals import Interval
from skingpt_r1.text.rubric import Protocol

Kind = Literal["system", "control", "oracle"]

LABEL_OUTCOMES = tuple(match.value for match in LabelMatch)


@dataclass(frozen=True, kw_only=True)
class ToneTable:
    """One measure of one system by skin tone or Fitzpatrick type.

    Attributes:
        system: its name.
        metric: what is measured.
        gaps: every group, small ones and the unknown included, and how far they lie apart.
        scale: `skin tone` or `Fitzpatrick type`.
        high: the largest possible value, the right end of the bars.
    """

    system: str
    metric: str
    gaps: ToneGaps
    scale: str = "skin tone"
    high: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SystemScores:
    """One row of a leaderboard.

    Attributes:
        system: its name.
        kind: a system, a control, or an oracle that has seen the answer.
        overall: mean over the dimensions; None when nothing was scored.
        dimensions: dimension -> mean.
        rank: 1 is best, with its interval; None for what is not ranked.
        scored: cases with scores.
        asked: cases that were asked.
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
    """The scores of one judge on one scale, of one run.

    Attributes:
        judge: its name and version.
        protocol: the scale.
        judged_on: first and last day; empty for rules.
        rows: best first.
        pairs: comparisons of two systems.
        tones: by skin tone.
        run: name of the run, where the report is of several.
    """

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
        system: its name.
        metrics: metric -> value; None where it cannot be computed.
        asked: cases that were asked.
        unread: answers in which no label was found; they count as wrong.
        kind: as of `SystemScores`.
        gain: accuracy less that of the baseline, on the same cases; None for the baseline.
    """

    system: str
    metrics: Mapping[str, Interval | None]
    asked: int
    unread: int = 0
    kind: Kind = "system"
    gain: Comparison | None = None


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """What became of each class.

    Attributes:
        system: its name.
        classes: labels.
        counts: row = label, column = prediction, last column = no label read.
        scores: recall, precision and F1 of each class, where computed.
    """

    system: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    scores: tuple[ClassScore, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far the confidence of one system can be trusted.

    Attributes:
        system: its name.
        measures: calibration error, Brier score, area under risk and coverage.
        bins: bins with at least one answer.
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
    """One classification set in one form of asking; the same cases for every system."""

    benchmark: str
    form: str
    rows: tuple[ClassifierRow, ...]
    baseline: str | None = None
    confusions: tuple[Confusion, ...] = ()
    tones: tuple[ToneTable, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One check of a judge.

    Attributes:
        judge: its name.
        check: `repeat spread`, `length correlation`, `order effect`, `self-preference`, ...
        subject: system, dimension or rater that it is about.
        measure: the number; None where it cannot be computed.
        verdict: what it means, in words.
        flagged: whether a reader should be warned.
    """

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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one judge said once of one answer; `scores` is None when unscored."""

    judge: str
    protocol: ProtocolName
    scores: Mapping[str, float] | None
    repeat: int = 0
    unscored: str | None = None
    rationales: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class CaseAnswer:
    """What one system said to a case, and what was said of it.

    Attributes:
        system: its name.
        text: as written.
        problem: why there is no text.
        outcome: how what it names stands to the label, in words.
        verdicts: of the judges.
    """

    system: str
    text: str
    problem: str | None = None
    outcome: str | None = None
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportCase:
    """One case of the browser.

    Attributes:
        id: unique in the report.
        benchmark: its data set.
        label: the gold diagnosis.
        answers: one per system that was asked, in the order of the report.
        reference: the certified narrative.
        findings: slot -> value.
        tone: apparent skin colour or Fitzpatrick type, in words; None when unknown.
        picture: `data:` URI; None when it is not shown.
        no_picture: why not.
        run: name of its run, where the report is of several.
    """

    id: str
    benchmark: str
    label: str
    answers: tuple[CaseAnswer, ...]
    reference: str | None = None
    findings: Mapping[str, str] = field(default_factory=dict)
    tone: str | None = None
    picture: str | None = None
    no_picture: str = ""
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        title: of the page.
        facts: name -> value: data, seed, versions.
        systems: name -> what it is; the order of the case browser.
        scores: one table per run, judge and protocol.
        labels: diagnosis against label.
        classifications: one per run, data set and form.
        audits: checks of the judges.
        leaks: overlap with training data.
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
