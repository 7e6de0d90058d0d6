"""Recipes of any schema as YAML: `extends`, `--set a.b=c`, errors that name the nearest key."""

import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from skingpt_r1.errors import RecipeError

EXTENDS = "extends"
PACKAGE = Path(__file__).parent
# The recipes of the package; also in an installed wheel.
RECIPES = PACKAGE / "recipes"
RecipeT = TypeVar("RecipeT", bound=BaseModel)


@cache
def package_yaml(name: str) -> Any:
    """The values of a YAML file of the package, such as `text/words.yaml`."""
    return yaml.safe_load((PACKAGE / name).read_text("utf-8"))


class Section(BaseModel):
    """A part of a recipe: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_recipe(schema: type[RecipeT], path: Path | str, settings: Sequence[str] = ()) -> RecipeT:
    """Read, merge and check a recipe.

    Args:
        schema: what the recipe must be.
        path: the YAML file, or the name of a recipe of the package, see `find_recipe`; its
            `extends: other.yaml` names a file beside it, or a recipe of the package, to start from.
        settings: changes `a.b=c`, applied in order; the value is read as YAML.

    Raises:
        RecipeError: names every problem: a file that cannot be read, an unknown key, a wrong type,
            values that do not go together.
    """
    values = _read(find_recipe(path), ())
    return check_recipe(schema, set_values(values, settings), str(path))


def find_recipe(path: Path | str) -> Path:
    """The file of a recipe: the path itself if it is there, else the package's recipe of that name.

    `nano_experts`, `nano_experts.yaml` and `recipes/nano_experts.yaml` name a recipe of the package
    wherever the command is given; any other path names that file alone.
    """
    path = Path(path)
    packaged = RECIPES / f"{path.name.removesuffix('.yaml')}.yaml"
    named = path.parent == Path() or path.parent.name == RECIPES.name
    return packaged if named and not path.is_file() and packaged.is_file() else path


def check_recipe(schema: type[RecipeT], values: dict[str, Any], origin: str = "recipe") -> RecipeT:
    """Check the values of a recipe; raises as `read_recipe` does."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = [_describe(schema, problem) for problem in error.errors(include_url=False)]
        raise RecipeError(
            "\n".join([f"{origin} is not a recipe:", *(f"  - {line}" for line in problems)])
        ) from error


def set_values(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The values with changes `a.b=c` applied in order.

    Raises:
        RecipeError: a change that is not of this form, or whose value is not YAML.
    """
    for setting in settings:
        _set(values, setting)
    return values


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        chain = " -> ".join(item.name for item in (*seen, path))
        raise RecipeError(f"recipes extend each other in a circle: {chain}")
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(_absent(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds no keys; a recipe begins with `name:`")
    if EXTENDS not in values:
        return values
    parent = str(values.pop(EXTENDS))
    beside, packaged = path.parent / parent, find_recipe(parent)
    chosen = beside if beside.is_file() or not packaged.is_file() else packaged
    return _merge(_read(chosen, (*seen, path.resolve())), values)


def _absent(path: Path) -> str:
    near = sorted(other.name for other in path.parent.glob("*.y*ml"))
    here = f"{path.parent} has {', '.join(near)}" if near else f"{path.parent} has no YAML file"
    known = sorted(other.stem for other in RECIPES.glob("*.yaml"))
    close = difflib.get_close_matches(path.stem, known, n=3, cutoff=0.0)
    return f"there is no recipe {path}; {here}; of the package the nearest are {', '.join(close)}"


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        # A split is one value: its shares must add up, so they are not merged one by one.
        both = isinstance(old, dict) and isinstance(value, dict) and key != "split"
        merged[key] = _merge(old, value) if both and isinstance(old, dict) else value
    return merged


def _set(values: dict[str, Any], setting: str) -> None:
    place, sign, text = setting.partition("=")
    keys = place.strip().split(".")
    if not sign or not all(keys):
        raise RecipeError(f"--set {setting!r} is not of the form section.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {setting!r}: the value is not YAML: {error}") from error
    inner = values
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {setting!r}: {key!r} has no keys of its own")
    inner[keys[-1]] = value


def _describe(schema: type[BaseModel], problem: ErrorDetails) -> str:
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] != "extra_forbidden":
        given = "" if isinstance(problem["input"], dict) else f" (given: {problem['input']!r})"
        reason = problem["msg"].removeprefix("Value error, ")
        return f"{place}: {reason}{given}" if place else reason
    known = _keys(schema, problem["loc"][:-1])
    near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.0)
    return f"unknown key {place}; nearest: {near[0]}; known here: {', '.join(known)}"


def _keys(schema: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """The keys of the section at a place of the schema."""
    model: type[BaseModel] = schema
    for key in place:
        field = model.model_fields.get(str(key))
        if field is None:  # the key of a mapping, whose values have a schema
            continue
        annotation = field.annotation
        model = next(
            kind
            for kind in (annotation, *get_args(annotation))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return list(model.model_fields)
