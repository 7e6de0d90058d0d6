"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.model.placement import (
    AUTO,
    DEVICES,
    DTYPES,
    ModelRecipe,
    check_device_name,
    check_dtype_name,
)

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

Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=f"Where models go: {DEVICES}. auto by default."),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Number format of the weights: auto, {', '.join(DTYPES)}; auto by default.",
    ),
]


def model_settings(device: str | None, dtype: str | None) -> list[str]:
    """The options as changes to the section `models` of a recipe."""
    given = {"device": device, "dtype": dtype}
    return [f"models.{key}={value}" for key, value in given.items() if value is not None]


def model_recipe(device: str | None, dtype: str | None) -> ModelRecipe:
    """The options as the section itself, for a command without a recipe.

    Raises:
        DeviceError: a name that means nothing.
    """
    return ModelRecipe(
        device=check_device_name(device or AUTO), dtype=check_dtype_name(dtype or AUTO)
    )


def run_folder(out: Path | None, name: str) -> Path:
    """The folder of a run: as asked for, or by the recipe's name."""
    return Path("runs") / name if out is None else out
