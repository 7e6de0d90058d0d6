"""`skingpt features`: the one pass of the frozen backbone over the data."""

from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.options import RecipeFile, Settings


def features(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="Folder of the stored features.")],
    settings: Settings = None,
) -> None:
    """Run the frozen backbone once and store.

    The same command again continues a stopped pass.
    """
    raise NotImplementedError
