"""Hostile surroundings: terminals, locales, homes, limits and pipes that others have."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from skingpt_r1.cli.main import run
from skingpt_r1.render.layouts import write_cases, write_ham10000

LIST = ("datasets", "list")
PROGRAM = (sys.executable, "-m", "skingpt_r1.cli")
# Everything that a locale, a terminal or a home can come from.
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("LC_", "LANG", "PYTHON", "HOME", "XDG", "TERM", "COLUMNS"))
} | {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": "/nowhere"}


def skingpt(
    words: Sequence[str | Path], more: Mapping[str, str] | None = None, **how: object
) -> "subprocess.CompletedProcess[bytes]":
    environment = {**PLAIN, **(more or {})}
    command = [*PROGRAM, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, **how)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rendered cases under a name that no ASCII terminal can show."""
    folder = tmp_path_factory.mktemp("photos") / "Bräune – 皮膚"
    write_cases(folder, 2, 1, 48)
    return folder


@pytest.mark.parametrize(
    "terminal",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "dumb"},
        {"PYTHONIOENCODING": "ascii", "COLUMNS": "20"},
        {"LC_ALL": "xx_YY.nonsense", "TERM": "nonsense", "COLUMNS": "x"},
    ],
    ids=str,
)
def test_every_terminal_gets_the_whole_answer(terminal: dict[str, str], folder: Path) -> None:
    done = skingpt(("datasets", "check", "folder", folder), terminal)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert b"2 cases" in done.stdout or b"Cases" in done.stdout
    missing = skingpt(("datasets", "check", "folder", folder / "fehlt"), terminal)
    assert missing.returncode == 1
    assert missing.stderr.startswith(b"error: ")
    assert b"Traceback" not in missing.stderr


def test_a_table_with_letters_that_the_terminal_lacks() -> None:
    program = """
import sys
from rich.console import Console
from rich.table import Table
from skingpt_r1.cli.main import main
sys.argv = ["skingpt", "--version"]
try:
    main()
except SystemExit:
    table = Table("Br\u00e4une", "\u76ae")
    Console().print(table)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**PLAIN, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"Br\\xe4une" in done.stdout
    assert b"\\u76ae" in done.stdout


def test_no_home(folder: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in PLAIN.items() if name != "HOME"}
    picture = next(folder.rglob("*.png"))
    command = [*PROGRAM, "diagnose", str(picture), "--json", "--no-assess"]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b'"diagnosis"' in done.stdout


def test_few_file_descriptors(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rendered"
    write_ham10000(out, 80, 0, 32)
    limited = ["bash", "-c", 'ulimit -n 64; exec "$@"', "bash", *PROGRAM]
    done = subprocess.run(
        [*limited, "datasets", "overlap", f"ham10000={out}"], env=PLAIN, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert b"among 80 cases" in done.stdout


@pytest.mark.parametrize("words", [LIST, ("--help",)], ids=" ".join)
def test_a_closed_pipe_ends_quietly(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([*PROGRAM, *words], env=PLAIN, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, said = process.communicate()
    assert said == b""
    assert process.returncode in (0, 1, 141, -13)


def test_a_reader_that_stops_after_a_line(folder: Path) -> None:
    line = '"$@" | head -1; echo "${PIPESTATUS[0]}" >&2'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *PROGRAM, *LIST], env=PLAIN, capture_output=True
    )
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"rror" not in done.stderr


def test_closed_standard_input_and_output(folder: Path) -> None:
    words = ["datasets", "check", "folder", str(folder)]
    for closed in ("<&-", "<&- 2>&-"):
        done = subprocess.run(
            ["bash", "-c", f'"$@" {closed}', "bash", *PROGRAM, *words],
            env=PLAIN,
            capture_output=True,
        )
        assert done.returncode == 0
        assert b"2 cases" in done.stdout or b"Cases" in done.stdout
    silent = subprocess.run(
        ["bash", "-c", '"$@" >&-', "bash", *PROGRAM, *words], env=PLAIN, capture_output=True
    )
    assert b"Traceback" not in silent.stderr


def test_an_output_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("no file system here that nobody can write")
    for words in (
        ("datasets", "synthetic", "ham10000", "/proc/run", "--count", "1"),
        ("dermcot", "build", "dermcot_demo", "--out", "/proc/run"),
        ("bench", "run", "dermbench_demo", "--out", "/proc/run"),
    ):
        assert run(words) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: cannot write /proc/run: ")
        assert error.count("\n") == 1
