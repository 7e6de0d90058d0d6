"""One record for a rater's verdict on one narrative: on sheets, in certification, in rating files.

A rating file has one row for each rater and narrative, in the record schema of the DermEval release
(`rater`, `simulated`, `group`, `damage`, `notes`, `unscored` and `detail` are ours):

    {"id": "a-1", "image": "images/a-1.png", "diagnostic_text": "...", "rater": "r1",
     "simulated": false, "scores": {"accuracy": 4.5, ..., "description_precision": 3.0}}

Relative picture paths begin at the folder of the file. A history of certification keeps the verdict
alone, with its comment, corrected text and revision.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, cast

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from skingpt_r1.errors import RecordError
from skingpt_r1.records import Record, read_records, write_bytes_atomic
from skingpt_r1.runs import picture_paths
from skingpt_r1.text.rubric import DIMENSIONS, REASONS, Scores, Unscored, parse_scores
from skingpt_r1.text.tokens import without_invisible

# Names of the six scores in files, in the order of `rubric.DIMENSIONS`.
SCORE_COLUMNS = tuple(name.lower().replace(" ", "_") for name in DIMENSIONS)
# What names of simulated raters begin with; no person may have such a name.
SIMULATED = "simulated"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def rater_key(name: str) -> str:
    """What all spellings of one rater's name have in common: two of them are one person.

    Letter case, spaces around and within, full-width letters, composed or decomposed accents and
    characters that nobody sees make no difference.
    """
    seen = without_invisible(unicodedata.normalize("NFKC", name))
    return unicodedata.normalize("NFKC", " ".join(seen.casefold().split()))


def rater_problem(name: str) -> str | None:
    """Why a name cannot be a person's pseudonym, in one sentence; None when it can."""
    if not _NAME.fullmatch(name):
        return (
            f"rater {name!r} is no pseudonym; 1 to 64 of the letters a to z, digits, '.', '_' and "
            "'-' are allowed"
        )
    if name.casefold().startswith(SIMULATED):
        return f"rater {name!r} has the name of a simulated rater; choose another pseudonym"
    return None


Score = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]


class RatingScores(Record):
    """Six scores from 0 to 5, in the order of `rubric.DIMENSIONS`."""

    accuracy: Score
    safety: Score
    medical_groundedness: Score
    clinical_coverage: Score
    reasoning_coherence: Score
    description_precision: Score

    @classmethod
    def of(cls, six: Sequence[float]) -> Self:
        """Six scores by their names."""
        return cls(**dict(zip(SCORE_COLUMNS, six, strict=True)))

    @property
    def values(self) -> tuple[float, ...]:
        """The scores in the order of `rubric.DIMENSIONS`."""
        return tuple(getattr(self, name) for name in SCORE_COLUMNS)

    @property
    def mean(self) -> float:
        """Mean of the six."""
        return sum(self.values) / len(self.values)


class Rationales(Record):
    """Words that go with the scores, where given."""

    accuracy: str | None = None
    safety: str | None = None
    medical_groundedness: str | None = None
    clinical_coverage: str | None = None
    reasoning_coherence: str | None = None
    description_precision: str | None = None


