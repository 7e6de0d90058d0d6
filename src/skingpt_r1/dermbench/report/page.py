"""The HTML page: one file without any outside resource, written piece by piece.

The content security policy of the page allows no request at all, and no script but its own, named
by hash; every text goes through Jinja's escaping or, for the cases, through `textContent`.

What the page shows of a confusion matrix, and the whole of it as JSON.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from skingpt_r1.dermbench.report import charts, wording
from skingpt_r1.dermbench.report.cases import CaseChunks
from skingpt_r1.dermbench.report.data import (
    LABEL_OUTCOMES,
    Calibration,
    Classification,
    Confusion,
    ReportData,
    ScoreTable,
)
from skingpt_r1.dermbench.report.wording import glances
from skingpt_r1.dermcot.card import RESEARCH
from skingpt_r1.records import versions
from skingpt_r1.stats.comparison import NO_DIFFERENCE, Comparison
from skingpt_r1.stats.intervals import Interval
from skingpt_r1.text.rubric import DIMENSIONS

NO_LABEL = "no label"
_SHADES = 5
_LISTED = 30


def row_sums(confusion: Confusion) -> list[int]:
    """Cases of each label."""
    return [sum(row) for row in confusion.counts]


def heat(value: int, total: int) -> int:
    """Shade of a cell by its part of the row: 0 for none, up to 5."""
    return math.ceil(_SHADES * value / total) if total else 0


def most_confused(confusion: Confusion) -> list[tuple[str, str, int, int]]:
    """(label, answer, cases, cases of the label) off the diagonal, most frequent first."""
    names = (*confusion.classes, NO_LABEL)
    wrong = [
        (label, names[column], value, total)
        for row, (label, total) in enumerate(
            zip(confusion.classes, row_sums(confusion), strict=True)
        )
        for column, value in enumerate(confusion.counts[row])
        if value and column != row
    ]
    return sorted(wrong, key=lambda entry: -entry[2])[:_LISTED]


def confusion_records(parts: Iterable[Classification]) -> list[dict[str, Any]]:
    """Every matrix whole, for `confusion.json`; the last column counts answers without a label."""
    return [
        {
            "run": part.run,
            "benchmark": part.benchmark,
            "form": part.form,
            "system": confusion.system,
            "rows": confusion.classes,
            "columns": (*confusion.classes, NO_LABEL),
            "counts": confusion.counts,
        }
        for part in parts
        for confusion in part.confusions
    ]


_LARGEST_MATRIX = 25  # classes; larger ones are listed by their most frequent confusions
_COVERAGES = (0.5, 0.8, 1.0)


def page_pieces(data: ReportData) -> Iterator[str]:
    """The page in pieces; no more than one chunk of cases is in memory."""
    environment = _environment()
    chunks = CaseChunks(data)
    script = Markup(_template_text(environment, "report.js"))  # noqa: S704 - our own file
    style = Markup(_template_text(environment, "report.css"))  # noqa: S704 - our own file
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    yield from environment.get_template("report.html.jinja").generate(
        data=data,
        chunks=chunks,
        index=chunks.index,
        script=script,
        style=style,
        script_hash=f"sha256-{digest}",
        sections=_sections(data),
        glances=glances(data),
        version=versions().get("skingpt-r1", ""),
    )


def write_page(data: ReportData, path: Path) -> None:
    """Write the page beside its place and move it there when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(page_pieces(data))
    part.replace(path)


def pair_cells(table: ScoreTable) -> dict[tuple[str, str], Comparison]:
    """Row and column -> comparison, in both directions."""
    cells = {}
    for pair in table.pairs:
        cells[pair.first, pair.second] = pair
        cells[pair.second, pair.first] = pair._replace(
            first=pair.second, second=pair.first, difference=_turned(pair.difference)
        )
    return cells


def metric_names(part: Classification) -> list[str]:
    """All metrics of a set, in the order in which the rows name them."""
    return list(dict.fromkeys(name for row in part.rows for name in row.metrics))


def measure_names(curves: Sequence[Calibration]) -> list[str]:
    """All measures of calibration, in the order in which the systems name them."""
    return list(dict.fromkeys(name for curve in curves for name in curve.measures))


def highest_risk(curves: Sequence[Calibration]) -> float:
    """Upper end of the risk axis: the next tenth above the largest risk."""
    largest = max(risk for curve in curves for _, risk in curve.risk)
    return max(0.1, -(-round(largest * 1000) // 100) / 10)


def risk_at(curve: Calibration, coverage: float) -> float | None:
    """Error among the covered at the first point that covers at least so much."""
    return next((risk for share, risk in curve.risk if share >= coverage - 1e-9), None)


def rank(measure: Interval) -> str:
    """`1 (1 to 2)`."""
    return wording.interval(measure, 0)


def _turned(difference: Interval) -> Interval:
    """The second less the first."""
    if difference.ends is None:
        return difference._replace(value=-difference.value)
    low, high = difference.ends
    return Interval(-difference.value, -high, -low, difference.n)


def _sections(data: ReportData) -> list[tuple[str, str]]:
    optional = (
        (data.scores, "scores", "Six dimensions"),
        (data.labels, "labels", "Diagnosis against label"),
        (data.classifications, "classification", "Classification"),
        (data.audits, "audits", "Judge audits"),
        (data.leaks, "leaks", "Overlap with training data"),
        (data.num_cases, "cases", "Cases"),
    )
    shown = [(anchor, name) for content, anchor, name in optional if content]
    return [("overview", "Overview"), *shown, ("method", "How to read this")]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("skingpt_r1.dermbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "signed": wording.signed,
        "interval": _unbroken(wording.interval),
        "percent": wording.percent,
        "percent_interval": _unbroken(wording.percent_interval),
        "p_value": wording.p_value,
        "count": wording.count,
        "of_run": wording.of_run,
        "rank": _unbroken(rank),
        "unbroken": _unbroken(str),
    }
    shared = (
        charts.interval_bar, charts.value_bar, charts.reliability, charts.risk_curves,
        charts.legend_mark, pair_cells, metric_names, measure_names, highest_risk, risk_at,
        heat, row_sums, most_confused,
    )  # fmt: skip
    environment.globals |= {function.__name__: function for function in shared}
    environment.globals |= {
        "research": RESEARCH,
        "dimensions": DIMENSIONS,
        "outcomes": LABEL_OUTCOMES,
        "no_difference": NO_DIFFERENCE,
        "coverages": _COVERAGES,
        "largest_matrix": _LARGEST_MATRIX,
    }
    return environment


def _unbroken(write: Callable[..., str]) -> Callable[..., str]:
    """The same words, with lines broken before an interval and never inside it."""
    return lambda *values: write(*values).replace(" to ", "\u00a0to\u00a0")


def _template_text(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
