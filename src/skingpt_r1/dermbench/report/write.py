"""Everything that a report leaves in a folder."""

from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermbench.report.confusion import confusion_records
from skingpt_r1.dermbench.report.markdown import markdown
from skingpt_r1.dermbench.report.page import write_page
from skingpt_r1.dermbench.report.rows import report_rows
from skingpt_r1.dermbench.report_data import ReportData
from skingpt_r1.records import write_bytes_atomic, write_json_atomic, write_results


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


def write_report(data: ReportData, folder: Path) -> Written:
    """Write `report.html`, `report.md`, `results.json` and, where there are any, `confusion.json`.

    Args:
        data: what the report shows.
        folder: gets the files; those of an earlier report are replaced.

    Raises:
        RecordError: a file cannot be written.
    """
    written = Written(folder / "report.html", folder / "report.md", folder / "results.json")
    write_page(data, written.page)
    write_bytes_atomic(written.markdown, markdown(data).encode())
    write_results(folder, report_rows(data))
    matrices = confusion_records(data.classifications)
    if matrices:
        write_json_atomic(folder / "confusion.json", matrices)
    return written
