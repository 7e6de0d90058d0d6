"""`skingpt demo`: the paper's core on the embedded backbone, from nothing, in minutes."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
) -> None:
    """Render skin, distil, and compare before and after on pictures never seen."""
    raise NotImplementedError
