"""`skingpt features`: the one pass of the frozen backbone over the data."""

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


def features(
    recipe: RecipeFile,
    settings: Settings = None,
    out: RunFolder = None,
    features: FeatureFolder = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Run the frozen backbone once and store.

    The same command again continues a stopped pass; `skingpt distill` on the same folder trains.
    """
    from skingpt_r1.distill.recipe_files import load_recipe
    from skingpt_r1.distill.run import run_features

    chosen = load_recipe(recipe, [*(settings or ()), *model_settings(device, dtype)])
    with staged() as progress:
        store = run_features(
            chosen, run_folder(out, chosen.name), features=features, progress=progress
        )
    typer.echo(f"{len(store)} cases in {store.folder}")
