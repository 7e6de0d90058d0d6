"""Tables on disk: CSV and JSON Lines, read whole, with every malformed row told."""

import csv
import difflib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skingpt_r1.data.reading import Reading
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import numbered_lines


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        where: file and row for messages; the heading of a CSV file is row 1, as in a spreadsheet.
        values: column -> cell; text for CSV.
    """

    where: str
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """A line of a JSON Lines file; `values` is the object, checked to have text keys only."""

    where: str
    values: dict[str, Any]


def first_file(reading: Reading, names: Iterable[str]) -> Path:
    """The first of the named files that exists under the data set's folder.

    Raises:
        DatasetError: none of them does.
    """
    wanted = list(names)
    for name in wanted:
        if (reading.root / name).is_file():
            return reading.root / name
    raise DatasetError(
        f"{reading.info.name}: no {' or '.join(wanted)} in {reading.root};"
        f" expected {reading.info.layout}"
    )


def read_csv(path: Path, required: Sequence[str], reading: Reading) -> list[Row]:
    """All rows of a comma- or tab-separated file.

    Rows with too few or too many cells become problems of `reading` and are left out.

    Raises:
        DatasetError: not UTF-8 text, broken quoting, or a required column is missing.
    """
    text = _read_text(path, reading)
    heading = text.split("\n", 1)[0]
    delimiter = "\t" if "\t" in heading and "," not in heading else ","
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DatasetError(
            f"{reading.info.name}: {path} is not a readable CSV file: {error}"
        ) from error
    columns = [column.strip() for column in lines[0]] if lines else []
    _check_columns(path, columns, required, reading)
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        where = f"{path.name} row {number}"
        if not cells:
            continue
        if len(cells) != len(columns):
            reading.problem(where, f"{len(cells)} cells where the heading has {len(columns)}")
            continue
        rows.append(Row(where, dict(zip(columns, cells, strict=True))))
    return rows


def rows_by_id(rows: Iterable[Row], column: str, reading: Reading) -> dict[str, Row]:
    """Rows of a second table, by the id that joins them; an id that stands twice is a problem."""
    found: dict[str, Row] = {}
    for row in rows:
        name = row.values[column].strip()
        first = found.setdefault(name, row)
        if first is not row:
            reading.problem(row.where, f"duplicate id {name!r}, first seen in {first.where}")
    return found


def read_jsonl(path: Path, required: Sequence[str], reading: Reading) -> list[Record]:
    """All objects of a JSON Lines file; lines that are none become problems of `reading`.

    Raises:
        DatasetError: not UTF-8 text.
        RecordError: one JSON list.
    """
    records = []
    lines = _read_text(path, reading).encode().split(b"\n")
    for number, line in numbered_lines(lines, path):
        where = f"{path.name} row {number}"
        try:
            values = json.loads(line, object_pairs_hook=_once)
            json.dumps(values, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            reading.problem(where, f"not JSON: {error}")
            continue
        if not isinstance(values, dict):
            reading.problem(where, "not a JSON object; write one object a line")
            continue
        absent = [name for name in required if name not in values]
        if absent:
            reading.problem(where, f"no {', '.join(absent)}; it has {', '.join(values)}")
            continue
        records.append(Record(where, values))
    return records


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a name that stands twice would hide a value."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for name in values if [key for key, _ in pairs].count(name) > 1)
        raise ValueError(f"the name {twice!r} stands twice in one object")
    return values


def _read_text(path: Path, reading: Reading) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="strict")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{reading.info.name}: {path} is not UTF-8 text ({error.reason} at byte"
            f" {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{reading.info.name}: {path} cannot be read: {error.strerror}"
        ) from error


def _check_columns(
    path: Path, columns: Sequence[str], required: Sequence[str], reading: Reading
) -> None:
    problems = []
    for name in required:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            problems.append(f"no column {name!r}" + (f"; is it {near[0]!r}?" if near else ""))
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    problems += [f"column {name!r} stands twice" for name in twice]
    if problems:
        raise DatasetError(
            f"{reading.info.name}: wrong columns in {path}; found: {', '.join(columns) or 'none'}",
            [*reading.problems, *problems],
        )
