"""`skingpt distill`: a recipe in, an adapter and its measured results out."""

from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.options import RecipeFile, Settings


def distill(
    recipe: RecipeFile,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/<recipe's name> by default.")
    ] = None,
) -> None:
    """Distil adapters by a recipe.

    Stores features, trains, diagnoses unseen cases and prints the table. The same command again
    continues a stopped run.
    """
    raise NotImplementedError
