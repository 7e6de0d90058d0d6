"""Run folders: one owner at a time, units of work in order, and where the data of a run lie.

While a command writes a run, `.lock` in its folder is locked by the operating system and names the
process. The system frees the lock of a process that was killed, however it ended, so that what is
left of the file is no obstacle; a command that ends takes the file away.

Records name pictures from the root of their data. Where that is, `places.json` says, by its path
and from the run's folder, so that either may move and both may move together. Work that is done in
several processes ends with the one that began it.
"""

import errno
import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from skingpt_r1.errors import RecordError, TrainingError
from skingpt_r1.records import (
    append_record,
    iterate_records,
    mend_records,
    read_json,
    sha256_file,
    write_json_atomic,
)

logger = logging.getLogger(__name__)

# How long work tells where it is: callback(stage, done, total).
Progress = Callable[[str, int, int], None]
# The same within one stage: callback(done, total).
Count = Callable[[int, int], None]

LOCK = ".lock"
PLACES = "places.json"
RUN = "run.json"
# What systems answer where a file system knows no locks, such as some network disks.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

# The folders that the running thread owns; another thread of the process is another owner.
_OWNED: ContextVar[frozenset[Path]] = ContextVar("owned", default=frozenset())


@contextmanager
def own_run(folder: Path) -> Iterator[None]:
    """Be the only one that writes a run folder, until the block ends.

    Blocks may be nested, for one folder or for folders within each other. The folder is made when
    it is missing, and taken away again when nothing was written into it. Where the file system
    has no locks, a warning says that nothing keeps others out.

    Args:
        folder: of the run.

    Raises:
        TrainingError: another process writes this folder, or one that it lies in.
        RecordError: the folder cannot be made or written.
    """
    place = folder.resolve()
    owned = _OWNED.get()
    if place in owned:
        yield
        return
    made = [path for path in (place, *place.parents) if not path.exists()]
    for above in place.parents:
        if above not in owned and (above / LOCK).is_file():
            with suppress(OSError):
                _lock(above, folder).release()
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = _lock(place, folder)
        if lock.is_locked:
            (place / LOCK).write_text(_signature(), encoding="utf-8")
    except OSError as error:
        raise RecordError(f"cannot write {folder}: {error.strerror or error}") from error
    token = _OWNED.set(owned | {place})
    try:
        yield
    finally:
        _OWNED.reset(token)
        with suppress(OSError):  # the disk may be gone; the system frees the lock in any case
            (place / LOCK).unlink(missing_ok=True)
        lock.release()
        for path in made:
            with suppress(OSError):  # what holds a file stays
                path.rmdir()


def picture_name(path: Path, folder: Path) -> str:
    """A picture's path as records name it: from the root of its data, or their file, with `/`."""
    if path.is_relative_to(folder):  # also where it is a link to somewhere else
        return path.relative_to(folder).as_posix()
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def picture_paths(names: Iterable[str], folder: Path) -> tuple[Path, ...]:
    """The picture files that a record names from a folder."""
    return tuple(folder / name for name in names)


def changed_pictures(name: str, paths: Sequence[Path], sha256: Sequence[str]) -> Iterator[str]:
    """Why pictures are not those of these hashes, a line for each; `name` says whose they are."""
    for path, sha in zip(paths, sha256, strict=True):
        if not path.is_file():
            yield f"{name}: no picture {path.name}"
        elif sha256_file(path) != sha:
            yield f"{name}: {path.name} is another file now"


def note_root(folder: Path, root: Path) -> None:
    """Write down from which folder a run's records name pictures; also after it has moved."""
    root, place = root.resolve(), folder.resolve()
    note = {"root": root.as_posix(), "from_run": Path(os.path.relpath(root, place)).as_posix()}
    path = folder / PLACES
    if not path.is_file() or read_json(path) != note:
        write_json_atomic(path, note)


def find_root(folder: Path, holds: Callable[[Path], bool]) -> Path | None:
    """Where the data of a run are now; None when the run noted no place.

    The run may have moved since, alone or with its data: the first noted place that `holds` the
    pictures, or the path as it was when none does.
    """
    if not (folder / PLACES).is_file():
        return None
    note = read_json(folder / PLACES)
    places = (Path(str(note.get("root"))), (folder.resolve() / str(note.get("from_run"))).resolve())
    return next(filter(holds, places), places[0])


def same_root(folder: Path, recipe: dict[str, Any], section: str) -> dict[str, Any]:
    """A recipe as it goes into `run.json`, with the root that the run was begun with.

    Where data lie (`section.root`) does not name them: the manifest's hashes do. So a run whose
    data have moved is continued with their new place.
    """
    if not (folder / RUN).is_file():
        return recipe
    before = read_json(folder / RUN).get("recipe", {}).get(section, {}).get("root")
    if before is None or recipe[section]["root"] is None:
        return recipe
    return {**recipe, section: {**recipe[section], "root": before}}


def run_in_order(
    path: Path,
    record_type: type[Any],
    ids: Callable[[], Iterable[str]],
    work: Callable[[int], Iterable[object]],
    *,
    batch: int = 1,
    count: Count | None = None,
) -> None:
    """Write one record for each unit of work, in the order of the units, from where it stopped.

    Records are appended and flushed one by one; memory does not grow with the units.

    Args:
        path: the JSON Lines file; a torn last line is cut.
        record_type: of its records, which have an `id`.
        ids: gives a fresh iterator over the ids of all units.
        work: gives the records of the units from this position on; not called when all are there.
        batch: units that are decided together. A stopped batch is decided together again, so that
            a continued run meets the same batches; its records that are there stay.
        count: callback(done, total).

    Raises:
        RecordError: the file holds records of other units, or breaks its schema.
    """
    report = count or (lambda done, total: None)
    done = total = 0
    if path.exists():
        mend_records(path)
    written = iterate_records(path, record_type) if path.exists() else ()
    for record, unit in zip_longest(written, ids()):
        if record is not None and record.id != unit:
            raise RecordError(
                f"{path} holds the record of {record.id!r} where another one belongs; it was made "
                "from other data or stages; choose a new folder"
            )
        done += record is not None
        total += 1
    report(done, total)
    if done == total and path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    start = done - done % batch
    for number, record in enumerate(islice(work(start), done - start, None), done + 1):
        append_record(path, record)
        report(number, total)


@contextmanager
def process_map(workers: int, chunk: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` in processes that end with this one; where one is enough, `map` itself.

    They take `chunk` items at a time.
    """
    if workers == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        yield partial(pool.map, chunksize=chunk)


def _end_with_parent() -> None:
    """A killed run cannot tell its processes to stop; they notice by themselves."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _lock(place: Path, asked: Path) -> FileLock:
    """The lock of a folder, taken; not taken where the file system has none."""
    lock = FileLock((place / LOCK), blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrainingError(
            f"{asked} is being written by {_owner(place)}; wait until it has ended, stop it, or "
            "choose another folder"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        logger.warning(
            "the file system of %s has no locks (%s): nothing keeps a second process from writing "
            "this run, so start only one",
            asked,
            error.strerror,
        )
    return lock


def _signature() -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return f"process {os.getpid()} on host {socket.gethostname()} since {now}\n"


def _owner(place: Path) -> str:
    """Who holds the lock, in its own words; the file is written just after it is locked."""
    with suppress(OSError):
        if text := (place / LOCK).read_text(encoding="utf-8", errors="replace")[:200].strip():
            return " ".join(text.split())
    return "another process"
