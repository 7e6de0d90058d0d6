"""When a narrative counts as certified: the rule, its numbers, decisions, and the history of both.

The history is append-only, one line for each import and each set of decisions, so that a killed
process leaves the whole import or none of it. Nothing is ever changed or removed: a later verdict
of the same rater on the same case is a new revision, however the rater spells the name; the first
spelling stands.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal, NamedTuple, Self, cast

from pydantic import Field, model_validator

from skingpt_r1.errors import NarrativeError
from skingpt_r1.ratings.agreement import rater_agreement
from skingpt_r1.ratings.corrected import canonical_text
from skingpt_r1.ratings.rating import HistoryRating, Rating, rater_key
from skingpt_r1.recipes import Section
from skingpt_r1.records import Record, ResultRow, append_record, resume_records
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.rubric import DIMENSIONS
from skingpt_r1.text.taxonomy import Closeness, closeness

State = Literal["pending", "third_rater", "certified", "rejected"]
STATES: tuple[State, ...] = ("pending", "third_rater", "certified", "rejected")
# Named in every decision, so that an old one can be told from one of another rule.
RULE, RULE_VERSION = "median of raters, mean and minimum", "1"
_PARTICULARS = re.compile(r"'[^']*'|\d+(?:\.\d+)?")

Limit = Annotated[float, Field(ge=0, le=5)]
Gap = Annotated[float, Field(gt=0, le=5)]


class CertifyRules(Section):
    """The numbers of the rule; every one is our choice, docs/sources.md."""

    raters: Annotated[int, Field(ge=2)] = 2  # verdicts that a decision needs
    # With so many, the median decides whatever the disagreement.
    most_raters: Annotated[int, Field(ge=2)] = 3
    mean: Limit = 4.0  # smallest mean of the six scores, each the median of the raters
    minimum: Limit = 3.0  # smallest score of every dimension, again of the medians
    # Raters further apart ask for a further one: in a dimension, and in their means.
    dimension_gap: Gap = 1.5
    mean_gap: Gap = 0.75
    # Which corrected text replaces the narrative: the latest of a certifying rater, or none.
    corrected: Literal["latest", "none"] = "latest"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.most_raters < self.raters:
            raise ValueError(
                f"most_raters is {self.most_raters}, below raters ({self.raters}); raise it"
            )
        return self


class Decision(Record):
    """What the rule makes of one case."""

    case: str  # its id
    state: State
    reasons: tuple[str, ...] = ()  # in words: why it is not certified, or what was special
    ratings: tuple[str, ...] = ()  # rater and revision of every verdict that counted
    # Median of the raters in each dimension; None without a decision.
    consensus: tuple[float, ...] | None = None
    disputed: bool = False  # the raters disagreed beyond a limit
    corrected: str | None = None  # canonical form of the text that replaces the narrative
    corrected_by: str | None = None  # whose text it is: rater and revision


def decide(case: str, label: str, ratings: Sequence[Rating], rules: CertifyRules) -> Decision:
    """The state of a case by its gold diagnosis and its current ratings, the latest last.

    A corrected text must not conclude with another diagnosis.
    """
    names = tuple(rating.name for rating in ratings)
    if len(ratings) < rules.raters:
        few = (f"{len(ratings)} of {rules.raters} raters",)
        return Decision(case=case, state="pending", reasons=few, ratings=names)
    columns = list(zip(*(rating.six.values for rating in ratings), strict=True))
    apart = _disagreements(columns, [rating.six.mean for rating in ratings], rules)
    if apart and len(ratings) < rules.most_raters:
        return Decision(case=case, state="third_rater", reasons=apart, ratings=names, disputed=True)
    consensus = tuple(median(column) for column in columns)
    written = (rating for rating in reversed(ratings) if rating.corrected is not None)
    by = None if rules.corrected == "none" else next(written, None)
    text, unusable = _corrected(by, label)
    reasons = _shortfalls(consensus, rules) + unusable
    return Decision(
        case=case,
        state="rejected" if reasons else "certified",
        reasons=reasons + apart,
        ratings=names,
        consensus=consensus,
        disputed=bool(apart),
        corrected=None if reasons else text,
        corrected_by=None if by is None or reasons else by.name,
    )


def _disagreements(
    columns: Sequence[Sequence[float]], means: Sequence[float], rules: CertifyRules
) -> tuple[str, ...]:
    limits = [rules.dimension_gap] * len(DIMENSIONS) + [rules.mean_gap]
    subjects = zip((*DIMENSIONS, "mean"), [*columns, means], limits, strict=True)
    return tuple(
        f"{name}: raters {max(values) - min(values):.2f} apart, limit {limit:g}"
        for name, values, limit in subjects
        if max(values) - min(values) > limit
    )


def _shortfalls(consensus: Sequence[float], rules: CertifyRules) -> tuple[str, ...]:
    mean = sum(consensus) / len(consensus)
    limits = [rules.mean] + [rules.minimum] * len(DIMENSIONS)
    subjects = zip(("mean", *DIMENSIONS), (mean, *consensus), limits, strict=True)
    return tuple(
        f"{name} {value:.2f} is below {limit:g}" for name, value, limit in subjects if value < limit
    )


def _corrected(by: Rating | None, label: str) -> tuple[str | None, tuple[str, ...]]:
    """The corrected text in canonical form, and why it cannot be used where it cannot."""
    if by is None:
        return None, ()
    try:
        text = canonical_text(by.corrected or "")
    except NarrativeError as error:
        return None, (f"the corrected text of {by.name} cannot be used: {error}",)
    named = parse_narrative(text).diagnosis
    if closeness(named, label) >= Closeness.PARENT:
        return text, ()
    # A text with another diagnosis disputes the label; that is not for us to settle.
    return text, (f"the corrected text concludes with {named!r}, the label is {label!r}",)


class Import(Record):
    """One import of ratings."""

    event: Literal["import"] = "import"
    file: str  # its name, without its folder
    sha256: str | None = None  # of the file; None for simulated raters
    judged: str  # SHA-256 of the held-out part that was rated
    simulated: bool  # the raters are formulas, not people
    # In UTC; None for simulated raters, whose runs can be repeated.
    imported_at: str | None = None
    refused: int = 0  # rows left out because they were wrong
    unfilled: int = 0  # rows that nobody had filled in
    unchanged: int = 0  # rows that said what the same rater had said before
    ratings: tuple[HistoryRating, ...]  # the new verdicts, in the order of the file


class Decisions(Record):
    """Decisions on the cases that are new or other than before, and the rule behind them."""

    event: Literal["decisions"] = "decisions"
    rule: str = RULE
    version: str = RULE_VERSION
    limits: dict[str, Any]
    decisions: tuple[Decision, ...]


Event = Annotated[Import | Decisions, Field(discriminator="event")]


@dataclass
class History:
    """What a history file says now; empty when the file does not exist."""

    path: Path
    imports: int = 0
    # Case -> rater -> the latest verdict, the latest import last.
    ratings: dict[str, dict[str, Rating]] = field(default_factory=dict)
    # `rater_key` of each rater -> the first spelling, which stands everywhere else.
    names: dict[str, str] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)  # by case, the latest
    # Of the rule at the latest decisions; None before any, as the next two before any import.
    limits: Mapping[str, Any] | None = None
    judged: str | None = None  # SHA-256 of the held-out part that was rated
    simulated: bool | None = None  # whether the raters are simulated

    def of(self, case: str) -> list[Rating]:
        """The current ratings of a case, the latest last."""
        return list(self.ratings.get(case, {}).values())

    def decide(self, labels: Mapping[str, str], rules: CertifyRules) -> list[Decision]:
        """The decisions on all cases, given by id and gold diagnosis."""
        return [decide(case, label, self.of(case), rules) for case, label in labels.items()]

    def name_of(self, rater: str) -> str:
        """The spelling that stands of a rater's name; the given one of a new rater."""
        return self.names.get(rater_key(rater), rater)

    def revised(self, rating: Rating) -> Rating:
        """A new verdict under the name that stands, with the number of its revision."""
        name = self.name_of(rating.rater)
        before = self.ratings.get(rating.id, {}).get(name)
        revision = 1 if before is None else before.revision + 1
        return rating.model_copy(update={"rater": name, "revision": revision})

    def is_news(self, rating: Rating) -> bool:
        """Whether the rater has not said the same of the same case before."""
        before = self.ratings.get(rating.id, {}).get(self.name_of(rating.rater))
        said = (rating.scores, rating.comment, rating.corrected)
        return before is None or said != (before.scores, before.comment, before.corrected)

    def missing(self, case: str, rules: CertifyRules) -> int:
        """How many verdicts a case still needs; a disputed one needs one more."""
        decision = self.decisions.get(case)
        if decision is not None and decision.state == "third_rater":
            return 1
        return max(rules.raters - len(self.ratings.get(case, {})), 0)

    def add(self, event: Import | Decisions) -> None:
        """Take up a line of the file."""
        if isinstance(event, Decisions):
            self.limits = event.limits
            self.decisions |= {decision.case: decision for decision in event.decisions}
            return
        self.imports, self.simulated, self.judged = self.imports + 1, event.simulated, event.judged
        for rating in event.ratings:
            self.names.setdefault(rater_key(rating.rater), rating.rater)
            # Revised anew: old histories may hold one rater as two, each with a first revision.
            current = self.revised(rating)
            of_case = self.ratings.setdefault(rating.id, {})
            of_case.pop(current.rater, None)
            of_case[current.rater] = current


