"""Progress of long work, on standard error; nothing at all when that is not a terminal."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
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
def counted(label: str) -> Iterator[Callable[[int, int], None]]:
    """A function to be told how many of how many are done; a bar follows it."""
    with _bar() as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
