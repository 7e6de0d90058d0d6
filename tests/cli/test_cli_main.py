"""Exit codes: 0 done, 1 bad input, 2 a wrong command line; errors without tracebacks."""

import errno
import os
import subprocess
import sys

import pytest

from skingpt_r1 import __version__
from skingpt_r1.cli import RESEARCH, closing, main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("diagnose", "features", "distill", "datasets", "models", "demo", "real"):
        assert f"  {command}" in out
    assert RESEARCH in out


@pytest.mark.parametrize("name", main.COMMANDS)
def test_the_list_of_commands_says_what_their_help_says(name: str) -> None:
    first = main.load_command(name).help.strip().split("\n\n")[0].replace("\n", " ")
    assert first.removesuffix(RESEARCH).strip() == main.COMMANDS[name].summary


def test_help_imports_no_group() -> None:
    program = (
        "import sys\n"
        "from skingpt_r1.cli.main import run\n"
        "assert run(['--help']) == 0\n"
        "assert not {'skingpt_r1.cli.bench', 'numpy', 'pydantic'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize(
    "words",
    [
        ["diagnose"],
        ["nonsense"],
        ["diagnose", "a.jpg", "--no-such-option"],
        ["datasets", "check", "ham10000"],
        ["diagnose", "a.jpg", "--stream", "--json"],
        ["diagnose", "a.jpg", "--context", "arm"],
    ],
    ids=" ".join,
)
def test_wrong_command_lines_exit_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words) == 2
    assert capsys.readouterr().err


def test_unknown_data_set_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["datasets", "check", "ham1000", "."]) == 1
    assert "ham10000" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_disk_errors_say_where(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise OSError(number, os.strerror(number), "runs/demo/shard.safetensors")

    monkeypatch.setattr(main, "app", broken)
    assert main.run(["demo"]) == 1
    err = capsys.readouterr().err
    assert f"runs/demo/shard.safetensors: {os.strerror(number)}" in err


def test_closing_lists_examples() -> None:
    assert closing("a").startswith("\b\nExample:\n  a\n")
    assert "Examples:\n  a\n  b\n" in closing("a", "b")


def test_module_runs_and_help_is_light() -> None:
    program = (
        "import sys\n"
        "from skingpt_r1.cli.main import run\n"
        "assert run(['--help']) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
