"""What the documents say is so: commands, options, links, recipes, help texts."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.main import app, run
from source_tree import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BAD_INPUTS = (
    "unreadable image",
    "empty folder",
    "wrong columns",
    "unknown label",
    "missing teacher vector",
    "adapter of another backbone",
    "renamed keys",
    "read-only output",
    "changed recipe on resume",
    "unknown recipe key",
    "`--model` that does not exist",
    "20,000 x 20,000",
)


def commands(group: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command that can be run, by the words that name it."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, (*words, name))
        else:
            found[(*words, name)] = command
    return found


COMMANDS = commands(get_command(app))


def written_commands() -> list[tuple[str, str]]:
    """Page and text of every `skingpt` command in a page."""
    pattern = re.compile(r"(?:^|`)(?:\.venv/bin/)?(skingpt [^`\n#]*)", re.MULTILINE)
    return [
        (page.name, line.strip())
        for page in PAGES
        for line in pattern.findall(page.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("page", "line"), written_commands())
def test_written_commands_exist(page: str, line: str) -> None:
    words = [word for word in shlex.split(line)[1:] if word not in {"--help", "--version"}]
    if not words:
        return
    name = tuple(words[:2]) if tuple(words[:2]) in COMMANDS else tuple(words[:1])
    groups = {key[:1] for key in COMMANDS if len(key) == 2}
    assert name in COMMANDS or name in groups, f"{page}: {line}"
    if name in COMMANDS:
        known = {
            option
            for parameter in COMMANDS[name].params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known, f"{page}: {line}"


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_help_has_an_example_and_says_research(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example" in out
    assert f"  skingpt {' '.join(words)}" in out
    assert RESEARCH in out


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert targets >= {"demo", "test", "check", "nano", "real", "bench", "docs"}
    for page in PAGES:
        named = re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= targets, page.name


def test_named_files_exist() -> None:
    pattern = r"\b((?:recipes|bench|examples|tests)/[\w/]+\.(?:yaml|py))"
    for page in PAGES:
        for name in re.findall(pattern, page.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{page.name} names {name}"


def test_no_page_names_a_path_of_somebody_s_machine() -> None:
    assert not [page.name for page in PAGES if "../shared" in page.read_text("utf-8")]


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [p.name for p in (ROOT / "docs").glob("*.md") if p.name not in navigation]


def test_bad_inputs_are_documented_and_tested() -> None:
    table = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert not [name for name in BAD_INPUTS if name not in table]
    assert len(re.findall(r"`(test_\w+)`", table)) >= len(BAD_INPUTS)


def test_named_tests_exist() -> None:
    tests = "\n".join(p.read_text("utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES:
        named = re.findall(r"`(test_\w+)`", page.read_text("utf-8"))
        assert not [name for name in named if f"def {name}(" not in tests], page.name


def test_readme_says_what_it_is_not() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert RESEARCH in readme
    assert "make demo" in readme
    assert "make test" in readme


def test_contributing_is_short() -> None:
    assert len(Path(ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) < 100
