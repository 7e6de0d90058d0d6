"""Numbers and names as people read them, the glance table, and the whole report as Markdown.

The glance has a row for each system and a column for each board and set; the two scales are never
in one table, so that a report with both has a table for each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from skingpt_r1.dermbench.records import ProtocolName
from skingpt_r1.dermbench.report.data import (
    LABEL_OUTCOMES,
    Calibration,
    Classification,
    Kind,
    ReportData,
    ScoreTable,
    ToneTable,
)
from skingpt_r1.dermcot.card import RESEARCH
from skingpt_r1.stats.classification import ACCURACY
from skingpt_r1.stats.intervals import NO_INTERVAL, Interval
from skingpt_r1.text.rubric import DIMENSIONS
from skingpt_r1.text.tokens import escaped, table

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
    shares = list(_accuracy_columns(data))
    scales = dict.fromkeys(table.protocol for table in data.scores)
    tables = [[*_mean_columns(data, scale), *shares] for scale in scales] or [shares]
    return [_joined(data, columns) for columns in tables if len(columns) > 1]


def _mean_columns(data: ReportData, scale: ProtocolName) -> Iterator[_Column]:
    for board in data.scores:
        if board.protocol == scale:
            means = {row.system: (row.kind, interval(row.overall)) for row in board.rows}
            yield _Column(f"mean score: {board.judge}, {board.protocol}", board.run, means)


def _accuracy_columns(data: ReportData) -> Iterator[_Column]:
    for part in data.classifications:
        shares = {
            row.system: (row.kind, percent_interval(row.metrics.get(ACCURACY))) for row in part.rows
        }
        yield _Column(f"{ACCURACY}: {part.benchmark}, {part.form}", part.run, shares)


def _joined(data: ReportData, columns: Sequence[_Column]) -> Glance:
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


def metric_names(part: Classification) -> list[str]:
    """All metrics of a set, in the order in which the rows name them."""
    return list(dict.fromkeys(name for row in part.rows for name in row.metrics))


def measure_names(curves: Sequence[Calibration]) -> list[str]:
    """All measures of calibration, in the order in which the systems name them."""
    return list(dict.fromkeys(name for curve in curves for name in curve.measures))


def rank(measure: Interval) -> str:
    """`1 (1 to 2)`."""
    return interval(measure, 0)


def markdown(data: ReportData) -> str:
    """The whole report: the same tables as the page, without pictures and cases."""
    lines = [f"# {escaped(data.title)}", "", f"**{RESEARCH}**", ""]
    lines += [f"- {escaped(note)}" for note in data.notes]
    lines += [f"- {escaped(name)}: {escaped(value)}" for name, value in data.facts.items()]
    lines += [f"- cases: {count(data.num_cases)}"]
    lines += ["", *table(["system", "what it is"], data.systems.items())]
    lines += _glance(data)
    for scores in data.scores:
        lines += _scores(scores)
    if data.labels:
        lines += ["", "## Diagnosis against label", ""]
        rows = [
            [
                of_run(row.system, row.run),
                count(row.n),
                *(count(row.outcomes.get(o, 0)) for o in LABEL_OUTCOMES),
            ]
            for row in data.labels
        ]
        lines += table(["system", "n", *LABEL_OUTCOMES], rows)
    for part in data.classifications:
        lines += _classification(part)
    lines += [*_audits(data), *_leaks(data)]
    return "\n".join([*lines, "", RESEARCH, ""])


def _glance(data: ReportData) -> Iterator[str]:
    for place, shown in enumerate(glances(data)):
        yield from ("", "" if place else "## At a glance", "")
        rows = [
            [_titled(row.system, row.kind), *(cell or MISSING for cell in row.cells)]
            for row in shown.rows
        ]
        yield from table(["system", *shown.columns], rows)


def _scores(scores: ScoreTable) -> Iterator[str]:
    name = of_run(f"{scores.judge}, {scores.protocol}", scores.run)
    yield from ("", f"## Scores: {escaped(name)}", "")
    rows = [
        [
            MISSING if row.rank is None else rank(row.rank),
            _titled(row.system, row.kind),
            interval(row.overall),
            f"{count(row.scored)} / {count(row.asked)}",
            ", ".join(f"{reason} {count(n)}" for reason, n in sorted(row.unscored.items())),
        ]
        for row in scores.rows
    ]
    head = ["rank", "system", "mean (95 % interval)", "scored / asked", "unscored"]
    yield from table(head, rows)
    yield ""
    by_dimension = [
        [row.system, *(interval(row.dimensions.get(name)) for name in DIMENSIONS)]
        for row in scores.rows
    ]
    yield from table(["system", *DIMENSIONS], by_dimension)
    if scores.pairs:
        yield ""
        head = ["first", "second", "first less second", "p (Holm)", "n", "better"]
        yield from table(
            head,
            [
                [
                    pair.first,
                    pair.second,
                    f"{signed(pair.difference.value)} ({ends(pair.difference, write=signed)})",
                    p_value(pair.p_holm),
                    count(pair.difference.n),
                    pair.words,
                ]
                for pair in scores.pairs
            ],
        )
    yield from _tones(scores.tones, is_share=False)


def _classification(part: Classification) -> Iterator[str]:
    name = of_run(f"{part.benchmark}, {part.form}", part.run)
    yield from ("", f"## Classification: {escaped(name)}", "")
    metrics = metric_names(part)
    rows = [
        [
            row.system,
            *(percent_interval(row.metrics.get(metric)) for metric in metrics),
            f"{count(row.unread)} / {count(row.asked)}",
            percent_interval(row.gain and row.gain.difference),
            p_value(row.gain and row.gain.p_holm),
        ]
        for row in part.rows
    ]
    gain = f"accuracy less that of {part.baseline}" if part.baseline else "gain"
    yield from table(["system", *metrics, "no label / asked", gain, "p (Holm)"], rows)
    if part.calibrations:
        yield ""
        names = measure_names(part.calibrations)
        calibrated = [
            [row.system, *(interval(row.measures.get(name), 3) for name in names)]
            for row in part.calibrations
        ]
        yield from table(["system", *names], calibrated)
    yield from _tones(part.tones, is_share=True)


def _tones(tones: Sequence[ToneTable], *, is_share: bool) -> Iterator[str]:
    shown = percent_interval if is_share else interval
    if tones:
        yield ""
        rows = [
            [
                table.system,
                f"{table.metric} by {table.scale}",
                group.name,
                count(group.n),
                shown(group.measure),
            ]
            for table in tones
            for group in table.rows
        ]
        yield from table(["system", "measure", "group", "n", "value"], rows)


def _audits(data: ReportData) -> Iterator[str]:
    if data.audits:
        yield from ("", "## Judge audits", "")
        rows = [
            [
                of_run(audit.judge, audit.run),
                audit.check,
                audit.subject,
                interval(audit.measure, 3),
                f"warning: {audit.verdict}" if audit.flagged else audit.verdict,
            ]
            for audit in data.audits
        ]
        yield from table(["judge", "check", "of", "value", "meaning"], rows)


def _leaks(data: ReportData) -> Iterator[str]:
    if data.leaks:
        yield from ("", "## Overlap with training data", "")
        rows = [
            [
                leak.system,
                of_run(leak.benchmark, leak.run),
                f"{count(leak.cases)} / {count(leak.asked)}",
                leak.found_by,
                leak.treatment,
            ]
            for leak in data.leaks
        ]
        yield from table(["system", "benchmark", "cases / asked", "found by", "treatment"], rows)


def _titled(system: str, kind: Kind) -> str:
    return system if kind == "system" else f"{system} ({kind})"
