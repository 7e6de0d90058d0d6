"""Progress of long work, on standard error; nothing at all when that is not a terminal."""

from collections.abc import Iterable, Iterator
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


def tracked(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The same items; a bar moves as they are used up.

    Args:
        items: what is worked on.
        label: stands in front of the bar.
        total: how many there are; None when nobody knows.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=label)
