"""`skingpt distill`: a recipe in, an adapter out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.options import RecipeFile, Settings
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH


def distill(
    recipe: RecipeFile,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/<recipe's name> by default.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of stored features, to share them; inside the run by default."),
    ] = None,
) -> None:
    """Distil adapters by a recipe.

    The same command again continues a stopped run. Start it under torchrun, as
    `torchrun -m skingpt_r1.cli distill ...`, to share the work among processes.
    """
    from skingpt_r1.distill.recipe_files import load_recipe
    from skingpt_r1.distill.run import run_recipe

    chosen = load_recipe(recipe, settings or ())
    folder = out or Path("runs") / chosen.name
    with staged() as progress:
        finished = run_recipe(
            chosen, folder, features=features, progress=progress, quiet=not sys.stderr.isatty()
        )
    typer.echo(f"adapter: {finished.folder / 'adapter'}")
    typer.echo(f"try it:  skingpt diagnose photo.jpg --model {finished.folder / 'adapter'}")
    typer.echo(RESEARCH)
