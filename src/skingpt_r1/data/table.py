"""Tables on disk, CSV and JSON Lines, and the frame of every reader of one table.

Tables are read whole, and every malformed row is told.
"""

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import numbered_lines
from skingpt_r1.text.values import lowered, rest, stated, tidy


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: column -> cell; text for CSV, anything for JSON Lines."""

    where: str  # file and row; the heading of a CSV file is row 1, as in a spreadsheet
    values: dict[str, Any]


def first_file(reading: Reading, names: Sequence[str]) -> Path:
    """The first of the named files that exists under the data set's folder.

    Raises:
        DatasetError: none of them does.
    """
    for name in names:
        if (reading.root / name).is_file():
            return reading.root / name
    raise DatasetError(
        f"{reading.info.name}: no {' or '.join(names)} in {reading.root};"
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


def read_jsonl(path: Path, required: Sequence[str], reading: Reading) -> list[Row]:
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
        records.append(Row(where, values))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The frame of a reader: what the columns of a table with a row for each case mean.

    A row becomes a case, or every problem of it is told. Columns that are used here do not go to
    the attributes; all others do, as they are. Empty stands for a column that there is not.
    """

    files: tuple[str, ...] = ()  # names that the table may have; the first that is there is read
    columns: tuple[str, ...] = ()  # columns that must be there
    folders: str = ""  # pattern of the folders that hold the pictures; see `PictureIndex`
    pictures: tuple[str, ...] = ()  # columns of the picture names; every row must have them all
    id: str = ""  # else the name of the first picture without suffix
    group: str = ""  # what must not be split; else the id
    label: str = ""  # the diagnosis
    # Raw label -> label, or the labels; empty where any diagnosis may stand. A raw label that means
    # no diagnosis maps to "".
    names: Mapping[str, str] | tuple[str, ...] = ()
    age: str = ""  # in years
    site: str = ""  # place on the body
    fitzpatrick: str = ""  # skin type; it gives the tone too
    used: tuple[str, ...] = ()  # further columns that do not go to the attributes
    unknown: str = ""  # what those hold where nothing is known, beside the usual words
    # Other fields of the case, from a row; its attributes follow those of the columns. `images` are
    # picture names in place of those of `pictures`.
    more: Callable[[Row, Reading], dict[str, Any]] | None = None

    def __call__(self, reading: Reading) -> None:
        """Read the table, and add its cases and problems."""
        self.add(read_csv(first_file(reading, self.files), self.columns, reading), reading)

    def add(self, rows: Iterable[Row], reading: Reading, root: Path | None = None) -> None:
        """Add the cases and problems of rows; the pictures lie below `root`, else the folder."""
        pictures = PictureIndex(root or reading.root, self.folders)
        for row in rows:
            self._add_row(row, pictures, reading)

    def _add_row(self, row: Row, pictures: PictureIndex, reading: Reading) -> None:
        values, where = row.values, row.where
        needed = [name for name in (self.id or self.pictures[0], self.group) if name]
        told = {name: reading.required(where, name, values[name]) for name in needed}
        label = self._label(row, reading)
        scale = reading.fitzpatrick(where, _cell(values, self.fitzpatrick))
        age = reading.age(where, _cell(values, self.age))
        fields = self.more(row, reading) if self.more else {}
        fresh = [name for name in self.pictures if name not in told]
        names = {**told, **{name: reading.required(where, name, values[name]) for name in fresh}}
        images = fields.pop("images", [names[name] for name in self.pictures])
        if label is None or not images or None in told.values():
            return
        paths = [reading.picture(where, pictures, name) for name in images if name is not None]
        found = tuple(path for path in paths if path is not None)
        if len(found) < len(images):
            return
        identity = told[self.id] if self.id else Path(images[0]).stem
        case = {
            "id": identity,
            "images": found,
            "dataset": reading.info.name,
            "group": told[self.group] if self.group else identity,
            "label": label or None,
            "fitzpatrick": scale,
            "context": stated(site=lowered(_cell(values, self.site)), age=age),
            **fields,
            "attributes": {**self._attributes(values), **fields.get("attributes", {})},
        }
        if case["fitzpatrick"] is not None:
            case["tone"] = SkinTone.from_fitzpatrick(case["fitzpatrick"])
        reading.add(Case(**case), where)

    def _label(self, row: Row, reading: Reading) -> str | None:
        """The diagnosis, "" where there is none to read; None, and a problem, if it is wrong."""
        if not self.label:
            return ""
        if self.names:
            return reading.label(row.where, row.values[self.label], self.names)
        label = reading.required(row.where, self.label, row.values[self.label])
        return None if label is None else tidy(label)

    def _attributes(self, values: Mapping[str, str]) -> dict[str, str]:
        named = (self.id, self.group, self.label, self.age, self.site, self.fitzpatrick)
        kept = rest(values, *named, *self.pictures, *self.used)
        if isinstance(self.names, Mapping):
            kept = {"raw_label": values[self.label], **kept}
        return {name: text for name, text in kept.items() if text != self.unknown}


def _cell(values: Mapping[str, str], column: str) -> str:
    # A column without a name is what pandas writes for its index.
    return values.get(column, "") if column else ""
