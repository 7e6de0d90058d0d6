"""One idea per file: sizes, names, and where pictures may lie."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from source_tree import PACKAGE, ROOT, import_graph, module_name, source_files

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
SMALL, MOST_SMALL = 80, 15  # lines; files that may be smaller
TINY = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "v2", "misc"}
PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".dcm"}
PICTURE_FOLDERS = (Path("docs/assets"), Path("tests/fixtures"))
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
HOME_FOLDER = re.compile(r"(?<![\w.])/(home|root|Users)/" + r"\w+")


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.split("\0") if name]
    return [Path(name) for name in names if (ROOT / name).is_file()]


def python_files() -> list[Path]:
    return [
        *source_files(),
        *sorted(p for f in ("tests", "bench", "examples") for p in (ROOT / f).rglob("*.py")),
    ]


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_file_and_function_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


def chapters() -> list[Path]:
    return [p for p in source_files() if p.stem not in ("__init__", "__main__")]


def num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_few_files_are_small() -> None:
    small = [module_name(path) for path in chapters() if num_lines(path) < SMALL]
    assert len(small) <= MOST_SMALL, small


def test_no_tiny_file_serves_a_single_other_one() -> None:
    graph = import_graph()
    importers = {name: sum(name in targets for targets in graph.values()) for name in graph}
    tiny = [module_name(path) for path in chapters() if num_lines(path) < TINY]
    # Readers are found by the name of their file, each a data set of its own.
    assert not [n for n in tiny if importers[n] == 1 and ".readers." not in n]


def public_definitions(kinds: tuple[type, ...]) -> list[tuple[str, str]]:
    """(name, module) of what files define at their top level."""
    return [
        (node.name, module_name(path))
        for path in source_files()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, kinds) and not node.name.startswith("_")
        if kinds == (ast.ClassDef,) or not node.decorator_list
    ]


def test_no_two_public_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for name, module in public_definitions((ast.ClassDef,)):
        homes.setdefault(name, []).append(module)
    assert not {name: found for name, found in homes.items() if len(found) > 1}


def test_everything_public_is_used() -> None:
    """By the package, a test, a bench, a tool or a page; decorators register the rest."""
    folders = ("src", "tests", "bench", "tools", "examples", "docs")
    texts = [
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md") and "__pycache__" not in path.parts
    ]
    words = Counter(word for text in texts for word in re.findall(r"\w+", text))
    found = public_definitions((ast.ClassDef, ast.FunctionDef))
    assert not [f"{module}.{name}" for name, module in found if words[name] < 2]


def test_names_say_what_is_inside() -> None:
    names = {
        part for path in source_files() for part in path.relative_to(PACKAGE).with_suffix("").parts
    }
    assert not {name for name in names if FORBIDDEN_NAMES & set(name.split("_"))}


def test_readme_table_names_every_part() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    parts = {p.relative_to(PACKAGE).parts[0] for p in source_files()} - {"__init__.py"}
    wanted = {
        f"`src/skingpt_r1/{p}`" if p.endswith(".py") else f"`src/skingpt_r1/{p}/`" for p in parts
    }
    assert not {entry for entry in wanted if entry not in readme}


def test_readme_table_names_only_what_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE)
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


def test_pictures_lie_only_where_they_may() -> None:
    pictures = [path for path in tracked_files() if path.suffix.lower() in PICTURES]
    assert not [p for p in pictures if not any(p.is_relative_to(f) for f in PICTURE_FOLDERS)]


def test_nothing_unfinished_and_no_home_folders() -> None:
    texts = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ""}
    for path in tracked_files():
        if path.suffix in texts and path.name != "LICENSE":
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not UNFINISHED.search(text), path
            assert not HOME_FOLDER.search(text), path
