"""A plain folder of pictures with `metadata.jsonl` or `metadata.csv`, read and written.

A row names its picture in `file_name`, or several in `file_names` (a JSON list), relative to the
folder. Known fields: id, dataset, label, group, split, fitzpatrick, tone, findings, context,
attributes, narrative. In JSON Lines the three mappings are objects; in CSV they are columns such
as `findings.colour` and `context.site`. Any other column goes to the attributes.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar
from unicodedata import normalize

from skingpt_r1.case import Case, SkinTone, Split, id_problem
from skingpt_r1.data.pictures import PictureIndex, is_there, without_suffix
from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.data.table import Row, first_file, read_csv, read_jsonl
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.findings import check_findings
from skingpt_r1.text.values import given_text, tidy
from skingpt_r1.text.wording import check_context

T = TypeVar("T")
TABLES = ("metadata.jsonl", "metadata.csv")
MAPPINGS = ("findings", "context", "attributes")
NAMES = ("id", "dataset", "label", "group")
FIELDS = (*NAMES, "split", "fitzpatrick", "tone", "narrative")
FILES = ("file_name", "file_names")
UNTOLD = "unknown"
SPLITS = {
    "train": Split.TRAIN, "validation": Split.VALIDATION, "valid": Split.VALIDATION,
    "val": Split.VALIDATION, "test": Split.TEST,
}  # fmt: skip


def _fill(reading: Reading) -> None:
    path = first_file(reading, TABLES)
    if all((reading.root / name).is_file() for name in TABLES):
        raise DatasetError(f"folder: {reading.root} has both {' and '.join(TABLES)}; keep one")
    rows = _rows(path, reading)
    _check_names(path, rows, reading)
    pictures = PictureIndex(reading.root)
    groups = _joined_groups(rows, reading)
    for row in rows:
        _add(row, pictures, groups, reading)
    for names in _alike(case.label for case in reading.cases).values():
        shown = ", ".join(map(repr, names))
        reading.notes[f"labels that differ in letter case alone, kept apart: {shown}"] = len(names)


def write_folder(folder: Path, cases: Iterable[Case]) -> Path:
    """Write `metadata.jsonl` above the pictures, whole or not at all; `load` gives the cases back.

    Raises:
        DatasetError: a picture lies outside the folder, two cases share an id, a text would be
            read back as another one, nothing to write, or the folder cannot be written to.
    """
    cases = list(cases)
    lines, ids, problems = [], set(), []
    for case in cases:
        outside = [path.name for path in case.images if not _lies_in(path, folder)]
        if outside or not case.images:
            names = ", ".join(outside) or "it has none"
            problems.append(f"case {case.id!r}: pictures not in the folder: {names}")
        elif case.id in ids:
            problems.append(f"case {case.id!r}: duplicate id")
        elif changed := _changed(case):
            problems.append(f"case {case.id!r}: {changed}")
        else:
            ids.add(case.id)
            lines.append(json.dumps(_to_record(case, folder), ensure_ascii=False))
    alike = _alike(case.group for case in cases)
    problems += [f"groups {names} would be read back as one" for names in alike.values()]
    if problems or not lines:
        raise DatasetError(f"folder: {len(problems)} problems; nothing written", problems)
    path, partial = folder / "metadata.jsonl", folder / "metadata.jsonl.partial"
    try:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise DatasetError(f"folder: cannot write {path}: {error.strerror}") from error
    return path


def _changed(case: Case) -> str | None:
    """What of a case a reader would change: an id, spaces in names, words for what is missing."""
    if (unfit := id_problem(case.id)) is not None:
        return f"the id cannot be used: {unfit}"
    if given_text(case.id) != case.id:
        return "the id says that nothing is known"
    names = {"dataset": case.dataset, "group": case.group, "label": case.label}
    for name, text in {**names, **case.findings, **case.context}.items():
        if text is not None and _name(text) != text:
            return f"{name} {text!r} would be read back as {_name(text)!r}"
    if case.narrative is not None and given_text(case.narrative) is None:
        return f"narrative {case.narrative!r} would be read back as missing"
    return None


def _name(text: str) -> str | None:
    """A text as a name is read: tidied, None where it says that nothing is known."""
    said = given_text(text)
    return None if said is None else tidy(said)


def _lies_in(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts


def _to_record(case: Case, folder: Path) -> dict[str, Any]:
    names = [path.relative_to(folder).as_posix() for path in case.images]
    # Said out loud, so that reading back does not conclude the tone from the type.
    silent = case.tone is None and case.fitzpatrick is not None
    fields: dict[str, Any] = {
        "file_name": names[0] if len(names) == 1 else None,
        "file_names": names if len(names) > 1 else None,
        **{name: getattr(case, name) for name in ("id", "dataset", "group", "label", "split")},
        "fitzpatrick": case.fitzpatrick,
        "tone": UNTOLD if silent else case.tone,
        **{name: dict(getattr(case, name)) or None for name in MAPPINGS},
        "narrative": case.narrative,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _rows(path: Path, reading: Reading) -> list[Row]:
    """The rows of either kind of table, with `findings.x` columns gathered into mappings."""
    if path.suffix == ".jsonl":
        return read_jsonl(path, (), reading)
    lines = read_csv(path, (), reading)
    if lines and not set(FILES) & set(lines[0].values):
        raise DatasetError(
            f"folder: wrong columns in {path}: no file_name or file_names;"
            f" found: {', '.join(lines[0].values)}"
        )
    rows = []
    for line in lines:
        plain: dict[str, Any] = {}
        gathered: dict[str, dict[str, str]] = defaultdict(dict)
        for name, text in line.values.items():
            mapping, dot, key = name.partition(".")
            if dot and mapping in MAPPINGS:
                if (said := given_text(text)) is not None:
                    gathered[mapping][key] = said
            elif text.strip():
                plain[name] = text
        rows.append(Row(line.where, {**gathered, **plain}))
    return rows


def _check_names(path: Path, rows: Iterable[Row], reading: Reading) -> None:
    """A field in capitals would become an attribute, and what it says would be lost."""
    fields = {*FIELDS, *FILES, *MAPPINGS}
    for name in sorted({name for row in rows for name in row.values}):
        first = name.partition(".")[0]
        plain = tidy(first).casefold().replace(" ", "_")
        if first not in fields and plain in fields:
            reading.problem(path.name, f"column {name!r} is not a field; is it {plain!r}?")


def _joined_groups(rows: Iterable[Row], reading: Reading) -> dict[str, str]:
    """Group as it is spelled -> one name, for groups that differ in letter case or form alone."""
    alike = _alike(_name(_text(row.values.get("group")) or "") for row in rows)
    if alike:
        # Groups are patients as a rule: how many, not who, goes to a log.
        reading.notes["groups that differ in letter case alone, taken as one"] = len(alike)
    return {name: key for key, names in alike.items() for name in names}


def _alike(names: Iterable[str | None]) -> dict[str, list[str]]:
    """Spellings that are one but for letter case and form, by their common form."""
    spelled: dict[str, set[str]] = defaultdict(set)
    for name in names:
        if name is not None:
            spelled[normalize("NFKC", name).casefold()].add(name)
    return {key: sorted(found) for key, found in spelled.items() if len(found) > 1}


def _add(row: Row, pictures: PictureIndex, groups: Mapping[str, str], reading: Reading) -> None:
    values, where = row.values, row.where
    before = len(reading.problems)
    names = _files(row, reading)
    mappings = {name: _mapping(row, name, reading) for name in MAPPINGS}
    for problem in check_findings(mappings["findings"]) + check_context(mappings["context"]):
        reading.problem(where, problem)
    texts = {name: _said(row, name, reading) for name in (*NAMES, "narrative")}
    scale = reading.fitzpatrick(where, _text(values.get("fitzpatrick")) or "")
    split = _choice(row, "split", SPLITS, reading)
    tone = _choice(row, "tone", {tone.value: tone for tone in SkinTone}, reading)
    if len(reading.problems) > before:
        return
    images = _pictures(where, names, pictures, reading)
    if images is None:
        return
    identity = texts["id"] or _default_id(names[0], images[0])
    used = {*FILES, *FIELDS, *MAPPINGS}
    others = {name: given_text(_text(value)) for name, value in values.items() if name not in used}
    # A table can say that the tone is unknown although the type is not; see `_to_record`.
    if scale is not None and tone is None and values.get("tone") != UNTOLD:
        tone = SkinTone.from_fitzpatrick(scale)
    group = texts["group"] or identity
    reading.add(
        Case(
            id=identity,
            images=images,
            dataset=texts["dataset"] or reading.info.name,
            group=groups.get(group, group),
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


def _said(row: Row, name: str, reading: Reading) -> str | None:
    """A field as text; None where nothing is known, a problem where it is no text or number."""
    value = row.values.get(name)
    if isinstance(value, bool | list | dict) or value in (math.inf, -math.inf):
        reading.problem(row.where, f"{name} is {_text(value)}; give one text, or null")
        return None
    text = _text(value)
    if text is None or not tidy(text):
        return None
    said = given_text(text) if name == "id" else _name(text)
    if said is None:
        reading.notes[f"{name} {tidy(text)!r}, taken as missing"] += 1
    elif name == "narrative":
        return text
    elif said != text:
        reading.notes[f"{name} with spaces that do not count, left out"] += 1
    return said


def _text(value: Any) -> str | None:
    """A value as text, `2.0` as it stands; None for nothing, which NaN is too."""
    if value is None or value == "" or value != value:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _files(row: Row, reading: Reading) -> list[str]:
    """The picture names of a row, in order; problems if there are none or they leave the folder."""
    one, several = (row.values.get(name) for name in FILES)
    if isinstance(several, str):
        try:
            several = json.loads(several)
        except (ValueError, RecursionError):
            reading.problem(row.where, f"file_names is not a JSON list: {several!r}")
            return []
    names = [one] if several is None else several
    if not isinstance(names, list) or not names or not all(map(_is_inside, names)):
        reading.problem(
            row.where, f"file_name {names!r} is no picture inside the folder; give a relative path"
        )
        return []
    if one is not None and several is not None:
        reading.problem(row.where, "file_name and file_names are both given; give one of them")
        return []
    return [name.strip() for name in names]


def _is_inside(name: Any) -> bool:
    if not isinstance(name, str) or given_text(name) is None or "\0" in name:
        return False
    path = PureWindowsPath(name.strip())
    return not path.root and ".." not in path.parts


def _pictures(
    where: str, names: Sequence[str], pictures: PictureIndex, reading: Reading
) -> tuple[Path, ...] | None:
    """The picture files of a row; what is spelled exactly as the file is not looked for further."""
    found = [
        exact if is_there(exact := reading.root / name)
        else reading.picture(where, pictures, name)
        for name in names
    ]  # fmt: skip
    images = tuple(path for path in found if path is not None)
    return images if len(images) == len(names) else None


def _default_id(name: str, image: Path) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    plain = path.with_suffix("") if path.suffix == image.suffix else without_suffix(str(path))
    return str(plain).strip()


def _mapping(row: Row, name: str, reading: Reading) -> dict[str, str]:
    """One of the three mappings of a row, values as text."""
    value = row.values.get(name)
    if given_text(_text(value)) is None:
        return {}
    if not isinstance(value, Mapping):
        reading.problem(row.where, f"{name} is {value!r}; give a mapping of names to values")
        return {}
    if name == "attributes":
        texts = {key: item if item == "" else _text(item) for key, item in value.items()}
    else:
        part = Row(row.where, {f"{name}.{key}": item for key, item in value.items()})
        texts = {key: _said(part, f"{name}.{key}", reading) for key in value}
    return {key: text for key, text in texts.items() if text is not None}


def _choice(row: Row, name: str, choices: Mapping[str, T], reading: Reading) -> T | None:
    """One of a few values; None when the field is empty, a problem when it is something else."""
    text = given_text(_text(row.values.get(name)))
    if text is None:
        return None
    if text.casefold() in choices:
        return choices[text.casefold()]
    reading.problem(row.where, f"{name} {text!r} is not one of {', '.join(choices)}")
    return None


READER = Reader(
    name="folder",
    title="A folder of pictures with a metadata table",
    licence="the owner's",
    citation="none",
    url="none",
    layout="metadata.jsonl or metadata.csv with a column file_name (or file_names), and pictures",
    group_key="column group; the case itself where there is none",
    tone_field="fitzpatrick, tone",
    fill=_fill,
)
