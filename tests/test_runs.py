"""One owner of a run folder: two processes, nested owners, killed ones, disks without locks."""

import errno
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from owned_folder import HOLD, Hold
from skingpt_r1.errors import RecordError, TrainingError
from skingpt_r1.records import Record, read_records, start_run
from skingpt_r1.runs import (
    LOCK,
    find_root,
    note_root,
    own_run,
    picture_name,
    run_in_order,
    same_root,
)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_the_second_process_is_refused_and_told_who_the_first_is(
    tmp_path: Path, hold: Hold
) -> None:
    folder = tmp_path / "run"
    first = hold(folder)
    with pytest.raises(TrainingError) as caught, own_run(folder):
        pass
    message = str(caught.value)
    assert "\n" not in message
    host = re.escape(os.uname().nodename)
    since = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    wanted = f"{re.escape(str(folder))} is being written by process {first.pid} on host {host} "
    assert re.match(f"{wanted}since {since}; wait until", message)
    assert names(tmp_path) == {"run", f"run/{LOCK}"}  # a refused process leaves nothing behind
    first.communicate()
    with own_run(folder):
        assert LOCK in names(folder)


def test_a_folder_within_an_owned_one_is_refused_too(tmp_path: Path, hold: Hold) -> None:
    first = hold(tmp_path / "demo")
    refused = pytest.raises(TrainingError, match=f"corpus is being written by process {first.pid} ")
    with refused, own_run(tmp_path / "demo" / "corpus"):
        pass
    assert not (tmp_path / "demo" / "corpus").exists()
    with own_run(tmp_path / "other"), own_run(tmp_path / "demo2"):
        pass


def test_a_folder_around_an_owned_one_can_be_owned_but_not_the_inner(
    tmp_path: Path, hold: Hold
) -> None:
    hold(tmp_path / "demo" / "corpus")
    refused = pytest.raises(TrainingError, match="corpus is being written")
    with own_run(tmp_path / "demo"), refused, own_run(tmp_path / "demo" / "corpus"):
        pass


def test_a_killed_owner_is_no_obstacle_and_leaves_nothing(tmp_path: Path, hold: Hold) -> None:
    folder = tmp_path / "demo" / "corpus"
    first = hold(folder)
    first.kill()
    first.wait()
    assert (folder / LOCK).is_file()
    with own_run(tmp_path / "demo"), own_run(folder):
        (folder / "result").write_text("done")
    assert names(tmp_path) == {"demo", "demo/corpus", "demo/corpus/result"}


def test_a_stopped_owner_still_owns(tmp_path: Path, hold: Hold) -> None:
    first = hold(tmp_path)
    first.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TrainingError, match="is being written"), own_run(tmp_path):
            pass
    finally:
        first.send_signal(signal.SIGCONT)


def test_one_process_may_nest_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("run")
    with own_run(Path("run")), own_run(tmp_path / "run"), own_run(Path("link")):
        with own_run(tmp_path / "run" / "inner"):
            (tmp_path / "run" / "inner" / "file").touch()
        assert (tmp_path / "run" / LOCK).is_file()
    assert names(tmp_path) == {"link", "run", "run/inner", "run/inner/file"}


def test_another_thread_is_another_owner(tmp_path: Path) -> None:
    refused: list[str] = []

    def write() -> None:
        try:
            with own_run(tmp_path):
                pass
        except TrainingError as error:
            refused.append(str(error))

    with own_run(tmp_path):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert f"process {os.getpid()} " in refused[0]
    write()
    assert len(refused) == 1


def _nested(folder: Path) -> bool:
    with own_run(folder):
        return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads
def test_a_forked_worker_works_for_its_owner(tmp_path: Path, hold: Hold) -> None:
    with own_run(tmp_path):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(_nested, (tmp_path,))
        assert (tmp_path / LOCK).is_file()
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        other = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert "TrainingError" in other.stderr


