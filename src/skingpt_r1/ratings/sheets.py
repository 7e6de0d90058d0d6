"""Cases out to raters, and their tables back in.

Out: a folder with pictures under neutral names, a table to fill in, and instructions. Blinded: no
narrator, no evaluator, no score, no label and no name of the source. Pictures are decoded and
written anew, so that neither metadata nor the old file name goes along. In: a filled-in table is
read whole, and every wrong row is reported with its number.
"""

import csv
import hashlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.case import Case
from skingpt_r1.data.intake import open_image
from skingpt_r1.data.reading import DatasetInfo, Reading
from skingpt_r1.data.table import read_csv, read_jsonl
from skingpt_r1.errors import DatasetError, NarrativeError
from skingpt_r1.ratings.certification import CertifyRules, History, Import
from skingpt_r1.ratings.corrected import canonical_text
from skingpt_r1.ratings.rating import SCORE_COLUMNS, Rating, RatingScores, rater_key, rater_problem
from skingpt_r1.records import sha256_file
from skingpt_r1.text.giveaways import identity_words
from skingpt_r1.text.narrative import REASONS
from skingpt_r1.text.rubric import Protocol

# Columns that say which row it is and what is judged, then columns to fill in.
CASE, RATER = "case", "rater"
SHOWN_COLUMNS = (CASE, RATER, "images", "site", "age", "narrative")
COMMENT, CORRECTED = "comment", "corrected_text"
FILLED_COLUMNS = (*SCORE_COLUMNS, COMMENT, CORRECTED)
COLUMNS = (*SHOWN_COLUMNS, *FILLED_COLUMNS)
TABLE, RECORDS = "ratings.csv", "ratings.jsonl"
INSTRUCTIONS, PICTURES = "INSTRUCTIONS.md", "images"

_CODE_DIGITS = 12
# With these a spreadsheet begins a formula, Asian ones also with the full-width forms.
_FORMULA = tuple("=+-@＝＋－＠")
# What a rater reads before the first case.
# Source: meanings and anchors of the DermBench release, in our words.
_GUIDE = Path(__file__).with_name("instructions.md")


