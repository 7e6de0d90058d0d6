"""Arguments that several commands share.

Progress of long work, on standard error: bars on a terminal, elsewhere a line for each stage. The
one table on a terminal.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from skingpt_r1.model.config import (
    AUTO,
    DEVICES,
    DTYPES,
    ModelRecipe,
    check_device_name,
    check_dtype_name,
)
from skingpt_r1.runs import Progress as StageProgress

RecipeFile = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a recipe that ships.")
]
RecipeFolder = Annotated[
    Path,
    typer.Option("--recipes", help="Folder of the recipes.", show_default="that of the package"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change one value of the recipe; repeatable."),
]
RunFolder = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of the run; runs/<name of the recipe> by default."),
]
FeatureFolder = Annotated[
    Path | None,
    typer.Option("--features", help="Folder of stored features, to share; in the run by default."),
]
MaxCost = Annotated[
    float | None, typer.Option(min=0, metavar="USD", help="Stop before this much is paid.")
]
MaxDistance = Annotated[
    int, typer.Option(min=0, max=256, help="Bits of 256 in which near-identical may differ.")
]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help=f"Where models go: {DEVICES}. auto by default.")
]
Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Number format of the weights: auto, {', '.join(DTYPES)}; auto by default.",
    ),
]


def all_settings(
    settings: Sequence[str] | None, device: str | None, dtype: str | None
) -> list[str]:
    """Changes to a recipe: those of --set, and the options as its section `models`."""
    given = {"device": device, "dtype": dtype}
    chosen = [f"models.{key}={value}" for key, value in given.items() if value is not None]
    return [*(settings or ()), *chosen]


def model_recipe(device: str | None, dtype: str | None) -> ModelRecipe:
    """The options as the section itself, for a command without a recipe.

    Raises:
        DeviceError: a name that means nothing.
    """
    return ModelRecipe(
        device=check_device_name(device or AUTO), dtype=check_dtype_name(dtype or AUTO)
    )


def run_folder(out: Path | None, name: str) -> Path:
    """The folder of a run: as asked for, or by the recipe's name."""
    return Path("runs") / name if out is None else out


def split_pair(word: str, form: str) -> tuple[str, str]:
    """Both sides of an argument with a `=`; the form is told where one is missing.

    Raises:
        typer.BadParameter: it has no such sides.
    """
    name, _, value = word.partition("=")
    if not (name.strip() and value.strip()):
        raise typer.BadParameter(f"{word!r} is not {form}")
    return name, value


T = TypeVar("T")


def tracked(items: Iterable[T], label: str) -> Iterator[T]:
    """The same items; a bar moves as they are used up.

    Args:
        items: what is worked on.
        label: stands in front of the bar.
    """
    with _bar() as bar:
        yield from bar.track(items, description=label)


@contextmanager
def staged() -> Iterator[StageProgress]:
    """A function to be told a stage and how many of how many are done; one bar for each stage.

    A bar stands still when its stage is complete, so that other programs can write below it.
    """
    bars: dict[str, tuple[Progress, TaskID]] = {}
    plain = not Console(stderr=True).is_terminal

    def show(stage: str, done: int, total: int) -> None:
        if plain:
            if done >= total:
                typer.echo(f"{stage}: {done} of {total}", err=True)
            return
        if stage not in bars:
            bar = _bar()
            bar.start()
            bars[stage] = bar, bar.add_task(stage, total=total)
        bar, task = bars[stage]
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    try:
        yield show
    finally:
        for bar, _ in bars.values():
            bar.stop()


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


def print_table(title: str, headings: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output, however wide; names stand left, numbers right."""
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    for line in lines:
        table.add_row(*line)
    Console(soft_wrap=True, highlight=False).print(table)
