"""The whole report at a glance: a row for each system, a column for each board and set.

The two scales are never in one table, so that a report with both has a table for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from skingpt_r1.dermbench.records import ProtocolName
from skingpt_r1.dermbench.report.data import Kind, ReportData
from skingpt_r1.dermbench.report.wording import interval, of_run, percent_interval

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
