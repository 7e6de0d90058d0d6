"""`skingpt ablate`: cells and seeds in, one table out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from skingpt_r1.cli.options import (
    Device,
    Dtype,
    RecipeFile,
    RunFolder,
    Settings,
    model_settings,
    run_folder,
)
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH

if TYPE_CHECKING:
    from skingpt_r1.dermbench.ablation.table import AblationRow


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
    from skingpt_r1.dermbench.ablation.ablation_recipe import load_ablation
    from skingpt_r1.dermbench.ablation.run import run_ablation
    from skingpt_r1.recipes import find_recipe

    chosen = load_ablation(recipe, [*(settings or ()), *model_settings(device, dtype)])
    folder = run_folder(out, chosen.name)
    with staged() as progress:
        rows = run_ablation(chosen, find_recipe(recipe).parent, folder, progress)
    print_ablation(rows)
    typer.echo(f"results: {folder / 'results.json'}; runs of each cell: {folder / 'ablation.md'}")
    typer.echo(RESEARCH)


def print_ablation(rows: Sequence["AblationRow"]) -> None:
    """Print the cells, then the differences."""
    from skingpt_r1.dermbench.ablation.table import cell_text

    metrics = list(dict.fromkeys(metric for row in rows for metric in row.metrics))
    console = Console(soft_wrap=True, highlight=False)
    cells = [row for row in rows if row.runs]
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(s for row in cells for s in row.seeds))
    titles = {
        f"Ablation, {cells[0].cases:,} unseen cases, seeds {seeds}": cells,
        "Differences, paired by seed and case": [row for row in rows if not row.runs],
    }
    for title, part in titles.items():
        if not part:
            continue
        table = Table(title=title, title_justify="left")
        table.add_column("cell")
        for metric in metrics:
            table.add_column(f"{metric}, % (95 % interval)", justify="right")
        for row in part:
            table.add_row(row.name, *[cell_text(row, metric) for metric in metrics])
        console.print(table)