def read_history(path: Path) -> History:
    """The current state of a history.

    Raises:
        RecordError: a line breaks the schema.
    """
    history = History(path)
    for event in resume_records(path, cast(Any, Event)).records:
        history.add(event)
    return history


def append_import(history: History, event: Import) -> History:
    """Add one import; revisions are counted here.

    Raises:
        RecordError: the file cannot be written.
    """
    counted = tuple(history.revised(rating) for rating in event.ratings)
    append_record(history.path, event.model_copy(update={"ratings": counted}), sync=True)
    return read_history(history.path)


def append_decisions(history: History, labels: Mapping[str, str], rules: CertifyRules) -> History:
    """Decide, and add the decisions that are new or other than before; none before any rating.

    Raises:
        RecordError: the file cannot be written.
    """
    limits = rules.model_dump()
    changed = tuple(
        decision
        for decision in (history.decide(labels, rules) if history.imports else ())
        if history.limits != limits or history.decisions.get(decision.case) != decision
    )
    if not changed:
        return history
    append_record(history.path, Decisions(limits=limits, decisions=changed), sync=True)
    return read_history(history.path)


class Certification(NamedTuple):
    """Where a certification stands."""

    counts: Mapping[State, int]  # cases by state
    reasons: Mapping[str, int]  # why cases are not certified; numbers and names are left out
    corrected: int  # certified cases whose narrative a rater wrote
    disputed: int  # decided cases about which the raters disagreed beyond a limit
    agreement: Sequence[ResultRow]  # of the raters, by dimension
    simulated: bool | None  # whether the raters are simulated; None before any rating

    def rows(self) -> Iterator[ResultRow]:
        """The table of `results.json`: cases in each state, and agreement."""
        total = sum(self.counts.values())
        system = "simulated raters" if self.simulated else "raters"
        for state, count in self.counts.items():
            yield ResultRow(
                table="certification", system=system, metric=state, value=float(count), n=total
            )
        yield from self.agreement


def standing(history: History, decisions: Sequence[Decision]) -> Certification:
    """Count decisions and reasons, and measure the agreement of the raters."""
    reasons = (reason for decision in decisions for reason in decision.reasons)
    return Certification(
        counts={state: sum(d.state == state for d in decisions) for state in STATES},
        reasons=Counter(_PARTICULARS.sub("...", reason) for reason in reasons),
        corrected=sum(d.corrected is not None for d in decisions),
        disputed=sum(d.disputed and d.state in ("certified", "rejected") for d in decisions),
        agreement=rater_agreement(of.values() for of in history.ratings.values()),
        simulated=history.simulated,
    )
