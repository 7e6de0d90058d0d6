"""When a narrative counts as certified: the rule, its numbers, and the decision for one case.

The history of a certification: append-only, one line for each import and each set of decisions.

An import is one line, so that a killed process leaves the whole import or nothing of it. Nothing
is ever changed or removed: a later verdict of the same rater on the same case is a new revision,
however the rater spells the name; the first spelling stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from skingpt_r1.errors import NarrativeError
from skingpt_r1.ratings.corrected import canonical_text
from skingpt_r1.ratings.rating import rater_key
from skingpt_r1.ratings.verdict import Rating
from skingpt_r1.records import Record, append_record, resume_records
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.rubric import DIMENSIONS
from skingpt_r1.text.taxonomy import Closeness, closeness

State = Literal["pending", "third_rater", "certified", "rejected"]
STATES: tuple[State, ...] = ("pending", "third_rater", "certified", "rejected")
# Named in every decision, so that an old one can be told from one of another rule.
RULE, RULE_VERSION = "median of raters, mean and minimum", "1"

Score = Annotated[float, Field(ge=0, le=5)]
Gap = Annotated[float, Field(gt=0, le=5)]


class CertifyRules(BaseModel):
    """The numbers of the rule; every one is our choice, docs/sources.md.

    Attributes:
        raters: verdicts that a decision needs; at least two.
        most_raters: with so many, the median decides whatever the disagreement.
        mean: smallest mean of the six scores, each the median of the raters.
        minimum: smallest score of every dimension, again of the medians.
        dimension_gap: a dimension in which raters lie further apart asks for a further rater.
        mean_gap: means of raters that lie further apart ask for a further rater.
        corrected: which corrected text replaces the narrative: the `latest` of a certifying rater,
            or `none`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    raters: Annotated[int, Field(ge=2)] = 2
    most_raters: Annotated[int, Field(ge=2)] = 3
    mean: Score = 4.0
    minimum: Score = 3.0
    dimension_gap: Gap = 1.5
    mean_gap: Gap = 0.75
    corrected: Literal["latest", "none"] = "latest"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.most_raters < self.raters:
            raise ValueError(
                f"most_raters is {self.most_raters}, below raters ({self.raters}); raise it"
            )
        return self


class Decision(Record):
    """What the rule makes of one case.

    Attributes:
        case: id of the case.
        state: one of `STATES`.
        reasons: in words; why it is not certified, or what was special.
        ratings: rater and revision of every verdict that counted.
        consensus: median of the raters in each dimension; None without a decision.
        disputed: the raters disagreed beyond a limit.
        corrected: canonical form of the corrected text that replaces the narrative.
        corrected_by: whose text it is.
    """

    case: str
    state: State
    reasons: tuple[str, ...] = ()
    ratings: tuple[str, ...] = ()
    consensus: tuple[float, ...] | None = None
    disputed: bool = False
    corrected: str | None = None
    corrected_by: str | None = None

    @property
    def mean(self) -> float | None:
        """Mean of the consensus; None without one."""
        return None if self.consensus is None else sum(self.consensus) / len(self.consensus)


def decide(case: str, label: str, ratings: Sequence[Rating], rules: CertifyRules) -> Decision:
    """The state of a case by its current ratings.

    Args:
        case: id of the case.
        label: its gold diagnosis; a corrected text must not conclude with another one.
        ratings: one of each rater, the latest last.
        rules: the numbers.
    """
    names = tuple(rating.name for rating in ratings)
    if len(ratings) < rules.raters:
        return Decision(
            case=case,
            state="pending",
            reasons=(f"{len(ratings)} of {rules.raters} raters",),
            ratings=names,
        )
    apart = _disagreements(ratings, rules)
    if apart and len(ratings) < rules.most_raters:
        return Decision(case=case, state="third_rater", reasons=apart, ratings=names, disputed=True)
    consensus = tuple(median(column) for column in _columns(ratings))
    by = _correction(ratings, rules)
    text, unusable = _corrected(by)
    reasons = _shortfalls(consensus, rules) + unusable + _label_dispute(text, label)
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


def _columns(ratings: Sequence[Rating]) -> list[tuple[float, ...]]:
    return list(zip(*(rating.scores for rating in ratings), strict=True))


def _disagreements(ratings: Sequence[Rating], rules: CertifyRules) -> tuple[str, ...]:
    found = [
        f"{name}: raters {max(column) - min(column):.2f} apart, limit {rules.dimension_gap:g}"
        for name, column in zip(DIMENSIONS, _columns(ratings), strict=True)
        if max(column) - min(column) > rules.dimension_gap
    ]
    means = [rating.mean for rating in ratings]
    if max(means) - min(means) > rules.mean_gap:
        found.append(f"mean: raters {max(means) - min(means):.2f} apart, limit {rules.mean_gap:g}")
    return tuple(found)


def _shortfalls(consensus: Sequence[float], rules: CertifyRules) -> tuple[str, ...]:
    found = [
        f"{name} {value:.2f} is below {rules.minimum:g}"
        for name, value in zip(DIMENSIONS, consensus, strict=True)
        if value < rules.minimum
    ]
    mean = sum(consensus) / len(consensus)
    if mean < rules.mean:
        found.insert(0, f"mean {mean:.2f} is below {rules.mean:g}")
    return tuple(found)


def _correction(ratings: Sequence[Rating], rules: CertifyRules) -> Rating | None:
    if rules.corrected == "none":
        return None
    return next((rating for rating in reversed(ratings) if rating.corrected is not None), None)


