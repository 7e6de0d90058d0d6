"""Records on disk: typed JSON Lines and the folder that describes a run.

Every record is one line, written whole and ended by a newline, so the only damage that a killed
process can do is a last line without an end. Such a line is recognised, cut and counted; anything
else that breaks the schema is an error with its line number.

A run folder holds `run.json` (recipe, seed, versions, commit, data manifest), `metrics.jsonl` and,
where the command ends in a table, `results.json`.
"""

import codecs
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_jsonable_python

from skingpt_r1.errors import RecordError, SkinGPTError, TrainingError

MAX_JSON_MIB = 64  # the largest file in use, a tokenizer's, has about ten


def read_json(path: Path, error: type[SkinGPTError] = RecordError) -> dict[str, Any]:
    """The object in a JSON file, read strictly.

    Refused are: other values than an object, NaN and Infinity, bytes that are no UTF-8, a
    byte-order mark, half a surrogate pair, a key that stands twice in one object, numbers of
    thousands of digits, hundreds of levels, and more than `MAX_JSON_MIB`. Each raises `error` with
    the file and the problem.
    """
    try:
        with path.open("rb") as file:
            content = file.read((MAX_JSON_MIB << 20) + 1)
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from problem
    if len(content) > MAX_JSON_MIB << 20:
        raise error(f"{path} has more than {MAX_JSON_MIB} MiB; a small JSON file is expected")
    if content.startswith(b"\xef\xbb\xbf"):
        raise error(f"{path} begins with a byte-order mark; save it as UTF-8 without one")
    try:
        from_json(content, allow_inf_nan=False)
        found = json.loads(content, object_pairs_hook=_keys_once)
    except ValueError as problem:
        raise error(
            f"{path} cannot be read: not JSON, {_cut(str(problem))}; fetch or write it again"
        ) from None
    if not isinstance(found, dict):
        raise error(f"{path} holds a JSON {type(found).__name__}; an object {{...}} is expected")
    return found


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {_cut(twice)!r} stands twice in one object")
    return found


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def numbered_lines(lines: Iterable[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank with its number from 1, as editors of all systems save them.

    Raises:
        RecordError: the file is written in UTF-16, or is one JSON list.
    """
    for number, line in enumerate(lines, 1):
        text = line if number > 1 else _first_line(line, path)
        if text.strip():
            yield number, text


def _first_line(line: bytes, path: Path) -> bytes:
    """The first line without byte-order mark (Notepad, PowerShell)."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:2]:
        raise RecordError(f"{path} is written in UTF-16; save it as UTF-8")
    line = line.removeprefix(codecs.BOM_UTF8)
    if line.lstrip().startswith(b"["):
        raise RecordError(
            f"{path} is one JSON list (Label Studio exports such files); one JSON object a line is "
            f"needed. `jq -c '.[]' {path.name}` writes each object of the list on a line of its own"
        )
    return line


logger = logging.getLogger(__name__)

RecordT = TypeVar("RecordT")
ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT", bound=Hashable)

# The libraries whose version can change a number.
VERSIONED = ("skingpt-r1", "torch", "transformers", "peft", "accelerate", "numpy", "scipy")


class Resumed(NamedTuple):
    """What a record file held when a run took it up again."""

    records: list[Any]
    torn: int  # last lines that were cut: 0 or 1


class Record(BaseModel):
    """A line of a file: frozen, strict, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ResultRow(Record):
    """One number of a table, with its interval; `low` and `high` are None where there is none."""

    table: str
    system: str
    metric: str
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    n: int


def append_record(path: Path, record: object, *, sync: bool = False) -> None:
    """Append a pydantic model, dataclass or mapping as one line; makes file and folder.

    Args:
        path: the JSON Lines file.
        record: its JSON form is an object.
        sync: wait until the line is on the disk (fsync), not only handed to the system.

    Raises:
        RecordError: the record has no strict JSON form, or the file cannot be written.
    """
    append_records(path, [record], sync=sync)


def append_records(path: Path, records: Iterable[object], *, sync: bool = False) -> None:
    """Append several records in one write; see `append_record`."""
    lines = b"".join(_encode(record, path) + b"\n" for record in records)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _mend(file)
            file.write(lines)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError as error:
        raise _cannot("write", path, error) from error


def read_records(path: Path, record_type: type[RecordT]) -> list[RecordT]:
    """All complete records of a file; see `iterate_records`."""
    return list(iterate_records(path, record_type))


def iterate_records(path: Path, record_type: type[RecordT]) -> Iterator[RecordT]:
    """The complete records of a file, one in memory at a time, validated strictly.

    A torn last line is left out and logged; the file is not changed.

    Args:
        path: the JSON Lines file.
        record_type: a pydantic model, dataclass, TypedDict or `dict[str, ...]`.

    Raises:
        RecordError: the file is missing, or a line other than a torn last one breaks the schema.
    """
    return (record for _, record in iterate_places(path, record_type))


def iterate_places(path: Path, record_type: type[RecordT]) -> Iterator[tuple[int, RecordT]]:
    """As `iterate_records`, each with the byte where its line begins."""
    adapter = TypeAdapter(record_type)
    try:
        with path.open("rb") as file:
            for row, line in numbered_lines(file, path):
                if line.endswith(b"\n") or _is_object(line):
                    place = file.tell() - len(line)
                    yield place, _validate(adapter, line, f"{path}, line {row}")
                else:
                    logger.warning("%s: the last line is torn and was left out", path.name)
    except OSError as error:
        raise _cannot("read", path, error) from error


def record_at(file: BinaryIO, place: int, record_type: type[RecordT]) -> RecordT:
    """The record whose line begins at a byte of an open file."""
    file.seek(place)
    return _validate(TypeAdapter(record_type), file.readline(), f"{file.name}, byte {place}")


def counting(
    items: Iterable[ItemT], key: Callable[[ItemT], KeyT], settles: Callable[[ItemT], object]
) -> dict[KeyT, ItemT]:
    """Key -> the item that counts: the first that settles it, else the last."""
    found: dict[KeyT, ItemT] = {}
    for item in items:
        name = key(item)
        if name not in found or not settles(found[name]):
            found[name] = item
    return found


def mend_records(path: Path) -> bool:
    """Cut a torn last line of a file, or end a whole one; whether one was cut.

    Reads the end of the file alone.
    """
    try:
        with path.open("a+b") as file:
            return _mend(file)
    except OSError as error:
        raise _cannot("write", path, error) from error


def resume_records(path: Path, record_type: type[Any]) -> Resumed:
    """The records of a file that a run wants to continue; cuts a torn last line from the file.

    A file that does not exist holds no records.

    Raises:
        RecordError: as `read_records`; or the file cannot be changed.
    """
    if not path.exists():
        return Resumed([], 0)
    return Resumed(read_records(path, record_type), int(mend_records(path)))


def write_json_atomic(path: Path, content: object) -> None:
    """Write one JSON document so that a reader sees the old file or the new one, never a part.

    Raises:
        RecordError: the content has no strict JSON form, or the file cannot be written.
    """
    text = json.dumps(_plain(content, path), indent=2, ensure_ascii=False) + "\n"
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write a file through a temporary neighbour, fsync and rename."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise _cannot("write", path, error) from error


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _cannot("read", path, error) from error


def start_run(
    folder: Path, recipe: Mapping[str, Any], *, seed: int, manifest: object = None
) -> bool:
    """Begin a run, or take up the one that the same command began; whether it was taken up.

    Args:
        folder: where everything that the run makes goes.
        recipe: the resolved recipe; the only place from which a path can get into `run.json`.
        seed: the seed of the run.
        manifest: the data: names, counts and hashes.

    Raises:
        TrainingError: the folder belongs to another recipe, seed or data manifest.
        RecordError: `run.json` cannot be read or written.
    """
    path = folder / "run.json"
    identity = _plain({"recipe": recipe, "seed": seed, "manifest": manifest}, path)
    if not path.exists():
        write_json_atomic(path, {**identity, "versions": versions(), "git_commit": git_commit()})
        return False
    before = read_json(path)
    changed = differences({key: before.get(key) for key in identity}, identity)
    if changed:
        raise TrainingError(
            f"{folder} belongs to another run; changed: {'; '.join(changed[:10])}. "
            "Give the old values to continue it, or choose a new folder"
        )
    if before.get("versions") != versions():
        logger.warning("%s was begun with other library versions", folder.name)
    return True


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """A line for each value of nested mappings that changed: its place, what it was and is."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys([*before, *after])
        return [
            line
            for key in keys
            for line in differences(
                before.get(key), after.get(key), f"{place}.{key}" if place else key
            )
        ]
    return [] if before == after else [f"{place} was {_cut(repr(before))}, is {_cut(repr(after))}"]


def log_metrics(folder: Path, step: int, **values: float) -> None:
    """Append one line of numbers to `metrics.jsonl`.

    Raises:
        RecordError: a value is not finite, or the file cannot be written.
    """
    append_record(folder / "metrics.jsonl", {"step": step, **values})


def keep_metrics(folder: Path, last_step: int) -> int:
    """Drop the lines after `last_step`, which a resumed run writes again; how many went."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return 0
    rows, torn = resume_records(path, dict[str, Any])
    kept = [row for row in rows if row["step"] <= last_step]
    write_bytes_atomic(path, b"".join(_encode(row, path) + b"\n" for row in kept))
    return len(rows) - len(kept) + torn


def write_results(folder: Path, rows: Iterable[ResultRow | Mapping[str, Any]]) -> None:
    """Write the table of a command as `results.json`.

    Raises:
        RecordError: a row breaks the schema of `ResultRow`, or the file cannot be written.
    """
    path = folder / "results.json"
    try:
        checked = [ResultRow.model_validate(row) for row in rows]
    except ValidationError as error:
        raise RecordError(f"{path}: {_first_problem(error)}") from error
    write_json_atomic(path, [row.model_dump() for row in checked])


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the source tree that runs, `-dirty` added when files differ; None outside git."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(  # noqa: S603 - a fixed command, no outside input
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


def _encode(record: object, path: Path) -> bytes:
    plain = _plain(record, path)
    if not isinstance(plain, dict):
        raise RecordError(f"{path}: a record must be an object, not {type(record).__name__}")
    return json.dumps(plain, ensure_ascii=False).encode()


def _plain(content: object, path: Path) -> Any:
    try:
        plain = to_jsonable_python(content, inf_nan_mode="constants", fallback=_plain_mapping)
        json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: not strict JSON ({error}); nothing was written") from error
    return plain


def _plain_mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _validate(adapter: TypeAdapter[RecordT], line: bytes, where: str) -> RecordT:
    try:
        return adapter.validate_json(line, strict=True, extra="forbid")
    except ValidationError as error:
        raise RecordError(f"{where}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    # The value itself stays out of the message: it may be patient data.
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{f'field {place}: ' if place else ''}{problem['msg']}{more}"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _mend(file: Any) -> bool:
    # Scans back for the last newline: cuts a torn line, or ends a whole one that lacks its newline.
    end = file.seek(0, os.SEEK_END)
    tail = b""
    start = end
    while start and b"\n" not in tail:
        step = min(start, 65536)
        start = file.seek(start - step)
        tail = file.read(step) + tail
    tail = tail[tail.rfind(b"\n") + 1 :]
    if tail and _is_object(tail):
        file.write(b"\n")
    elif tail:
        file.truncate(end - len(tail))
        return bool(tail.strip())
    return False


def _cannot(verb: str, path: Path, error: OSError) -> RecordError:
    return RecordError(f"cannot {verb} {path}: {error.strerror or error}")
