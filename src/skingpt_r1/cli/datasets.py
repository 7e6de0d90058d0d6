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


@datasets_app.command(
    "list", epilog=closing("skingpt datasets list", "skingpt datasets list ham10000")
)
def list_datasets(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Full cards.")] = None,
) -> None:
    """Print names and licences, or full cards."""
    if names:
        typer.echo("\n\n".join(datasets.describe(name) for name in names))
        return
    for reader in datasets.READERS.values():
        typer.echo(f"{reader.INFO.name:<16} {reader.INFO.title}: {reader.INFO.licence}")


@datasets_app.command(epilog=closing("skingpt datasets check ham10000 ../shared/data/ham10000"))
def check(
    name: Annotated[str, typer.Argument(help="A name of `skingpt datasets list`.")],
    root: Annotated[Path, typer.Argument(help="The folder of the data set.")],
    allow_missing: AllowMissing = False,
) -> None:
    """Print licence and counts, or all problems.

    Every problem is told at once, with its row, before any work starts.
    """
    reading = datasets.check_dataset(name, root)
    typer.echo(datasets.describe(name))
    cases = reading.settle(allow_missing=allow_missing)
    typer.echo(datasets.describe_cases(cases))
    for reason, count in reading.counts().items():
        typer.echo(f"  {reason}: {count:,}")
