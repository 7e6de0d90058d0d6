"""Everything that a report leaves in a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermbench.report.confusion import confusion_records
from skingpt_r1.dermbench.report.data import ReportData
from skingpt_r1.dermbench.report.markdown import markdown
from skingpt_r1.dermbench.report.page import write_page
from skingpt_r1.dermbench.report.rows import report_rows
from skingpt_r1.records import ResultRow, write_bytes_atomic, write_json_atomic, write_results


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
    data: ReportData,
    folder: Path,
    *,
    more: Sequence[ResultRow] = (),
    results: Path | None = None,
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
