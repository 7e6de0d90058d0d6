"""`skingpt demo`: the paper's core on the embedded backbone, from nothing, in minutes."""

import time
from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.comparison import print_comparison
from skingpt_r1.cli.progress import staged

PAPER, PAPER_TEXT = "bias: + text + visual", "bias: + text"
STRONGER = "bias + lora + inject: + text + visual"
# name of the row, recipe file, feature store, the system it starts from.
SYSTEMS = (
    (PAPER_TEXT, "nano_bias_text", "bias", None),
    (PAPER, "nano_bias_text_visual", "bias", None),
    (STRONGER, "nano_lora_text_visual", "lora", PAPER),
)
DIFFERENCES = (
    (PAPER, "base"),
    (PAPER, PAPER_TEXT),
    (STRONGER, "base"),
    (STRONGER, PAPER),
)
COLUMNS = (("diagnosis accuracy", "diagnosis right, %"), ("finding accuracy", "findings right, %"))


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    recipes: Annotated[Path, typer.Option(help="Folder of the recipes.")] = Path("recipes"),
) -> None:
    """Distil on rendered skin: before and after.

    Runs on the embedded backbone, offline, in minutes on two CPU cores.
    """
    from skingpt_r1.distill.compare import System, compare
    from skingpt_r1.distill.recipe_files import load_recipe

    started = time.monotonic()
    systems = [
        System(name, load_recipe(recipes / f"{file}.yaml"), features, start)
        for name, file, features, start in SYSTEMS
    ]
    with staged() as progress:
        comparison = compare(systems, out, table="demo", differences=DIFFERENCES, progress=progress)
    print_comparison(
        comparison,
        title="Rendered skin, 16 conditions",
        columns=COLUMNS,
        before="base",
        after=STRONGER,
    )
    typer.echo(f"results: {out / 'results.json'}; {(time.monotonic() - started) / 60:.1f} minutes")
