"""The `skingpt` command: its groups, and how errors become messages and exit codes.

A group is imported when it is used, so that `skingpt --help` answers at once.
"""

import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from skingpt_r1 import __version__
from skingpt_r1.cli import RESEARCH, closing
from skingpt_r1.errors import SkinGPTError

HTTP_CLIENTS = ("httpx", "httpx2")


class Lazy(NamedTuple):
    """A command or a group of commands that is not imported yet."""

    place: str  # `module:name` of a function or of a `typer.Typer`
    summary: str  # first sentence of its help
    examples: tuple[str, ...] = ()  # of a function; a group has its own


COMMANDS: dict[str, Lazy] = {
    "diagnose": Lazy(
        "diagnose:diagnose",
        "Diagnose pictures, with the reasoning.",
        (
            "skingpt diagnose photo.jpg --stream",
            "skingpt diagnose photos/ --model runs/mine/adapter --json > answers.jsonl",
        ),
    ),
    "verify": Lazy(
        "verify:verify",
        "Hold the claims of a text against its picture.",
        (
            "skingpt verify photo.jpg --text narrative.txt",
            "skingpt diagnose photo.jpg | skingpt verify photo.jpg --text - --picture marked.png",
        ),
    ),
    "features": Lazy(
        "distill:features",
        "Run the frozen backbone once and store.",
        ("skingpt features nano_bias_text_visual --out runs/mine",),
    ),
    "distill": Lazy(
        "distill:distill",
        "Distil adapters by a recipe.",
        ("skingpt distill nano_bias_text_visual --set seed=1 --out runs/mine",),
    ),
    "ablate": Lazy(
        "distill:ablate",
        "Train every cell of an ablation with several seeds, and compare.",
        ("skingpt ablate ablation_nano --out runs/ablation",),
    ),
    "models": Lazy(
        "diagnose:models",
        "Say what a directory is, and if it loads.",
        ("skingpt models runs/mine",),
    ),
    "demo": Lazy(
        "demo:demo",
        "Make a corpus, filter it, distil, and compare: the paper in small.",
        ("skingpt demo --out runs/demo",),
    ),
    "real": Lazy(
        "demo:real",
        "Distil on real photos: before and after.",
        ("skingpt real DATA --out runs/real",),
    ),
    "datasets": Lazy("data:datasets_app", "Public data sets and folders of pictures."),
    "dermcot": Lazy(
        "dermcot:dermcot_app",
        "DermCoT: make, filter, certify and publish a corpus of reasoning narratives.",
    ),
    "dermeval": Lazy(
        "dermeval:dermeval_app",
        "DermEval: train an evaluator, score narratives without a reference, compare ratings.",
    ),
    "bench": Lazy("bench:bench_app", "DermBench: ask systems, judge what they say, and report it."),
}


def load_command(name: str) -> Any:
    """The command of a name, imported now."""
    module, _, attribute = COMMANDS[name].place.partition(":")
    found = vars(import_module(f"skingpt_r1.cli.{module}"))[attribute]
    if isinstance(found, typer.Typer):
        command = get_group(found)
        command.name = name
        return command
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(name, epilog=closing(*COMMANDS[name].examples))(found)
    return get_command(single)


class _Commands(Mapping[str, Any]):
    """Name -> command; imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return load_command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(TyperGroup):
    """The program: its list of commands needs no import of any."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.commands: Any = _Commands()

    def list_commands(self, _context: Any) -> list[str]:
        """Names, as the help lists them."""
        return list(COMMANDS)

    def format_commands(self, _context: Any, formatter: Any) -> None:
        """The list of commands in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
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