def case_code(case: str, judged: str) -> str:
    """The neutral name of a case: it tells nothing about diagnosis, source or order.

    It depends on the sha256 of what is judged, so that a table of other texts does not fit.
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


class Exported(NamedTuple):
    """What lies in the folder of an export."""

    folder: Path
    rows: int  # to fill in
    cases: int
    pictures: int
    short: int  # cases that need more raters than were named


def check_raters(raters: Sequence[str]) -> None:
    """Stop where names cannot be those of the people who are to rate.

    Raises:
        DatasetError: no rater, a name that is no pseudonym, or one that stands twice.
    """
    problems = [found for name in raters if (found := rater_problem(name)) is not None]
    people = Counter(map(rater_key, raters))
    problems += [f"rater {name!r} stands twice" for name in raters if people[rater_key(name)] > 1]
    if problems or not raters:
        raise DatasetError("an export needs raters, each once: --rater a --rater b", problems)


def assign_raters(
    cases: Iterable[str], history: History, rules: CertifyRules, raters: Sequence[str], seed: int
) -> dict[str, tuple[str, ...]]:
    """Who should still rate which case: case -> raters, only cases that need somebody.

    A case without enough verdicts gets as many raters as it lacks, a disputed one gets one more;
    never a rater who has rated it. Work is shared evenly, ties by the seed.
    """
    load = dict.fromkeys(raters, 0)
    assigned: dict[str, tuple[str, ...]] = {}
    for case in cases:
        missing = history.missing(case, rules)
        if missing < 1:
            continue
        rated = history.ratings.get(case, {})
        free = [name for name in raters if history.name_of(name) not in rated]
        free.sort(key=lambda name: (load[name], _shuffled(seed, case, name)))
        assigned[case] = tuple(free[:missing])
        for name in assigned[case]:
            load[name] += 1
    return assigned


def export_cases(
    cases: Iterable[Case],
    history: History,
    rules: CertifyRules,
    assigned: Mapping[str, Sequence[str]],
    folder: Path,
    *,
    judged: str,
    seed: int,
) -> Exported:
    """Write the folder for the raters; it appears whole or not at all.

    The cases are streamed with their narratives; `assigned` is what `assign_raters` gives, `judged`
    the SHA-256 of what is judged, see `case_code`. The seed is that of the order of the rows, which
    differs from rater to rater.

    Raises:
        DatasetError: the folder exists, no case needs these raters, or it cannot be written.
        ImageError: a picture cannot be read.
    """
    if folder.exists():
        raise DatasetError(f"{folder} exists; name a new folder for the export")
    if not any(assigned.values()):
        raise DatasetError("nothing to export: no case needs one of these raters")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    rows: list[dict[str, str]] = []
    pictures: dict[str, int] = {}
    try:
        (partial / PICTURES).mkdir(parents=True)
        for case in cases:
            if raters := assigned.get(case.id):
                shown = _copy_case(case, partial, case_code(case.id, judged))
                assert shown[CASE] not in pictures, "two cases share a neutral name"
                pictures[shown[CASE]] = len(case.images)
                rows += [{**shown, RATER: rater} for rater in raters]
        rows.sort(key=lambda row: (row[RATER], _shuffled(seed, row[CASE], row[RATER])))
        _write_tables(partial, rows)
        partial.replace(folder)
    except OSError as error:
        raise DatasetError(f"cannot write the export {folder}: {error.strerror}") from error
    short = sum(len(names) < history.missing(name, rules) for name, names in assigned.items())
    return Exported(folder, len(rows), len(pictures), sum(pictures.values()), short)


def _shuffled(seed: int, *names: str) -> str:
    """A place in an order that depends on the seed and the names alone."""
    return hashlib.sha256(":".join((str(seed), *names)).encode()).hexdigest()


def _copy_case(case: Case, partial: Path, code: str) -> dict[str, str]:
    """Copy the pictures of a case under its neutral name; the columns of its rows."""
    names = [f"{PICTURES}/{code}-{place}.png" for place in range(1, len(case.images) + 1)]
    for name, image in zip(names, case.images, strict=True):
        open_image(image).save(partial / name, format="PNG")
    return {
        CASE: code,
        "images": " ".join(names),
        "site": case.context.get("site", ""),
        "age": case.context.get("age", ""),
        "narrative": case.narrative or "",
        **dict.fromkeys(FILLED_COLUMNS, ""),
    }


def _write_tables(partial: Path, rows: Sequence[Mapping[str, str]]) -> None:
    # With a byte-order mark, without which spreadsheets misread accents.
    with (partial / TABLE).open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows({name: as_cell(row[name]) for name in COLUMNS} for row in rows)
    lines = [json.dumps({name: row[name] for name in COLUMNS}, ensure_ascii=False) for row in rows]
    (partial / RECORDS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(_GUIDE, partial / INSTRUCTIONS)


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


def read_sheet(
    path: Path, cases: Iterable[str], judged: str, *, imported_at: str, sound_rows: bool = False
) -> Import:
    """Read a table that raters filled in.

    It is a `.csv` or `.jsonl` file with the columns of the export. `cases` are the ids of every
    case under certification, `judged` the SHA-256 of what is judged, see `case_code`;
    `imported_at` is in UTC. With `sound_rows` the sound rows are taken and the wrong ones counted;
    else one wrong row stops all.

    Raises:
        DatasetError: the file is missing, is no table, lacks a column or filled-in rows, or rows
            are wrong: all of them are named.
        RecordError: the file cannot be read.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; give the table that the raters filled in")
    reading = Reading(_SHEET, path.parent)
    codes = {case_code(case, judged): case for case in cases}
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
        first, _ = kept.setdefault((rating.id, rater_key(rating.rater)), (where, rating))
        if first != where:
            reading.problem(where, f"rater {rating.rater!r} has rated this case in {first} already")
            refused += 1
    total = len(kept) + refused + unfilled
    if refused and not sound_rows:
        raise DatasetError(
            f"{path}: {refused} of {total} rows are wrong; nothing was imported; correct "
            "them, or import the sound rows alone with --sound-rows",
            reading.problems,
        )
    if not kept:
        raise DatasetError(
            f"{path}: no row to import: {unfilled} of {total} are not filled in and "
            f"{refused} are wrong",
            reading.problems,
        )
    return Import(
        file=path.name,
        sha256=sha256_file(path),
        judged=judged,
        simulated=False,
        imported_at=imported_at,
        refused=refused,
        unfilled=unfilled,
        ratings=tuple(rating for _, rating in kept.values()),
    )


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
    code, rater = _text(values[CASE]), _text(values[RATER])
    corrected = _text(values[CORRECTED])
    scores = [_score(name, values[name]) for name in SCORE_COLUMNS]
    problems = [problem for problem in scores if isinstance(problem, str)]
    if (problem := rater_problem(rater)) is not None:
        problems.insert(0, problem)
    if code not in codes:
        problems.insert(0, f"case {code!r} is not under certification; keep the exported names")
    if corrected and (problem := _corrected_problem(corrected)) is not None:
        problems.append(problem)
    for problem in problems:
        reading.problem(where, problem)
    if problems:
        return None
    return Rating(
        id=codes[code],
        rater=rater,
        scores=RatingScores.of([score for score in scores if isinstance(score, float)]),
        comment=_text(values[COMMENT]),
        corrected=corrected or None,
    )


def _score(name: str, value: Any) -> float | str:
    """A score, or what is wrong with it."""
    text = _text(value)
    if not text:
        return f"{name} is empty; give all six scores, or leave the row empty"
    try:
        score = float(text.replace(",", ".")) if not isinstance(value, bool) else math.nan
    except ValueError:
        score = math.nan
    scale = Protocol.DECIMAL_0_5
    if scale.problem(score) is None:
        return score
    return (
        f"{name} {text[:20]!r} is no score; numbers from {scale.low:g} to {scale.high:g} are "
        "allowed, for example 4.5"
    )


def _corrected_problem(text: str) -> str | None:
    """Why a corrected text cannot stand; the text itself may hold anything and is not quoted."""
    try:
        canonical_text(text)
    except NarrativeError as error:
        why = str(error) if error.reason == "not_canonical" else REASONS.get(error.reason, "")
        form = f"({error.reason}); see {INSTRUCTIONS} for the form"
        return f"{CORRECTED} cannot be read as a narrative: {why} {form}"
    kind = identity_words(text)
    if kind is None:
        return None
    return f"{CORRECTED} may tell who the person is ({kind}); leave such words out"
