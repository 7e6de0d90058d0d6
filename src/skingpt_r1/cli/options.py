"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a recipe that ships.")
]
RecipeFolder = Annotated[
    Path,
    typer.Option("--recipes", help="Folder of the recipes.", show_default="that of the package"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change one value of the recipe; repeatable."),
]
RunFolder = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of the run; runs/<name of the recipe> by default."),
]
FeatureFolder = Annotated[
    Path | None,
    typer.Option("--features", help="Folder of stored features, to share; in the run by default."),
]


def run_folder(out: Path | None, name: str) -> Path:
    """The folder of a run: as asked for, or by the recipe's name."""
    return Path("runs") / name if out is None else out
