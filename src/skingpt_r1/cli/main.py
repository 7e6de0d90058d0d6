"""The `skingpt` command: its groups, and how errors become messages and exit codes."""

import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from skingpt_r1 import __version__
from skingpt_r1.cli.bench import bench_app
from skingpt_r1.cli.data import datasets_app
from skingpt_r1.cli.demo import demo, real
from skingpt_r1.cli.dermcot import dermcot_app
from skingpt_r1.cli.dermeval import dermeval_app
from skingpt_r1.cli.diagnose import diagnose, models
from skingpt_r1.cli.distill import ablate, distill, features
from skingpt_r1.cli.options import RESEARCH, closing
from skingpt_r1.errors import SkinGPTError

HTTP_CLIENTS = ("httpx", "httpx2")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=closing("skingpt diagnose photo.jpg --stream"),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"skingpt {__version__}")
        raise typer.Exit


@app.callback()
def skingpt(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """SkinGPT-R1: reasoning about skin, step by step, with adapters on a frozen backbone."""
    level = logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # libraries change the level of the root logger, not of this
    handler.addFilter(_is_no_call)
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", handlers=[handler])


app.command(
    epilog=closing(
        "skingpt diagnose photo.jpg --stream",
        "skingpt diagnose photos/ --model runs/mine/adapter --json > answers.jsonl",
    )
)(diagnose)
app.command(epilog=closing("skingpt features nano_bias_text_visual --out runs/mine"))(features)
app.command(epilog=closing("skingpt distill nano_bias_text_visual --set seed=1 --out runs/mine"))(
    distill
)
app.add_typer(datasets_app, name="datasets")
app.add_typer(dermcot_app, name="dermcot")
app.add_typer(dermeval_app, name="dermeval")
app.add_typer(bench_app, name="bench")
app.command(epilog=closing("skingpt ablate ablation_nano --out runs/ablation"))(ablate)
app.command(epilog=closing("skingpt models runs/mine"))(models)
app.command(epilog=closing("skingpt demo --out runs/demo"))(demo)
app.command(epilog=closing("skingpt real ../shared/data --out runs/real"))(real)


def _is_no_call(record: logging.LogRecord) -> bool:
    """Not the line that an HTTP client writes for every call to a language model."""
    return record.levelno >= logging.WARNING or record.name not in HTTP_CLIENTS


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code.

    Args:
        arguments: what follows the program's name; the process's own by default.

    Returns:
        0 done; 1 the input or the run is at fault; 2 the command line itself is wrong.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="skingpt")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except SkinGPTError as error:
        typer.echo(f"error: {error}", err=True)
        return 1
    except OSError as error:
        typer.echo(f"error: {_disk_message(error)}", err=True)
        return 1
    return 0


def _disk_message(error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{reason}; check the path, its permissions and the free space on the disk"


def main() -> None:
    """Entry point of the `skingpt` program."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a letter gets its number
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run())


__all__ = ["RESEARCH", "app", "main", "run"]
