"""Numbers and names as the page and the Markdown file write them.

The whole report at a glance: a row for each system, a column for each board and set.

The two scales are never in one table, so that a report with both has a table for each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from skingpt_r1.dermbench.records import ProtocolName
from skingpt_r1.dermbench.report.data import Kind, ReportData
from skingpt_r1.stats.intervals import NO_INTERVAL, Interval

MISSING = "–"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals, a true minus, none before zero; a dash for None."""
    if value is None:
        return MISSING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """As `number`, with a plus before what is not negative."""
    text = number(value, digits)
    return text if text[0] in {MISSING, "−"} else f"+{text}"


def interval(measure: Interval | None, digits: int = 2) -> str:
    """`3.41 (3.30 to 3.52)`; a dash for None."""
    if measure is None:
        return MISSING
    return f"{number(measure.value, digits)} ({ends(measure, digits)})"


def ends(measure: Interval, digits: int = 2, *, write: Callable[..., str] = number) -> str:
    """`3.30 to 3.52`, or why there is no interval."""
    if measure.ends is None:
        return NO_INTERVAL
    return " to ".join(write(end, digits) for end in measure.ends)


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent; a dash for None."""
    return MISSING if share is None else f"{number(100 * share, digits)} %"


def percent_interval(measure: Interval | None, digits: int = 1) -> str:
    """`81.2 % (79.0 to 83.3)`; a dash for None."""
    if measure is None:
        return MISSING
    return f"{percent(measure.value, digits)} ({ends(measure, digits, write=_hundredfold)})"


def _hundredfold(share: float, digits: int) -> str:
    return number(100 * share, digits)


def p_value(p: float | None) -> str:
    """Three decimals, or `< 0.001`."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def of_run(name: str, run: str) -> str:
    """A name with its run, where the report is of several."""
    return f"{name}, run {run}" if run else name


def count(value: int) -> str:
    """A number of things, thousands apart."""
    return f"{value:,}"


ACCURACY = "accuracy"


class GlanceRow(NamedTuple):
    """One system, and what the columns say of it; empty where it was not asked."""

    system: str
    kind: Kind
    cells: tuple[str, ...]


class Glance(NamedTuple):
    """Columns and rows; the systems of the first board come first, the best before."""

    columns: tuple[str, ...]
    rows: tuple[GlanceRow, ...]


class _Column(NamedTuple):
    """System -> kind and number."""

    name: str
    run: str
    entries: Mapping[str, tuple[Kind, str]]


def glances(data: ReportData) -> list[Glance]:
    """Means on one scale and accuracies beside each other; none of fewer than two columns."""
    shares = list(_shares(data))
    scales = dict.fromkeys(table.protocol for table in data.scores)
    tables = [[*_means(data, scale), *shares] for scale in scales] or [shares]
    return [_glance(data, columns) for columns in tables if len(columns) > 1]


def _means(data: ReportData, scale: ProtocolName) -> Iterator[_Column]:
    for table in data.scores:
        if table.protocol == scale:
            means = {row.system: (row.kind, interval(row.overall)) for row in table.rows}
            yield _Column(f"mean score: {table.judge}, {table.protocol}", table.run, means)


def _shares(data: ReportData) -> Iterator[_Column]:
    for part in data.classifications:
        shares = {
            row.system: (row.kind, percent_interval(row.metrics.get(ACCURACY))) for row in part.rows
        }
        yield _Column(f"{ACCURACY}: {part.benchmark}, {part.form}", part.run, shares)


def _glance(data: ReportData, columns: Sequence[_Column]) -> Glance:
    order = dict.fromkeys(name for column in columns for name in column.entries)
    rows = []
    for system in (name for name in order if name in data.systems):
        found = [column.entries.get(system) for column in columns]
        kind = next(entry[0] for entry in found if entry is not None)
        cells = tuple("" if entry is None else entry[1] for entry in found)
        rows.append(GlanceRow(system, kind, cells))
    names = [column.name for column in columns]
    shown = (
        column.name if names.count(column.name) == 1 else of_run(column.name, column.run)
        for column in columns
    )
    return Glance(tuple(shown), tuple(rows))
