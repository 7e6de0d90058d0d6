"""The numbers of a report as rows of `results.json`; judge and scale are part of a table's name.

Everything that a report leaves in a folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermbench.report.data import (
    Calibration,
    Classification,
    LabelRow,
    Leak,
    ReportData,
    ScoreTable,
    ToneTable,
)
from skingpt_r1.dermbench.report.markdown import markdown
from skingpt_r1.dermbench.report.page import confusion_records, write_page
from skingpt_r1.dermbench.report.wording import of_run
from skingpt_r1.records import ResultRow, write_bytes_atomic, write_json_atomic, write_results
from skingpt_r1.stats.intervals import Interval, wilson

OVERALL = "mean score"
HOLM = "p after Holm's correction"


class _Place(NamedTuple):
    table: str
    system: str

    def row(self, metric: str, measure: Interval) -> ResultRow:
        value, low, high, n = measure
        return ResultRow(
            table=self.table,
            system=self.system,
            metric=metric,
            value=value,
            low=low,
            high=high,
            n=n,
        )

    def plain(self, metric: str, value: float, n: int) -> ResultRow:
        return ResultRow(table=self.table, system=self.system, metric=metric, value=value, n=n)


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
            place = _Place(of_run(f"audit of {audit.judge}", audit.run), audit.subject)
            yield place.row(audit.check, audit.measure)
    for leak in data.leaks:
        yield from _leak_rows(leak)


def score_table_name(table: ScoreTable) -> str:
    """`scores, <judge>, <scale>`, and the run in a report of several."""
    return of_run(f"scores, {table.judge}, {table.protocol}", table.run)


def classification_name(part: Classification) -> str:
    """`classification, <data set>, <form>`, and the run in a report of several."""
    return of_run(f"classification, {part.benchmark}, {part.form}", part.run)


def _score_rows(table: ScoreTable) -> Iterator[ResultRow]:
    name = score_table_name(table)
    for row in table.rows:
        place = _Place(name, row.system)
        measures: Mapping[str, Interval | None] = {
            OVERALL: row.overall,
            **row.dimensions,
            "rank": row.rank,
        }
        yield from _measured(place, measures)
        if row.asked:
            yield place.row("coverage", wilson(row.scored, row.asked))
        for reason, count in row.unscored.items():
            yield place.plain(f"unscored, {reason}", count, row.asked)
    for pair in table.pairs:
        place = _Place(name, f"{pair.first} - {pair.second}")
        yield place.row("difference of the mean score", pair.difference)
        yield place.plain(HOLM, pair.p_holm, pair.difference.n)
    yield from _tone_rows(name, table.tones)


def _label_rows(row: LabelRow) -> Iterator[ResultRow]:
    for outcome, count in row.outcomes.items():
        if row.n:
            place = _Place(of_run("labels", row.run), row.system)
            yield place.row(outcome, wilson(count, row.n))


def _classification_rows(part: Classification) -> Iterator[ResultRow]:
    name = classification_name(part)
    for row in part.rows:
        place = _Place(name, row.system)
        yield from _measured(place, row.metrics)
        if row.asked:
            yield place.row("no label", wilson(row.unread, row.asked))
        if row.gain is not None:
            yield place.row(f"gain over {part.baseline}", row.gain.difference)
            yield place.plain(HOLM, row.gain.p_holm, row.gain.difference.n)
    for confusion in part.confusions:
        place = _Place(name, confusion.system)
        for score in confusion.scores:
            each = {"recall": score.recall, "precision": score.precision, "F1": score.f1}
            yield from _measured(place, {f"{key}, {score.label}": each[key] for key in each})
    yield from _tone_rows(name, part.tones)
    for calibration in part.calibrations:
        yield from _calibration_rows(_Place(name, calibration.system), calibration)


def _calibration_rows(place: _Place, calibration: Calibration) -> Iterator[ResultRow]:
    yield from _measured(place, calibration.measures)
    for tried in calibration.abstentions:
        wanted = f"at most {tried.wanted:.0%} errors"
        shares = {f"coverage, {wanted}": tried.coverage, f"risk, {wanted}": tried.risk}
        yield from _measured(place, shares)


def _tone_rows(name: str, tones: tuple[ToneTable, ...]) -> Iterator[ResultRow]:
    for table in tones:
        place = _Place(name, table.system)
        metric, scale = table.metric, table.scale
        groups = {f"{metric}, {scale} {row.name}": row.measure for row in table.gaps.rows}
        yield from _measured(place, groups)
        yield from _measured(place, {f"{metric}, gap by {scale}": table.gaps.gap})
        yield from _measured(place, {f"{metric}, parity by {scale}": table.gaps.parity})


def _leak_rows(leak: Leak) -> Iterator[ResultRow]:
    if leak.asked:
        place = _Place(of_run(f"leaks, {leak.benchmark}", leak.run), leak.system)
        yield place.row(f"overlap, {leak.found_by}", wilson(leak.cases, leak.asked))


def _measured(place: _Place, measures: Mapping[str, Interval | None]) -> Iterator[ResultRow]:
    for metric, measure in measures.items():
        if measure is not None:
            yield place.row(metric, measure)


class Written(NamedTuple):
    """The files of a report.

    Attributes:
        page: `report.html`.
        markdown: `report.md`.
        results: `results.json`.
    """

    page: Path
    markdown: Path
    results: Path


def write_report(
    data: ReportData, folder: Path, *, more: Sequence[ResultRow] = (), results: Path | None = None
) -> Written:
    """Write `report.html`, `report.md`, `results.json` and, where there are any, `confusion.json`.

    Args:
        data: what the report shows.
        folder: gets the files; those of an earlier report are replaced.
        more: numbers of `results.json` that the page does not show.
        results: folder of `results.json`; that of the other files by default.

    Raises:
        RecordError: a file cannot be written.
    """
    table = results or folder
    written = Written(folder / "report.html", folder / "report.md", table / "results.json")
    write_page(data, written.page)
    write_bytes_atomic(written.markdown, markdown(data).encode())
    write_results(table, [*report_rows(data), *more])
    matrices = confusion_records(data.classifications)
    if matrices:
        write_json_atomic(folder / "confusion.json", matrices)
    return written
