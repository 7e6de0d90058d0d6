"""`skingpt datasets`: what can be read, whether a folder is sound, and what two sets share."""

from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1 import datasets
from skingpt_r1.cli.wording import RESEARCH, closing

datasets_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help=f"Public data sets and folders of pictures. {RESEARCH}",
    epilog=closing("skingpt datasets check ham10000 ../shared/data/ham10000"),
)

AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Continue without cases whose files are missing.")
]


@datasets_app.command("list", epilog=closing("skingpt datasets list"))
def list_datasets() -> None:
    """Print the card of every data set: licence, citation, layout, labels."""
    typer.echo("\n\n".join(datasets.describe(name) for name in datasets.READERS))


@datasets_app.command(epilog=closing("skingpt datasets check ham10000 ../shared/data/ham10000"))
def check(
    name: Annotated[str, typer.Argument(help="A name of `skingpt datasets list`.")],
    root: Annotated[Path, typer.Argument(help="The folder of the data set.")],
    allow_missing: AllowMissing = False,
) -> None:
    """Read a data set; print its licence and counts, or every problem with its row."""
    reading = datasets.check_dataset(name, root)
    typer.echo(datasets.describe(name))
    cases = reading.settle(allow_missing=allow_missing)
    typer.echo(datasets.describe_cases(cases))
    for reason, count in reading.counts().items():
        typer.echo(f"  {reason}: {count:,}")
