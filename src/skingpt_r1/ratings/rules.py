"""When a narrative counts as certified: the rule, its numbers, and the decision for one case."""

from collections.abc import Sequence
from statistics import median
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from skingpt_r1.dermcot.corpus import Record
from skingpt_r1.errors import NarrativeError
from skingpt_r1.ratings.corrected import canonical_text
from skingpt_r1.ratings.verdict import Rating
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
