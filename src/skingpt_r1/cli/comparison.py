"""Printing a comparison: the table of systems, the differences, one narrative before and after."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from skingpt_r1.cli.wording import RESEARCH
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import NO_INTERVAL

if TYPE_CHECKING:
    from skingpt_r1.distill.compare import Comparison

Columns = Sequence[tuple[str, str]]


def print_comparison(
    comparison: "Comparison", *, title: str, columns: Columns, before: str, after: str
) -> None:
    """Print the systems, the differences and one case.

    Args:
        comparison: what was found.
        title: above the table.
        columns: pairs (metric, heading).
        before: system whose narrative is shown first.
        after: system whose narrative is shown second.
    """
    systems = list(comparison.answers)
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        _table(f"{title}, {len(comparison.cases)} unseen pictures", comparison, systems, columns)
    )
    differences = list(dict.fromkeys(row.system for row in comparison.rows))
    paired = [name for name in differences if name not in systems]
    if paired:
        console.print(_table("Differences, paired by case", comparison, paired, columns))
    unreadable = {
        name: sum(answer.unreadable is not None for answer in answers)
        for name, answers in comparison.answers.items()
    }
    if any(unreadable.values()):
        counted = ", ".join(f"{name}: {count}" for name, count in unreadable.items() if count)
        console.print(f"Unreadable answers, counted as wrong: {counted}")
    _print_case(comparison, before, after)
    typer.echo(RESEARCH)


def _table(title: str, comparison: "Comparison", systems: Sequence[str], columns: Columns) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("system")
    for _, heading in columns:
        table.add_column(f"{heading} (95 % interval)", justify="right")
    cells = {(row.system, row.metric): _cell(row) for row in comparison.rows}
    for name in systems:
        table.add_row(name, *[cells.get((name, metric), "-") for metric, _ in columns])
    return table


def _cell(row: ResultRow) -> str:
    text = f"{100 * row.value:.1f}"
    if row.low is None or row.high is None:
        return f"{text} ({NO_INTERVAL})"
    return f"{text} ({100 * row.low:.1f} to {100 * row.high:.1f})"


def _print_case(comparison: "Comparison", before: str, after: str) -> None:
    """The first case of the test set, whatever came out."""
    case = comparison.cases[0]
    typer.echo(f"\nThe first unseen case, {case.images[0].name}: {case.label}")
    for name in (before, after):
        typer.echo(f"\n{name}:\n  {comparison.answers[name][0].text}")
    typer.echo("")
