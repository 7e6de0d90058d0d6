"""A folder that another process owns, until the test ends."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HOLD = """
import sys
from pathlib import Path
from skingpt_r1.runs import own_run
with own_run(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""
Hold = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture(name="hold")
def hold_folder() -> Iterator[Hold]:
    """Starts a process that owns a folder until the test ends."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", HOLD, str(folder)]
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        return process

    yield start
    for process in started:
        process.communicate()
