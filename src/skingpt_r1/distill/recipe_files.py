"""Recipes of distillation as files; see `recipes.py` for what a file may hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skingpt_r1.distill.recipe import Recipe
from skingpt_r1.recipes import check_recipe, read_recipe


def load_recipe(path: Path | str, settings: Sequence[str] = ()) -> Recipe:
    """Read, merge and check a recipe; see `recipe_values.read_recipe`."""
    return read_recipe(Recipe, path, settings)


def make_recipe(values: dict[str, Any], origin: str = "recipe") -> Recipe:
    """Check the values of a recipe; see `recipe_values.check_recipe`."""
    return check_recipe(Recipe, values, origin)