def _corrected(by: Rating | None) -> tuple[str | None, tuple[str, ...]]:
    """The corrected text in canonical form, and why it cannot be used where it cannot."""
    if by is None:
        return None, ()
    try:
        return canonical_text(by.corrected or ""), ()
    except NarrativeError as error:
        return None, (f"the corrected text of {by.name} cannot be used: {error}",)


def _label_dispute(text: str | None, label: str) -> tuple[str, ...]:
    # A text with another diagnosis than the label disputes the label; that is not for us to settle.
    if text is None:
        return ()
    named = parse_narrative(text).diagnosis
    if closeness(named, label) >= Closeness.PARENT:
        return ()
    return (f"the corrected text concludes with {named!r}, the label is {label!r}",)


class Import(Record):
    """One import of ratings.

    Attributes:
        event: always `import`.
        file: name of the file, without its folder.
        sha256: of the file; None for simulated raters.
        judged: sha256 of the held-out part that was rated.
        simulated: the raters are formulas and nobody.
        imported_at: when, in UTC; None for simulated raters, whose runs can be repeated.
        refused: rows left out because they were wrong.
        unfilled: rows that nobody had filled in.
        unchanged: rows that said what the same rater had said before.
        ratings: the new verdicts, in the order of the file.
    """

    event: Literal["import"] = "import"
    file: str
    sha256: str | None
    judged: str
    simulated: bool
    imported_at: str | None
    refused: int
    unfilled: int
    unchanged: int
    ratings: tuple[Rating, ...]


class Decisions(Record):
    """Decisions that are new or other than before.

    Attributes:
        event: always `decisions`.
        rule: name of the rule.
        version: of the rule.
        limits: its numbers.
        decisions: one for each case that changed.
    """

    event: Literal["decisions"] = "decisions"
    rule: str = RULE
    version: str = RULE_VERSION
    limits: dict[str, Any]
    decisions: tuple[Decision, ...]


Event = Annotated[Import | Decisions, Field(discriminator="event")]


@dataclass(frozen=True, slots=True)
class History:
    """What a history file says now.

    Attributes:
        path: the file.
        imports: number of imports.
        ratings: case -> rater -> the latest verdict, the latest import last.
        revisions: (case, rater) -> number of verdicts so far.
        names: `rater_key` of each rater -> the first spelling, which stands everywhere else.
        decisions: case -> the latest decision.
        limits: numbers of the rule at the latest decisions; None before any.
        judged: sha256 of the held-out part that was rated; None before any import.
        simulated: whether the raters are simulated; None before any import.
    """

    path: Path
    imports: int
    ratings: Mapping[str, Mapping[str, Rating]]
    revisions: Mapping[tuple[str, str], int]
    names: Mapping[str, str]
    decisions: Mapping[str, Decision]
    limits: Mapping[str, Any] | None
    judged: str | None
    simulated: bool | None

    def name_of(self, rater: str) -> str:
        """The spelling that stands of a rater's name; the given one of a new rater."""
        return self.names.get(rater_key(rater), rater)

    def of(self, case: str) -> list[Rating]:
        """The current ratings of a case, the latest last."""
        return list(self.ratings.get(case, {}).values())


def read_history(path: Path) -> History:
    """The current state of a history; empty when the file does not exist.

    Raises:
        RecordError: a line breaks the schema.
    """
    imports = 0
    simulated: bool | None = None
    judged: str | None = None
    limits: Mapping[str, Any] | None = None
    ratings: dict[str, dict[str, Rating]] = {}
    revisions: dict[tuple[str, str], int] = {}
    names: dict[str, str] = {}
    decisions: dict[str, Decision] = {}
    for event in resume_records(path, cast(Any, Event)).records:
        if isinstance(event, Decisions):
            limits = event.limits
            decisions.update({decision.case: decision for decision in event.decisions})
            continue
        imports, simulated, judged = imports + 1, event.simulated, event.judged
        for rating in event.ratings:
            of_case = ratings.setdefault(rating.case, {})
            rater = names.setdefault(rater_key(rating.rater), rating.rater)
            # Counted anew: histories of old may hold one rater as two, each with a first revision.
            count = revisions[rating.case, rater] = revisions.get((rating.case, rater), 0) + 1
            of_case.pop(rater, None)
            of_case[rater] = rating.model_copy(update={"rater": rater, "revision": count})
    return History(path, imports, ratings, revisions, names, decisions, limits, judged, simulated)


def append_import(history: History, event: Import) -> History:
    """Add one import; revisions are counted here.

    Raises:
        RecordError: the file cannot be written.
    """
    counted = []
    for rating in event.ratings:
        rater = history.name_of(rating.rater)
        revision = history.revisions.get((rating.case, rater), 0) + 1
        counted.append(rating.model_copy(update={"rater": rater, "revision": revision}))
    append_record(history.path, event.model_copy(update={"ratings": tuple(counted)}), sync=True)
    return read_history(history.path)


def append_decisions(
    history: History, decisions: Sequence[Decision], rules: CertifyRules
) -> History:
    """Add the decisions that are new or other than before; nothing when none is.

    Raises:
        RecordError: the file cannot be written.
    """
    limits = rules.model_dump()
    same_rule = history.limits == limits
    changed = tuple(
        decision
        for decision in decisions
        if not same_rule or history.decisions.get(decision.case) != decision
    )
    if not changed:
        return history
    append_record(history.path, Decisions(limits=limits, decisions=changed), sync=True)
    return read_history(history.path)
