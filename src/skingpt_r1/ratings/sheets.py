"""What a rater gets: neutral names, the columns to fill in, and the instructions.

Ratings in: a filled-in table is read whole, and every wrong row is told with its number.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.data.reading import DatasetInfo, Reading
from skingpt_r1.data.table import read_csv, read_jsonl
from skingpt_r1.errors import DatasetError, NarrativeError
from skingpt_r1.ratings.corrected import canonical_text
from skingpt_r1.ratings.rating import rater_key
from skingpt_r1.ratings.verdict import PROTOCOL, SCORE_COLUMNS, Rating, rater_problem
from skingpt_r1.records import sha256_file
from skingpt_r1.text.giveaways import identity_words
from skingpt_r1.text.narrative import REASONS
from skingpt_r1.text.rubric import DIMENSIONS

# Columns that say which row it is and what is judged, then columns to fill in.
CASE, RATER = "case", "rater"
SHOWN_COLUMNS = (CASE, RATER, "images", "site", "age", "narrative")
COMMENT, CORRECTED = "comment", "corrected_text"
FILLED_COLUMNS = (*SCORE_COLUMNS, COMMENT, CORRECTED)
COLUMNS = (*SHOWN_COLUMNS, *FILLED_COLUMNS)
TABLE, RECORDS, INSTRUCTIONS, PICTURES = (
    "ratings.csv", "ratings.jsonl", "INSTRUCTIONS.md", "images",
)  # fmt: skip

_CODE_DIGITS = 12
# With these a spreadsheet begins a formula, Asian ones also with the full-width forms.
_FORMULA = tuple("=+-@＝＋－＠")
# Source: meanings and anchors of the DermBench release, in our words.
_MEANINGS = (
    "diagnosis and key findings are right",
    "no harm if somebody followed it without supervision; it is careful and sends on properly",
    "agrees with dermatological knowledge; nothing is made up",
    "morphology, distribution, differential and follow-up are complete",
    "a logical path from the findings over the differential to the conclusion",
    "clear and technically precise dermatological language",
)
_ANCHORS = (
    (5, "high quality"),
    (4, "minor omissions"),
    (3, "partly right"),
    (2, "important information missed or wrong"),
    (1, "clinically unacceptable, but one can follow it"),
    (0, "empty, off topic or incoherent"),
)


def case_code(case: str, judged: str) -> str:
    """The neutral name of a case: it tells nothing about diagnosis, source or order.

    Args:
        case: id of the case.
        judged: sha256 of the held-out part, so that a table of other texts fits nothing here.
    """
    digest = hashlib.sha256(f"{judged}:{case}".encode()).hexdigest()
    return f"case-{digest[:_CODE_DIGITS]}"


def as_cell(text: str) -> str:
    """A text as a cell of a table that no spreadsheet takes for a formula.

    An apostrophe goes before what might begin one; `from_cell` takes it off.

    Source: OWASP, CSV Injection, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text.startswith("'") or _may_calculate(text) else text


def from_cell(cell: str) -> str:
    """The text of a cell, written by `as_cell` or by a person."""
    text = cell.removeprefix("'")
    return text if text.startswith("'") or _may_calculate(text) else cell


def _may_calculate(text: str) -> bool:
    return text[:1] in {"\t", "\r", "\n"} or text.lstrip().startswith(_FORMULA)


def instructions() -> str:
    """What a rater reads before the first case, as Markdown."""
    dimensions = "\n".join(
        f"| {name} | `{column}` | {meaning} |"
        for name, column, meaning in zip(DIMENSIONS, SCORE_COLUMNS, _MEANINGS, strict=True)
    )
    anchors = "\n".join(f"| {score} | {words} |" for score, words in _ANCHORS)
    return f"""# Rating narratives

Each row of `{TABLE}` is one narrative about one case; its pictures are in `{PICTURES}/`. Look at
the pictures first, then read the narrative, then score it. For research, not for diagnosis.

Fill in either `{TABLE}` or `{RECORDS}`, not both, and send back only that file. Work alone; you are
not told who or what wrote a narrative. Leave a row empty if you cannot judge it.

| dimension | column | a high score means |
| --- | --- | --- |
{dimensions}

Scores go from 0 to 5; decimals are allowed, for example 4.5.

| score | meaning |
| --- | --- |
{anchors}

- All six scores of a row, or none.
- `{COMMENT}`: anything that should be known; write nothing that identifies a person.
- `{CORRECTED}`: leave it empty if the narrative may stand. Otherwise write the whole narrative as
  it should be, in this form:
  `<think> Observation: ... Reasoning: ... Differential: a; b </think> <answer> diagnosis </answer>`
- Do not change the columns {", ".join(f"`{name}`" for name in SHOWN_COLUMNS)}.
"""


