"""`skingpt models`: what a directory is, and whether it loads."""

from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli.progress import tracked

if TYPE_CHECKING:
    from skingpt_r1.model.load import ModelReport


def models(
    directories: Annotated[
        list[str], typer.Argument(metavar="DIR", help="Directories, or `nano`.")
    ],
) -> None:
    """Say what a directory is, and if it loads.

    The exit code is 1 when one of them does not load.
    """
    from skingpt_r1.model.load import describe_directory

    reports = [describe_directory(name) for name in tracked(directories, "loading")]
    typer.echo("\n\n".join(_text(report) for report in reports))
    broken = [report.path for report in reports if not report.loads]
    if broken:
        typer.echo(f"error: does not load: {', '.join(broken)}", err=True)
        raise typer.Exit(1)


def _text(report: "ModelReport") -> str:
    verdict = "loads" if report.loads else "does not load"
    return "\n".join(
        [f"{report.path}: {report.kind}, {verdict}", *(f"  {line}" for line in report.details)]
    )
