"""`skingpt demo`: the paper's core on the embedded backbone, from nothing, in minutes."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
) -> None:
    """Distil on rendered skin: before and after.

    Runs on the embedded backbone, offline, in minutes on two CPU cores.
    """
    raise NotImplementedError
