"""`skingpt distill`: a recipe in, an adapter out.

`skingpt features`: the one pass of the frozen backbone over the data.

`skingpt ablate`: cells and seeds in, one table out.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from skingpt_r1.cli import finish
from skingpt_r1.cli.options import (
    Device,
    Dtype,
    FeatureFolder,
    RecipeFile,
    RunFolder,
    Settings,
    all_settings,
    print_table,
    run_folder,
    staged,
)

if TYPE_CHECKING:
    from skingpt_r1.dermbench.ablation.run import AblationRow


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
    from skingpt_r1.distill.recipe import load_recipe
    from skingpt_r1.distill.run import run_recipe

    chosen = load_recipe(recipe, all_settings(settings, device, dtype))
    folder = run_folder(out, chosen.name)
    with staged() as progress:
        run_recipe(
            chosen, folder, features=features, progress=progress, quiet=not sys.stderr.isatty()
        )
    typer.echo(f"adapter: {folder / 'adapter'}")
    finish(f"try it:  skingpt diagnose photo.jpg --model {folder / 'adapter'}")


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
    from skingpt_r1.distill.recipe import load_recipe
    from skingpt_r1.distill.run import run_features

    chosen = load_recipe(recipe, all_settings(settings, device, dtype))
    with staged() as progress:
        store = run_features(
            chosen, run_folder(out, chosen.name), features=features, progress=progress
        )
    typer.echo(f"{len(store)} cases in {store.folder}")


def ablate(
    recipe: RecipeFile,
    settings: Settings = None,
    out: RunFolder = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Train every cell of an ablation with several seeds, and compare.

    All cells are tried on the same unseen cases. Intervals are over seeds and cases together. The
    same command again continues a stopped run.
    """
    from skingpt_r1.dermbench.ablation.run import load_ablation, run_ablation
    from skingpt_r1.recipes import find_recipe

    chosen = load_ablation(recipe, all_settings(settings, device, dtype))
    folder = run_folder(out, chosen.name)
    with staged() as progress:
        rows = run_ablation(chosen, find_recipe(recipe).parent, folder, progress)
    print_ablation(rows)
    finish(f"results: {folder / 'results.json'}; runs of each cell: {folder / 'ablation.md'}")


def print_ablation(rows: Sequence["AblationRow"]) -> None:
    """Print the cells, then the differences."""
    from skingpt_r1.dermbench.ablation.run import cell_text

    metrics = list(dict.fromkeys(metric for row in rows for metric in row.metrics))
    headings = ["cell", *(f"{metric}, % (95 % interval)" for metric in metrics)]
    cells = [row for row in rows if row.runs]
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(s for row in cells for s in row.seeds))
    titles = {
        f"Ablation, {cells[0].cases:,} unseen cases, seeds {seeds}": cells,
        "Differences, paired by seed and case": [row for row in rows if not row.runs],
    }
    for title, part in titles.items():
        if part:
            lines = [[row.name, *(cell_text(row, metric) for metric in metrics)] for row in part]
            print_table(title, headings, lines)
