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
    """Distil on real photos: before and after.

    PAD-UFES-20 is split by patient, HAM10000 by lesion.
    """
    raise NotImplementedError
