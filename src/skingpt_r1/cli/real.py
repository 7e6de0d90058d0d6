"""`skingpt real`: the rows of the demo on real photos."""

from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.comparison import print_comparison
from skingpt_r1.cli.demo import PAPER, PAPER_TEXT
from skingpt_r1.cli.options import Device, Dtype, RecipeFolder, model_settings
from skingpt_r1.cli.progress import staged
from skingpt_r1.recipes import RECIPES

# Without matrices in the tower, which the demo's strongest row has.
STRONGER = "bias + lora + inject: + text + visual"
DATASETS = {"pad_ufes_20": "PAD-UFES-20, 6 classes", "ham10000": "HAM10000, 7 classes"}
# name of the row, end of the recipe's name, feature store, the system it starts from.
SYSTEMS = (
    (PAPER_TEXT, "bias_text", "bias", None),
    (PAPER, "bias_text_visual", "bias", None),
    (STRONGER, "lora_text_visual", "lora", PAPER),
)
DIFFERENCES = ((PAPER, "base"), (PAPER, PAPER_TEXT), (STRONGER, "base"), (STRONGER, PAPER))
COLUMNS = (
    ("balanced accuracy", "balanced accuracy, %"),
    ("diagnosis accuracy", "diagnosis right, %"),
    ("finding accuracy", "findings right, %"),
)


def real(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Holds pad_ufes_20/ and ham10000/.")],
    out: Annotated[Path, typer.Option(help="One folder per data set is made here.")] = Path(
        "runs/real"
    ),
    recipes: RecipeFolder = RECIPES,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Distil on real photos: before and after.

    PAD-UFES-20 is split by patient, HAM10000 by lesion.
    """
    from skingpt_r1.distill.compare import System, compare
    from skingpt_r1.distill.recipe_files import load_recipe

    for dataset, title in DATASETS.items():
        root = [f"data.root={data / dataset}", *model_settings(device, dtype)]
        systems = [
            System(
                name, load_recipe(recipes / f"{dataset}_nano_{file}.yaml", root), features, start
            )
            for name, file, features, start in SYSTEMS
        ]
        with staged() as progress:
            comparison = compare(
                systems,
                out / dataset,
                table=dataset,
                differences=DIFFERENCES,
                progress=progress,
            )
        print_comparison(
            comparison,
            title=title,
            columns=COLUMNS,
            before="base",
            after=STRONGER,
        )
        typer.echo(f"results: {out / dataset / 'results.json'}\n")
