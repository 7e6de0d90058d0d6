"""`skingpt demo`: the paper's core on the embedded backbone, from nothing, in minutes."""

import time
from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.comparison import print_comparison
from skingpt_r1.cli.progress import staged

# name of the row, recipe file, feature store; the first of those that share a store fills it.
SYSTEMS = (
    ("bias: + text + visual", "nano_bias_text_visual", "bias"),
    ("bias: + text", "nano_bias_text", "bias"),
    ("lora: + text", "nano_lora_text", "lora"),
    ("lora + inject: + text + visual", "nano_lora_text_visual", "lora"),
)
DIFFERENCES = (
    ("bias: + text + visual", "base"),
    ("bias: + text + visual", "bias: + text"),
    ("lora + inject: + text + visual", "base"),
    ("lora + inject: + text + visual", "lora: + text"),
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
        System(name, load_recipe(recipes / f"{file}.yaml"), features)
        for name, file, features in SYSTEMS
    ]
    with staged() as progress:
        comparison = compare(systems, out, table="demo", differences=DIFFERENCES, progress=progress)
    print_comparison(
        comparison,
        title="Rendered skin, 16 conditions",
        columns=COLUMNS,
        before="base",
        after="lora + inject: + text + visual",
    )
    typer.echo(f"results: {out / 'results.json'}; {(time.monotonic() - started) / 60:.1f} minutes")