def test_an_error_frees_the_folder(tmp_path: Path, hold: Hold) -> None:
    with pytest.raises(ZeroDivisionError), own_run(tmp_path / "run"):
        raise ZeroDivisionError
    assert names(tmp_path) == set()
    hold(tmp_path / "run")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_says_so_and_works(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(_file: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with caplog.at_level(logging.WARNING), own_run(tmp_path / "run"):
        (tmp_path / "run" / "file").touch()
    assert f"the file system of {tmp_path / 'run'} has no locks" in caplog.text
    assert os.strerror(number) in caplog.text
    assert names(tmp_path) == {"run", "run/file"}


def test_what_cannot_be_a_run_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RecordError, match=r"^cannot write .*file"), own_run(folder):
            pass


def test_the_root_of_the_data_is_no_part_of_a_recipe_s_identity(tmp_path: Path) -> None:
    recipe = {"seed": 1, "data": {"root": "old", "count": 3}}
    assert same_root(tmp_path, recipe, "data") == recipe
    start_run(tmp_path, recipe, seed=1)
    moved = {"seed": 1, "data": {"root": "new", "count": 3}}
    assert same_root(tmp_path, moved, "data") == recipe
    start_run(tmp_path, same_root(tmp_path, moved, "data"), seed=1)
    other = {"seed": 1, "data": {"root": "new", "count": 4}}
    with pytest.raises(TrainingError, match=r"recipe\.data\.count was 3, is 4"):
        start_run(tmp_path, same_root(tmp_path, other, "data"), seed=1)
    drawn = {"seed": 1, "data": {"root": None, "count": 3}}
    assert same_root(tmp_path, drawn, "data") == drawn


@pytest.mark.parametrize("moves", [(), ("run",), ("data",), ("all",), ("run", "data")])
def test_the_data_of_a_run_are_found_where_one_of_both_stayed(
    moves: tuple[str, ...], tmp_path: Path
) -> None:
    folder, data = tmp_path / "a" / "runs" / "x", tmp_path / "a" / "data"
    folder.mkdir(parents=True)
    data.mkdir()
    assert find_root(folder, Path.is_dir) is None
    note_root(folder, data)
    if "all" in moves:
        (tmp_path / "a").rename(tmp_path / "b")
        folder, data = tmp_path / "b" / "runs" / "x", tmp_path / "b" / "data"
    if "run" in moves:
        folder = folder.rename(tmp_path / "x")
    if "data" in moves:
        data = data.rename(tmp_path / "new")
        assert find_root(folder, Path.is_dir) == tmp_path / "a" / "data"  # as it was noted
        note_root(folder, data)
    assert find_root(folder, Path.is_dir) == data


class Unit(Record):
    """A unit of work: its id, and the units that were decided with it."""

    id: str
    together: tuple[str, ...]


class KilledError(Exception):
    """Stands for the end of a process."""


UNITS = [f"unit {number}" for number in range(7)]


def decide(start: int, batch: int, most: int = len(UNITS)) -> Iterator[Unit]:
    """Batches from a position on; killed when `most` records are given."""
    for at in range(start, len(UNITS), batch):
        together = tuple(UNITS[at : at + batch])
        for number, name in enumerate(together, at):
            if number == most:
                raise KilledError
            yield Unit(id=name, together=together)


@pytest.mark.parametrize("batch", range(1, len(UNITS) + 2))
@pytest.mark.parametrize("torn", [b"", b'{"id": "un'])
def test_units_stopped_anywhere_and_continued_are_as_units_in_one_run(
    tmp_path: Path, batch: int, torn: bytes
) -> None:
    # The slow reference: everything at once, without a file.
    reference = list(decide(0, batch))
    whole = tmp_path / "whole.jsonl"
    run_in_order(whole, Unit, lambda: UNITS, partial(decide, batch=batch), batch=batch)
    assert read_records(whole, Unit) == reference
    for stop in range(len(UNITS)):
        path = tmp_path / f"{stop}.jsonl"
        kill = partial(decide, batch=batch, most=stop)
        with pytest.raises(KilledError):
            run_in_order(path, Unit, lambda: UNITS, kill, batch=batch)
        with path.open("ab") as file:
            file.write(torn)
        starts: list[int] = []
        reports: list[tuple[int, int]] = []

        def work(at: int, starts: list[int] = starts) -> Iterator[Unit]:
            starts.append(at)
            return decide(at, batch)

        def count(done: int, total: int, reports: list[tuple[int, int]] = reports) -> None:
            reports.append((done, total))

        run_in_order(path, Unit, lambda: UNITS, work, batch=batch, count=count)
        assert path.read_bytes() == whole.read_bytes()
        assert starts == [stop // batch * batch]
        assert reports == [(done, len(UNITS)) for done in range(stop, len(UNITS) + 1)]


def test_finished_units_are_not_worked_on_again_and_no_units_leave_an_empty_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "made" / "units.jsonl"
    run_in_order(path, Unit, list, lambda at: [])
    assert path.read_bytes() == b""
    run_in_order(path, Unit, lambda: UNITS, lambda at: decide(at, 1))
    run_in_order(path, Unit, lambda: UNITS, lambda at: pytest.fail("worked again"))


@pytest.mark.parametrize("units", [UNITS[1:], UNITS[:2], [*UNITS[:2], "other", *UNITS[3:]]])
def test_records_of_other_units_are_refused(tmp_path: Path, units: list[str]) -> None:
    path = tmp_path / "units.jsonl"
    with pytest.raises(KilledError):
        run_in_order(path, Unit, lambda: UNITS, lambda at: decide(at, 1, 3))
    before = path.read_bytes()
    with pytest.raises(RecordError, match="where another one belongs"):
        run_in_order(path, Unit, lambda: units, lambda at: decide(at, 1))
    assert path.read_bytes() == before


def test_pictures_are_named_from_the_folder_of_the_file(tmp_path: Path) -> None:
    picture = tmp_path / "pictures" / "a.png"
    folder = tmp_path / "run" / "deep"
    name = picture_name(picture, folder)
    assert name == "../../pictures/a.png"
    assert (folder / name).resolve() == picture.resolve()
