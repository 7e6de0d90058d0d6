"""`skingpt real`: the rows of the demo on real photos."""

from pathlib import Path
from typing import Annotated

import typer


def real(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Holds pad_ufes_20/ and ham10000/.")],
    out: Annotated[Path, typer.Option(help="One folder per data set is made here.")] = Path(
        "runs/real"
    ),
) -> None:
    """Distil and compare on PAD-UFES-20 and HAM10000, split by patient and by lesion."""
    raise NotImplementedError
