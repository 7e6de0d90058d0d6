"""Progress of long work, on standard error: bars on a terminal, elsewhere a line for each stage."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

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
def staged() -> Iterator[Callable[[str, int, int], None]]:
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