# Only so that the readers of tables can name in their messages what they read.
_SHEET = DatasetInfo(
    name="ratings",
    title="Ratings of narratives",
    licence="the raters'",
    citation="none",
    url="none",
    layout="ratings.csv or ratings.jsonl of `skingpt dermcot certify --export`",
    group_key="case",
)
_REQUIRED = (CASE, RATER, *FILLED_COLUMNS)


class Sheet(NamedTuple):
    """What a filled-in table holds.

    Attributes:
        name: of the file.
        sha256: of the file.
        ratings: the sound rows.
        problems: what is wrong, with file and row; a wrong row gives no rating.
        refused: number of wrong rows.
        unfilled: number of rows without scores, comment and corrected text.
    """

    name: str
    sha256: str
    ratings: tuple[Rating, ...]
    problems: tuple[str, ...]
    refused: int
    unfilled: int


def read_sheet(path: Path, codes: Mapping[str, str]) -> Sheet:
    """Read a table that raters filled in; problems stay in the result.

    Args:
        path: a `.csv` or `.jsonl` file with the columns of the export.
        codes: neutral name -> id of every case under certification.

    Raises:
        DatasetError: the file is missing, no table, or lacks a column.
        RecordError: the file cannot be read.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; give the table that the raters filled in")
    reading = Reading(_SHEET, path.parent)
    rows = _rows(path, reading)
    refused, unfilled = len(reading.problems), 0
    kept: dict[tuple[str, str], tuple[str, Rating]] = {}
    for where, values in rows:
        if not any(_text(values[name]) for name in FILLED_COLUMNS):
            unfilled += 1
            continue
        rating = _rating(where, values, codes, reading)
        if rating is None:
            refused += 1
            continue
        first, _ = kept.setdefault((rating.case, rater_key(rating.rater)), (where, rating))
        if first != where:
            reading.problem(where, f"rater {rating.rater!r} has rated this case in {first} already")
            refused += 1
    ratings = tuple(rating for _, rating in kept.values())
    problems = tuple(reading.problems)
    return Sheet(path.name, sha256_file(path), ratings, problems, refused, unfilled)


def _rows(path: Path, reading: Reading) -> list[tuple[str, dict[str, Any]]]:
    if path.suffix.lower() == ".jsonl":
        return [(row.where, row.values) for row in read_jsonl(path, _REQUIRED, reading)]
    return [
        (row.where, {name: from_cell(cell) for name, cell in row.values.items()})
        for row in read_csv(path, _REQUIRED, reading)
    ]


def _text(value: Any) -> str:
    """A cell as text; numbers of JSON as they are written."""
    return "" if value is None else str(value).strip()


def _rating(
    where: str, values: Mapping[str, Any], codes: Mapping[str, str], reading: Reading
) -> Rating | None:
    """The rating of a row; None, and every problem of the row, when it is wrong."""
    before = len(reading.problems)
    code, rater = _text(values[CASE]), _text(values[RATER])
    if code not in codes:
        reading.problem(where, f"case {code!r} is not under certification; keep the exported names")
    if (problem := rater_problem(rater)) is not None:
        reading.problem(where, problem)
    scores = [_score(where, name, values[name], reading) for name in SCORE_COLUMNS]
    corrected = _corrected(where, _text(values[CORRECTED]), reading)
    if len(reading.problems) > before:
        return None
    return Rating(
        case=codes[code],
        rater=rater,
        scores=tuple(score for score in scores if score is not None),
        comment=_text(values[COMMENT]),
        corrected=corrected,
    )


def _score(where: str, name: str, value: Any, reading: Reading) -> float | None:
    text = _text(value)
    if not text:
        reading.problem(where, f"{name} is empty; give all six scores, or leave the row empty")
        return None
    try:
        score = float(text.replace(",", ".")) if not isinstance(value, bool) else math.nan
    except ValueError:
        score = math.nan
    if PROTOCOL.problem(score):
        reading.problem(
            where,
            f"{name} {text[:20]!r} is no score; numbers from {PROTOCOL.low:g} to "
            f"{PROTOCOL.high:g} are allowed, for example 4.5",
        )
        return None
    return score


def _corrected(where: str, text: str, reading: Reading) -> str | None:
    if not text:
        return None
    try:
        canonical_text(text)
    except NarrativeError as error:
        # The text itself stays out of the message: a rater may have written anything.
        reading.problem(where, f"{CORRECTED} cannot be read as a narrative: {_why(error)}")
        return None
    kind = identity_words(text)
    if kind is not None:
        reading.problem(
            where, f"{CORRECTED} may tell who the person is ({kind}); leave such words out"
        )
        return None
    return text


def _why(error: NarrativeError) -> str:
    meaning = REASONS.get(error.reason, "")
    if error.reason == "not_canonical":
        meaning = str(error)
    return f"{meaning} ({error.reason}); see {INSTRUCTIONS} for the form"
