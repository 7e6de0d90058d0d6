"""What a rater gets: neutral names, the columns to fill in, and the instructions."""

import hashlib

from skingpt_r1.ratings.verdict import SCORE_COLUMNS
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
