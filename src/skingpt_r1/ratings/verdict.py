"""One rater's verdict on one narrative, as it is kept for ever."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from skingpt_r1.records import Record
from skingpt_r1.text.rubric import DIMENSIONS, Protocol

PROTOCOL = Protocol.DECIMAL_0_5
# Column names of the six scores, in the order of `rubric.DIMENSIONS`.
SCORE_COLUMNS = tuple(name.lower().replace(" ", "_") for name in DIMENSIONS)
# Names of raters that no person may have.
SIMULATED = "simulated"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

SixScores = Annotated[tuple[float, ...], Field(min_length=len(DIMENSIONS), max_length=6)]


class Rating(Record):
    """One rater's verdict on one narrative.

    Attributes:
        case: id of the case in the corpus.
        rater: a pseudonym.
        scores: six scores from 0 to 5, in the order of `rubric.DIMENSIONS`.
        comment: what the rater had to say; never published.
        corrected: the narrative as the rater would have it, as given; None when left as it is.
        revision: 1 for the first verdict of this rater on this case, then counted up.
    """

    case: str
    rater: str
    scores: SixScores
    comment: str = ""
    corrected: str | None = None
    revision: int = 1

    @field_validator("scores")
    @classmethod
    def _on_the_scale(cls, scores: tuple[float, ...]) -> tuple[float, ...]:
        for value in scores:
            if PROTOCOL.problem(value):
                raise ValueError(f"{value} is not one of {PROTOCOL.value}")
        return scores

    @property
    def name(self) -> str:
        """Rater and revision, for example `a#2`."""
        return f"{self.rater}#{self.revision}"

    @property
    def is_simulated(self) -> bool:
        """Whether the rater is a formula and nobody; no person may have such a name."""
        return self.rater.casefold().startswith(SIMULATED)

    @property
    def mean(self) -> float:
        """Mean of the six scores."""
        return sum(self.scores) / len(self.scores)

    @property
    def verdict(self) -> tuple[tuple[float, ...], str, str | None]:
        """What the rater said, without the revision."""
        return self.scores, self.comment, self.corrected


def rater_problem(name: str, *, simulated: bool = False) -> str | None:
    """Why a name cannot be a rater's pseudonym, in one sentence; None when it can."""
    if not _NAME.fullmatch(name):
        return (
            f"rater {name!r} is no pseudonym; 1 to 64 of the letters a to z, digits, '.', '_' and "
            "'-' are allowed"
        )
    if name.casefold().startswith(SIMULATED) and not simulated:
        return f"rater {name!r} has the name of a simulated rater; choose another pseudonym"
    return None