class Text(BaseModel):
    """A narrative to be judged: what a rating and a question to a judge have in common."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    id: str = Field(min_length=1)  # of the narrative
    image: str | tuple[str, ...]  # picture file, or several of the same case
    diagnostic_text: str
    group: str | None = None  # what must not be split, for example the patient; the id when None

    @property
    def files(self) -> tuple[str, ...]:
        """The picture files as written."""
        return (self.image,) if isinstance(self.image, str) else self.image


class Rating(Text):
    """One rater's verdict on one narrative; of a model, too.

    In certification `image` and `diagnostic_text` are empty: the corpus has both.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    image: str | tuple[str, ...] = ()
    diagnostic_text: str = ""
    rater: str = Field(default="unnamed", min_length=1)  # a pseudonym, or the name of a model
    simulated: bool = False  # whether the rater is a formula and not a person
    scores: RatingScores | None = None
    rationales: Rationales | None = None
    # The whole critique; the scores are read from it when `scores` is absent.
    evaluation_text: str | None = None
    unscored: str | None = None  # code of `rubric.REASONS` why there are no scores
    detail: str | None = None  # what was missing or wrong, for a person
    # Kinds of known damage of a synthetic narrative; None when nothing is known.
    damage: tuple[str, ...] | None = None
    # One line on what was checked before scoring; an evaluator learns to write it first.
    notes: str | None = None
    comment: str = ""  # what the rater had to say; never published
    corrected: str | None = None  # the narrative as the rater would have it, as given
    revision: int = 1  # of this rater's verdicts on this narrative, counted from 1

    @model_validator(mode="after")
    def _has_a_verdict(self) -> Self:
        if self.unscored is not None and self.unscored not in REASONS:
            raise ValueError(f"unscored {self.unscored!r} is not one of {', '.join(REASONS)}")
        if (self.scores is None) != (self.unscored is None):
            return self
        if self.scores is not None:
            raise ValueError("scores and unscored exclude each other; keep one")
        read = None if self.evaluation_text is None else self.verdict
        if not isinstance(read, Scores):
            why = "" if read is None else f"; the evaluation_text is unscored: {read.reason}"
            raise ValueError(f"no scores{why}; give scores, evaluation_text or unscored")
        return self

    @property
    def verdict(self) -> Scores | Unscored:
        """The scores with their rationales, or why there are none."""
        if self.unscored is not None:
            return Unscored(self.unscored, self.detail or "")
        if self.scores is None:
            return parse_scores(self.evaluation_text or "", judged=self.diagnostic_text)
        said = (self.rationales or Rationales()).model_dump().values()
        given = {name: words for name, words in zip(DIMENSIONS, said, strict=True) if words}
        return Scores(self.scores.values, rationales=given)

    @property
    def name(self) -> str:
        """Rater and revision, for example `a#2`."""
        return f"{self.rater}#{self.revision}"

    @property
    def six(self) -> RatingScores:
        """The scores of a rating that has them, as every one in certification."""
        assert self.scores is not None
        return self.scores


# A rating in a rating file: what certification adds has no place there.
_OF_CERTIFICATION = {"comment", "corrected", "revision"}


def _in_file(rating: Rating) -> Rating:
    lacking = [name for name in ("image", "diagnostic_text") if name not in rating.model_fields_set]
    if lacking:
        raise ValueError(f"{', '.join(lacking)}: field required")
    if not rating.files:
        raise ValueError("image: a rating needs at least one picture")
    if other := _OF_CERTIFICATION & rating.model_fields_set:
        raise ValueError(f"{', '.join(sorted(other))}: not a field of a rating file")
    return rating


