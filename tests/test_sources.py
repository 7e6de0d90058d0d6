"""docs/sources.md names every constant that can change a result."""

import ast
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from skingpt_r1.distill.recipe import Recipe
from source_tree import PACKAGE, ROOT, source_files

TABLE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w.]+)`", TABLE))
# Drawing and schooling have their own pages: colours and sizes of pictures are not results.
OWN_PAGES = {"synthetic", "nano"}


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
