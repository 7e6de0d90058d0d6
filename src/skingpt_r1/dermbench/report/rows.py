"""Everything that a report leaves in a folder; `results.json` has every row of its tables."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.dermbench.report.data import NO_LABEL, ReportData, ResultTable
from skingpt_r1.dermbench.report.page import markdown, write_page
from skingpt_r1.records import ResultRow, write_bytes_atomic, write_json_atomic, write_results
from skingpt_r1.runs import own_run


def report_rows(data: ReportData) -> Iterator[ResultRow]:
    """Every number of the report, and after them what the page leaves out.

    That is why answers were not read, all pairs of classifiers, and their ranks.
    """
    for table in (*data.of("scores"), *data.of("labels"), *data.of("classification")):
        yield from table.rows
    for audit in data.audits:
        yield from audit.rows
    for table in data.of("leaks"):
        yield from table.rows
    for table in data.tables:
        yield from table.rest


def confusion_records(tables: Iterable[ResultTable]) -> list[dict[str, Any]]:
    """Every matrix whole, for `confusion.json`; the last column counts answers without a label."""
    return [
        {
            "run": table.run,
            "benchmark": table.of[0],
            "form": table.of[1],
            "system": confusion.system,
            "rows": confusion.classes,
            "columns": (*confusion.classes, NO_LABEL),
            "counts": confusion.counts,
        }
        for table in tables
        for confusion in table.confusions
    ]


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
        if matrices := confusion_records(data.tables):
            write_json_atomic(folder / "confusion.json", matrices)
    return written
