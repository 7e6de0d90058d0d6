"""docs/sources.md names every constant that can change a result."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from skingpt_r1.distill.recipe import Recipe
from source_tree import PACKAGE, ROOT, source_files

TABLE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w.]+)`", TABLE))
# Drawing and damage have their own pages: colours and sizes of pictures are not results.
OWN_PAGES = {"render", "simulate"}


def numeric_fields(section: type[BaseModel], place: str = "") -> Iterator[tuple[str, float]]:
    """Dotted names and defaults of all keys of the recipe whose default is a number."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from numeric_fields(kind, f"{place}{name}.")
        elif isinstance(field.default, int | float) and not isinstance(field.default, bool):
            yield f"{place}{name}", field.default


def module_constants() -> Iterator[str]:
    """Public module-level constants that hold a number."""
    for path in source_files():
        if path.relative_to(PACKAGE).parts[0] in OWN_PAGES:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            target = node.target if isinstance(node, ast.AnnAssign) else target
            name = target.id if isinstance(target, ast.Name) else ""
            if name.isupper() and not name.startswith("_") and holds_number(node):
                yield name


def holds_number(node: ast.AST) -> bool:
    values = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant)]
    return bool(values) and all(type(value) in (int, float) for value in values)


@pytest.mark.parametrize(("name", "value"), sorted(numeric_fields(Recipe)))
def test_every_number_of_a_recipe_has_a_source(name: str, value: float) -> None:
    row = re.search(rf"^\| `{re.escape(name)}` \| ([^|]+) \|", TABLE, re.MULTILINE)
    assert row, f"{name} has no row in docs/sources.md"
    assert float(row[1]) == value


@pytest.mark.parametrize("name", sorted(set(module_constants())))
def test_every_constant_has_a_source(name: str) -> None:
    assert name in NAMED


def test_nothing_is_listed_that_does_not_exist() -> None:
    keys = {name for name in NAMED if "." in name and not name.endswith((".py", ".yaml", ".md"))}
    sections = set(Recipe.model_fields)
    unknown = {name for name in keys if name.split(".")[0] in sections} - set(every_key(Recipe))
    assert not unknown
    constants = {name for name in NAMED if name.isupper() and "_" in name}
    source = "\n".join(path.read_text(encoding="utf-8") for path in source_files())
    assert not {name for name in constants if name not in source}


def every_key(section: type[BaseModel], place: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{place}{name}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from every_key(kind, f"{place}{name}.")


# Files of the repository as a docstring or a comment names them: with a folder, or alone.
CITED = re.compile(r"(?<![\w./-])(?:(?:docs|recipes|bench|tests|examples)/)?[\w/-]+\.(?:md|py)\b")
TREE = [p for folder in ("src", "docs", "recipes", "bench", "tests", "examples")
        for p in (ROOT / folder).rglob("*")]  # fmt: skip


def remarks(path: Path) -> Iterator[str]:
    """Docstrings and comments of a file."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def written_names() -> set[str]:
    """Names of files that the product writes: they stand in it as texts."""
    return {
        node.value
        for path in source_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value
    }


def test_docstrings_cite_files_of_the_repository() -> None:
    known = {p.relative_to(ROOT).as_posix() for p in (*TREE, *ROOT.glob("*.md"))}
    written = written_names()

    def exists(name: str) -> bool:
        alone = any(path == name or path.endswith(f"/{name}") for path in known)
        return alone or name in written

    missing = {
        f"{path.name}: {name}"
        for path in source_files()
        for remark in remarks(path)
        for name in CITED.findall(remark)
        if not exists(name)
    }
    assert missing == set()


def test_a_citation_of_nothing_is_found() -> None:
    text = "Source: design.md section 3; docs/none.md; docs/sources.md; see `stats.py`."
    assert CITED.findall(text) == ["design.md", "docs/none.md", "docs/sources.md", "stats.py"]
