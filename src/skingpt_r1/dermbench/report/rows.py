"""The numbers of a report as rows of `results.json`, and everything that it leaves in a folder.

Judge and scale are part of a table's name. `results.json` also has what the page leaves out: why
answers were not read, all pairs of classifiers, and their ranks.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermbench.report.data import (
    Classification,
    LabelRow,
    Leak,
    ReportData,
    ScoreTable,
    ToneTable,
)
from skingpt_r1.dermbench.report.page import confusion_records, write_page
from skingpt_r1.dermbench.report.wording import markdown, of_run
from skingpt_r1.records import ResultRow, write_bytes_atomic, write_json_atomic, write_results
from skingpt_r1.runs import own_run
from skingpt_r1.stats.comparison import Comparison
from skingpt_r1.stats.intervals import Interval, wilson

OVERALL = "mean score"
HOLM = "p after Holm's correction"


def report_rows(data: ReportData) -> Iterator[ResultRow]:
    """Every number of the report; what could not be computed has no row."""
    for table in data.scores:
        yield from _score_rows(table)
    for row in data.labels:
        yield from _label_rows(row)
    for part in data.classifications:
        yield from _classification_rows(part)
    for audit in data.audits:
        if audit.measure is not None:
            table_name = of_run(f"audit of {audit.judge}", audit.run)
            yield audit.measure.row(table_name, audit.subject, audit.check)
    for leak in data.leaks:
        yield from _leak_rows(leak)
    for part in data.classifications:
        yield from _rows_of_results_alone(part)


def score_table_name(table: ScoreTable) -> str:
    """`scores, <judge>, <scale>`, and the run in a report of several."""
    return of_run(f"scores, {table.judge}, {table.protocol}", table.run)


def classification_name(part: Classification) -> str:
    """`classification, <data set>, <form>`, and the run in a report of several."""
    return of_run(f"classification, {part.benchmark}, {part.form}", part.run)


def _score_rows(table: ScoreTable) -> Iterator[ResultRow]:
    name = score_table_name(table)
    for row in table.rows:
        measures = {OVERALL: row.overall, **row.dimensions, "rank": row.rank}
        yield from _measured(name, row.system, measures)
        if row.asked:
            yield wilson(row.scored, row.asked).row(name, row.system, "coverage")
        yield from _counted(name, row.system, "unscored", row.unscored, row.asked)
    for pair in table.pairs:
        yield from _pair_rows(name, pair, "difference of the mean score")
    yield from _tone_rows(name, table.tones)


def _label_rows(row: LabelRow) -> Iterator[ResultRow]:
    for outcome, count in row.outcomes.items():
        if row.n:
            yield wilson(count, row.n).row(of_run("labels", row.run), row.system, outcome)


def _classification_rows(part: Classification) -> Iterator[ResultRow]:
    name = classification_name(part)
    for row in part.rows:
        yield from _measured(name, row.system, row.metrics)
        if row.asked:
            yield wilson(row.unread, row.asked).row(name, row.system, "no label")
        if row.gain is not None:
            yield row.gain.difference.row(name, row.system, f"gain over {part.baseline}")
            yield _p_holm(name, row.system, row.gain)
    for confusion in part.confusions:
        for score in confusion.scores:
            each = {"recall": score.recall, "precision": score.precision, "F1": score.f1}
            found = {f"{metric}, {score.label}": value for metric, value in each.items()}
            yield from _measured(name, confusion.system, found)
    yield from _tone_rows(name, part.tones)
    for calibration in part.calibrations:
        yield from _measured(name, calibration.system, calibration.measures)
        for tried in calibration.abstentions:
            wanted = f"at most {tried.wanted:.0%} errors"
            shares = {f"coverage, {wanted}": tried.coverage, f"risk, {wanted}": tried.risk}
            yield from _measured(name, calibration.system, shares)


def _rows_of_results_alone(part: Classification) -> Iterator[ResultRow]:
    name = classification_name(part)
    for row in part.rows:
        yield from _counted(name, row.system, "unmatched", row.unmatched, row.counted)
    for pair in part.pairs:
        yield from _pair_rows(name, pair, "difference of the accuracy")
    for row in part.rows:
        yield from _measured(name, row.system, {"rank": row.rank})


def _tone_rows(name: str, tones: tuple[ToneTable, ...]) -> Iterator[ResultRow]:
    for table in tones:
        metric, scale = table.metric, table.scale
        measures = {f"{metric}, {scale} {row.name}": row.measure for row in table.rows}
        measures |= {f"{metric}, gap by {scale}": table.gap}
        measures |= {f"{metric}, parity by {scale}": table.parity}
        yield from _measured(name, table.system, measures)


def _leak_rows(leak: Leak) -> Iterator[ResultRow]:
    if leak.asked:
        name = of_run(f"leaks, {leak.benchmark}", leak.run)
        yield wilson(leak.cases, leak.asked).row(name, leak.system, f"overlap, {leak.found_by}")


def _measured(
    table: str, system: str, measures: Mapping[str, Interval | None]
) -> Iterator[ResultRow]:
    for metric, measure in measures.items():
        if measure is not None:
            yield measure.row(table, system, metric)


def _counted(
    table: str, system: str, what: str, counts: Mapping[str, int], n: int
) -> Iterator[ResultRow]:
    for reason, count in counts.items():
        yield Interval(count, None, None, n).row(table, system, f"{what}, {reason}")


def _pair_rows(table: str, pair: Comparison, metric: str) -> Iterator[ResultRow]:
    system = f"{pair.first} - {pair.second}"
    yield pair.difference.row(table, system, metric)
    yield _p_holm(table, system, pair)


def _p_holm(table: str, system: str, pair: Comparison) -> ResultRow:
    return Interval(pair.p_holm, None, None, pair.difference.n).row(table, system, HOLM)


class Written(NamedTuple):
    """The files of a report: `report.html`, `report.md` and `results.json`."""

    page: Path
    markdown: Path
    results: Path


def write_report(
    data: ReportData, folder: Path, *, more: Sequence[ResultRow] = (), results: Path | None = None
) -> Written:
    """Write `report.html`, `report.md`, `results.json` and, where there are any, `confusion.json`.

    Files of an earlier report are replaced. `more` are numbers that the page does not show, and
    `results` is the folder of `results.json` where it is another one.

    Raises:
        RecordError: a file cannot be written.
        TrainingError: another process writes the folder.
    """
    table = results or folder
    written = Written(folder / "report.html", folder / "report.md", table / "results.json")
    with own_run(folder):
        write_page(data, written.page)
        write_bytes_atomic(written.markdown, markdown(data).encode())
        write_results(table, [*report_rows(data), *more])
        if matrices := confusion_records(data.classifications):
            write_json_atomic(folder / "confusion.json", matrices)
    return written
