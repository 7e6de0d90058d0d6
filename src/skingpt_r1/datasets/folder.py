"""A plain folder of pictures with `metadata.jsonl` or `metadata.csv`, read and written.

A row names its picture in `file_name`, or several in `file_names` (a JSON list), relative to the
folder. Known fields: id, dataset, label, group, split, fitzpatrick, tone, findings, context,
attributes, narrative. In JSON Lines the three mappings are objects; in CSV they are columns such
as `findings.colour` and `context.site`. Any other column goes to the attributes.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from skingpt_r1.case import Case, SkinTone, Split
from skingpt_r1.datasets.info import DatasetInfo
from skingpt_r1.datasets.reading import Reading
from skingpt_r1.datasets.table import Record, first_file, read_csv, read_jsonl
from skingpt_r1.datasets.values import known
from skingpt_r1.errors import DatasetError
from skingpt_r1.findings import check_findings
from skingpt_r1.phrasing import check_context

INFO = DatasetInfo(
    name="folder",
    title="A folder of pictures with a metadata table",
    licence="the owner's",
    citation="none",
    url="none",
    layout="metadata.jsonl or metadata.csv with a column file_name (or file_names), and pictures",
    group_key="column group; the case itself where there is none",
    tone_field="fitzpatrick, tone",
)
T = TypeVar("T")
TABLES = ("metadata.jsonl", "metadata.csv")
MAPPINGS = ("findings", "context", "attributes")
FIELDS = ("id", "dataset", "label", "group", "split", "fitzpatrick", "tone", "narrative")
SPLITS = {
    "train": Split.TRAIN, "validation": Split.VALIDATION, "valid": Split.VALIDATION,
    "val": Split.VALIDATION, "test": Split.TEST,
}  # fmt: skip


def read(root: Path) -> Reading:
    """Read the table and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    path = first_file(reading, TABLES)
    if all((root / name).is_file() for name in TABLES):
        raise DatasetError(f"folder: {root} has both {' and '.join(TABLES)}; keep one")
    for record in _records(path, reading):
        _add(record, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a folder that has a metadata table.

    `id` defaults to the name of the first picture without suffix, `group` to the id.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def write_folder(folder: Path, cases: Iterable[Case]) -> Path:
    """Write `metadata.jsonl` beside the pictures, so that `load` gives the same cases back.

    The file appears only when it is complete.

    Args:
        folder: the folder that holds the pictures of all cases, directly or deeper.
        cases: what to write; ids must differ.

    Returns:
        The path of the table.

    Raises:
        DatasetError: a picture lies outside the folder, two cases share an id, nothing to write,
            or the folder cannot be written to.
    """
    lines, ids, problems = [], set(), []
    for case in cases:
        outside = [path.name for path in case.images if not _lies_in(path, folder)]
        if outside or not case.images:
            names = ", ".join(outside) or "it has none"
            problems.append(f"case {case.id!r}: pictures not in the folder: {names}")
        elif case.id in ids:
            problems.append(f"case {case.id!r}: duplicate id")
        else:
            ids.add(case.id)
            lines.append(json.dumps(_to_record(case, folder), ensure_ascii=False))
    if problems or not lines:
        raise DatasetError(f"folder: {len(problems)} problems; nothing written", problems)
    path = folder / "metadata.jsonl"
    partial = folder / "metadata.jsonl.partial"
    try:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise DatasetError(f"folder: cannot write {path}: {error.strerror}") from error
    return path


def _lies_in(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts


def _to_record(case: Case, folder: Path) -> dict[str, Any]:
    names = [path.relative_to(folder).as_posix() for path in case.images]
    # Said out loud, so that reading back does not conclude the tone from the type.
    silent = case.tone is None and case.fitzpatrick is not None
    fields: dict[str, Any] = {
        "file_name": names[0] if len(names) == 1 else None,
        "file_names": names if len(names) > 1 else None,
        "id": case.id,
        "dataset": case.dataset,
        "group": case.group,
        "label": case.label,
        "split": case.split,
        "fitzpatrick": case.fitzpatrick,
        "tone": "unknown" if silent else case.tone,
        "findings": dict(case.findings) or None,
        "context": dict(case.context) or None,
        "attributes": dict(case.attributes) or None,
        "narrative": case.narrative,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _records(path: Path, reading: Reading) -> list[Record]:
    """The rows of either kind of table, with `findings.x` columns gathered into mappings."""
    if path.suffix == ".jsonl":
        return read_jsonl(path, (), reading)
    rows = read_csv(path, (), reading)
    if rows and not {"file_name", "file_names"} & set(rows[0].values):
        raise DatasetError(
            f"folder: wrong columns in {path}: no file_name or file_names;"
            f" found: {', '.join(rows[0].values)}"
        )
    records = []
    for row in rows:
        values: dict[str, Any] = {}
        for name, text in row.values.items():
            mapping, dot, key = name.partition(".")
            if dot and mapping in MAPPINGS:
                if known(text) is not None:
                    values.setdefault(mapping, {})[key] = text.strip()
            elif text.strip():
                values[name] = text
        records.append(Record(row.where, values))
    return records


def _add(record: Record, reading: Reading) -> None:
    values, where = record.values, record.where
    before = len(reading.problems)
    names = _names(record, reading)
    mappings = {name: _mapping(record, name, reading) for name in MAPPINGS}
    for problem in check_findings(mappings["findings"]) + check_context(mappings["context"]):
        reading.problem(where, problem)
    texts = {name: _text(values.get(name)) for name in FIELDS}
    scale = reading.fitzpatrick(where, texts["fitzpatrick"] or "")
    split = _choice(record, "split", SPLITS, reading)
    tone = _choice(record, "tone", {tone.value: tone for tone in SkinTone}, reading)
    if len(reading.problems) > before:
        return
    absent = [name for name in names if not (reading.root / name).is_file()]
    if absent:
        reading.miss(where, f"no picture {', '.join(absent)}")
        return
    identity = texts["id"] or str(PurePosixPath(names[0]).with_suffix(""))
    used = {"file_name", "file_names", *FIELDS, *MAPPINGS}
    others = {name: _text(value) for name, value in values.items() if name not in used}
    if scale is not None and tone is None and texts["tone"] is None:
        tone = SkinTone.from_fitzpatrick(scale)
    reading.add(
        Case(
            id=identity,
            images=tuple(reading.root / name for name in names),
            dataset=texts["dataset"] or INFO.name,
            group=texts["group"] or identity,
            label=texts["label"],
            split=split,
            fitzpatrick=scale,
            tone=tone,
            findings=mappings["findings"],
            context=mappings["context"],
            attributes={
                **{name: text for name, text in others.items() if text is not None},
                **mappings["attributes"],
            },
            narrative=texts["narrative"],
        ),
        where,
    )


def _text(value: Any) -> str | None:
    """A scalar as text, `2.0` as it stands; None for nothing."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _names(record: Record, reading: Reading) -> list[str]:
    """The picture names of a row, in order; problems if there are none or they leave the folder."""
    several = record.values.get("file_names")
    if isinstance(several, str):
        try:
            several = json.loads(several)
        except json.JSONDecodeError:
            reading.problem(record.where, f"file_names is not a JSON list: {several!r}")
            return []
    names = [record.values.get("file_name")] if several is None else several
    if not isinstance(names, list) or not names or not all(map(_is_inside, names)):
        reading.problem(
            record.where,
            f"file_name {names!r} is no picture inside the folder; give a relative path",
        )
        return []
    return [name.strip() for name in names]


def _is_inside(name: Any) -> bool:
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        return False
    path = PurePosixPath(name.strip())
    return not path.is_absolute() and ".." not in path.parts


def _mapping(record: Record, name: str, reading: Reading) -> dict[str, str]:
    """One of the three mappings of a row, values as text."""
    value = record.values.get(name) or {}
    if not isinstance(value, Mapping):
        reading.problem(record.where, f"{name} is {value!r}; give a mapping of names to values")
        return {}
    return {
        key: item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
        for key, item in value.items()
        if item is not None
    }


def _choice(record: Record, name: str, choices: Mapping[str, T], reading: Reading) -> T | None:
    """One of a few values; None when the field is empty, a problem when it is something else."""
    text = known(_text(record.values.get(name)))
    if text is None:
        return None
    if text.casefold() in choices:
        return choices[text.casefold()]
    reading.problem(record.where, f"{name} {text!r} is not one of {', '.join(choices)}")
    return None
