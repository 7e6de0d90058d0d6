"""`skingpt distill`: a recipe in, an adapter out."""

import sys

import typer

from skingpt_r1.cli.options import (
    Device,
    Dtype,
    FeatureFolder,
    RecipeFile,
    RunFolder,
    Settings,
    model_settings,
    run_folder,
)
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH


def distill(
    recipe: RecipeFile,
    settings: Settings = None,
    out: RunFolder = None,
    features: FeatureFolder = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Distil adapters by a recipe.

    The same command again continues a stopped run. Start it under torchrun, as
    `torchrun -m skingpt_r1.cli distill ...`, to share the work among processes.
    """
    from skingpt_r1.distill.recipe_files import load_recipe
    from skingpt_r1.distill.run import run_recipe

    chosen = load_recipe(recipe, [*(settings or ()), *model_settings(device, dtype)])
    folder = run_folder(out, chosen.name)
    with staged() as progress:
        run_recipe(
            chosen, folder, features=features, progress=progress, quiet=not sys.stderr.isatty()
        )
    typer.echo(f"adapter: {folder / 'adapter'}")
    typer.echo(f"try it:  skingpt diagnose photo.jpg --model {folder / 'adapter'}")
    typer.echo(RESEARCH)
