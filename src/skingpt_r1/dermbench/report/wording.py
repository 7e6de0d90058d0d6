"""Numbers, rows and names as people read them, and which tables stand beside each other.

The glance has a row for each system and a column for each board and set; the two scales are never
in one table, so that a report with both has a table for each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from skingpt_r1.dermbench.report.data import (
    DIFFERENCE,
    HOLM,
    UNSCORED,
    Kind,
    ReportData,
    ResultTable,
    TableKind,
    of_run,
    pair_name,
)
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.comparison import ALPHA
from skingpt_r1.stats.intervals import NO_INTERVAL, Interval

MISSING, NO_DIFFERENCE = "–", "no difference shown"
Measure = Interval | ResultRow


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


def interval(measure: Measure | None, digits: int = 2, write: Callable[..., str] = number) -> str:
    """`3.41 (3.30 to 3.52)`; a dash for None."""
    if measure is None:
        return MISSING
    return f"{write(measure.value, digits)} ({ends(measure, digits, write)})"


def ends(measure: Measure, digits: int = 2, write: Callable[..., str] = number) -> str:
    """`3.30 to 3.52`, or why there is no interval."""
    if measure.low is None or measure.high is None:
        return NO_INTERVAL
    return f"{write(measure.low, digits)} to {write(measure.high, digits)}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent; a dash for None."""
    return MISSING if share is None else f"{number(100 * share, digits)} %"


def percent_interval(measure: Measure | None, digits: int = 1) -> str:
    """`81.2 % (79.0 to 83.3)`; a dash for None."""
    if measure is None:
        return MISSING
    shown = ends(measure, digits, lambda share, digits: number(100 * share, digits))
    return f"{percent(measure.value, digits)} ({shown})"


def figure(measure: Measure | None, kind: TableKind) -> str:
    """A share of classification as per cent, else a score; with its interval."""
    return percent_interval(measure) if kind == "classification" else interval(measure)


def p_value(p: Measure | None) -> str:
    """Three decimals, or `< 0.001`."""
    if p is None:
        return MISSING
    return "< 0.001" if p.value < 0.001 else f"{p.value:.3f}"


def count(value: int) -> str:
    """A number of things, thousands apart."""
    return f"{value:,}"


def hits(share: ResultRow | None) -> int:
    """The cases of which a share is made; none where there is no row."""
    return 0 if share is None else round(share.value * share.n)


def part_of(share: ResultRow, between: str = " / ") -> str:
    """`37 / 40`."""
    return f"{count(hits(share))}{between}{count(share.n)}"


def titled(system: str, kind: Kind) -> str:
    """A system, with what it is where it is no competitor."""
    return system if kind == "system" else f"{system} ({kind})"


def unscored(table: ResultTable, system: str) -> str:
    """Why answers have no score, each with its number; empty where all have one."""
    reasons = table.counts(system, UNSCORED)
    return ", ".join(f"{reason} {count(number)}" for reason, number in reasons.items())


def difference(table: ResultTable, first: str, second: str) -> tuple[Measure, Measure] | None:
    """One system less another and its p-value, whichever of them was named first."""
    for name, sign in ((pair_name(first, second), 1), (pair_name(second, first), -1)):
        found, p = table.cell(name, DIFFERENCE), table.cell(name, HOLM)
        if found is not None and p is not None:
            return (found if sign == 1 else _turned(found)), p
    return None


def _turned(found: ResultRow) -> Interval:
    """The second less the first."""
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return Interval(-found.value, low, high, found.n)


def is_shown(p: Measure) -> bool:
    """Whether a difference is shown by its p-value."""
    return p.value < ALPHA


def better(first: str, second: str, found: Measure, p: Measure) -> str:
    """The better system, or that no difference is shown."""
    if not is_shown(p):
        return NO_DIFFERENCE
    return first if found.value > 0 else second


class Glance(NamedTuple):
    """Headings with their tables, and the systems; those of the first table come first."""

    columns: tuple[tuple[str, ResultTable], ...]
    systems: Mapping[str, Kind]


def glances(data: ReportData) -> list[Glance]:
    """Means on one scale and accuracies beside each other; none of fewer than two columns."""
    boards, sets = data.of("scores"), data.of("classification")
    scales = dict.fromkeys(board.of[1] for board in boards)
    tables = [[*(board for board in boards if board.of[1] == scale), *sets] for scale in scales]
    return [_glance(data, beside) for beside in tables or [sets] if len(beside) > 1]


def _glance(data: ReportData, tables: Sequence[ResultTable]) -> Glance:
    names = [f"{table.headline}: {', '.join(table.of)}" for table in tables]
    shown = [
        name if names.count(name) == 1 else of_run(name, table.run)
        for name, table in zip(names, tables, strict=True)
    ]
    systems: dict[str, Kind] = {}
    for table in tables:
        for system, kind in table.systems.items():
            if system in data.systems:
                systems.setdefault(system, kind)
    return Glance(tuple(zip(shown, tables, strict=True)), systems)