# A rating in a history: the id of the case, the rater, six numbers, and what was said with them.
def _from_history(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return row
    six = row.get("scores")
    if not isinstance(six, Sequence) or len(six) != len(SCORE_COLUMNS):
        raise ValueError("scores: six numbers are needed, in the order of the dimensions")
    rest = {name: value for name, value in row.items() if name not in ("case", "scores")}
    simulated = str(row.get("rater")).casefold().startswith(SIMULATED)
    scores = dict(zip(SCORE_COLUMNS, six, strict=True))
    return {**rest, "id": row.get("case"), "simulated": simulated, "scores": scores}


def _to_history(rating: Rating) -> dict[str, Any]:
    return {
        "case": rating.id,
        "rater": rating.rater,
        "scores": rating.six.values,
        "comment": rating.comment,
        "corrected": rating.corrected,
        "revision": rating.revision,
    }


FileRating = Annotated[Rating, AfterValidator(_in_file)]
HistoryRating = Annotated[Rating, BeforeValidator(_from_history), PlainSerializer(_to_history)]


@dataclass(frozen=True, slots=True)
class RatedText:
    """A narrative with all that its raters said."""

    id: str  # of the narrative
    images: tuple[Path, ...]  # existing or not, resolved against the folder of the file
    text: str
    group: str  # what must not be split
    damage: tuple[str, ...] | None  # kinds of known damage; None when nothing is known
    ratings: tuple[Scores, ...]  # of each rater who scored, in the order of the file
    unscored: int = 0  # raters without a readable verdict
    notes: str = ""  # of the first rater who wrote some

    @property
    def mean(self) -> Scores:
        """Mean over the raters, dimension by dimension; there must be one."""
        means = np.mean([scores.values for scores in self.ratings], axis=0)
        return Scores(tuple(float(value) for value in means))


def read_rating_rows(path: Path) -> list[Rating]:
    """The rows of a rating file.

    Raises:
        RecordError: the file is missing or empty, or a line breaks the schema.
    """
    rows: list[Rating] = read_records(path, cast(Any, FileRating))
    if not rows:
        raise RecordError(f"{path} has no rows; a rating file has one JSON object a line")
    return rows


def read_ratings(path: Path) -> list[RatedText]:
    """The narratives of a rating file, each with its raters, in the order of their first rows.

    Raises:
        RecordError: the file is missing or empty, a line breaks the schema, a rater scores a
            narrative twice, or rows of one id disagree about text or pictures.
    """
    first: dict[str, tuple[int, Rating]] = {}
    members: dict[str, dict[str, Rating]] = {}
    for number, row in enumerate(read_rating_rows(path), 1):
        line, before = first.setdefault(row.id, (number, row))
        if (row.diagnostic_text, row.image) != (before.diagnostic_text, before.image):
            raise RecordError(
                f"{path}, row {number}: id {row.id!r} has another text or picture than in row "
                f"{line}; give different narratives different ids"
            )
        raters = members.setdefault(row.id, {})
        if raters.setdefault(rater_key(row.rater), row) is not row:
            raise RecordError(
                f"{path}, row {number}: rater {row.rater!r} has scored {row.id!r} already; keep "
                "one row for each rater and narrative"
            )
    return [_judged(list(raters.values()), path) for raters in members.values()]


def _judged(rows: Sequence[Rating], path: Path) -> RatedText:
    first, verdicts = rows[0], [row.verdict for row in rows]
    scored = tuple(verdict for verdict in verdicts if isinstance(verdict, Scores))
    return RatedText(
        id=first.id,
        images=picture_paths(first.files, path.parent),
        text=first.diagnostic_text,
        group=first.group or first.id,
        damage=first.damage,
        ratings=scored,
        unscored=len(verdicts) - len(scored),
        notes=next((row.notes for row in rows if row.notes), ""),
    )


def read_texts(path: Path) -> list[tuple[Text, tuple[Path, ...]]]:
    """The narratives of a file of ratings or of bare narratives, each once, with their pictures.

    Raises:
        RecordError: as `read_ratings`; or a picture is not there: the first lines are named.
    """
    texts: dict[str, Text] = {}
    for number, row in enumerate(read_records(path, dict[str, Any]), 1):
        text = _read_text(row, path, number)
        before = texts.setdefault(text.id, text)
        if (before.diagnostic_text, before.image) != (text.diagnostic_text, text.image):
            raise RecordError(
                f"{path}, row {number}: id {text.id!r} comes twice with another text or picture; "
                "give different narratives different ids"
            )
    if not texts:
        raise RecordError(f"{path} has no rows; give one JSON object a line")
    found = [(text, picture_paths(text.files, path.parent)) for text in texts.values()]
    absent = [text.id for text, files in found if not all(file.is_file() for file in files)]
    if absent:
        raise RecordError(
            f"{path}: {len(absent)} narratives have pictures that are not there: "
            f"{', '.join(absent[:10])}; relative paths begin at the folder of the file"
        )
    return found


def _read_text(row: Mapping[str, Any], path: Path, number: int) -> Text:
    try:
        text = Text.model_validate_json(json.dumps(row))
    except ValueError as error:
        missing = [name for name in ("id", "image", "diagnostic_text") if name not in row]
        why = (
            f"no {', no '.join(missing)}" if missing else "id, image or diagnostic_text is no text"
        )
        raise RecordError(
            f"{path}, row {number}: {why}; a narrative has id, image and diagnostic_text"
        ) from error
    if not text.files:
        raise RecordError(f"{path}, row {number}: image is empty; give at least one picture")
    return text


def one_or_all(images: Sequence[str]) -> str | tuple[str, ...]:
    """The field `image` of a row: one picture is written without a list."""
    return images[0] if len(images) == 1 else tuple(images)


def file_row(rating: Rating) -> dict[str, Any]:
    """A row of a rating file, without what is None and what belongs to certification."""
    return rating.model_dump(mode="json", exclude_none=True, exclude=_OF_CERTIFICATION)


def write_ratings(path: Path, rows: Iterable[Rating]) -> None:
    """Write a rating file, one row a line.

    Raises:
        RecordError: the file cannot be written.
    """
    lines = [json.dumps(file_row(row), ensure_ascii=False) for row in rows]
    write_bytes_atomic(path, "".join(f"{line}\n" for line in lines).encode())
