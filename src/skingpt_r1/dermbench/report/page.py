"""The page and the Markdown from templates: one HTML file without any outside resource.

The content security policy of the page allows no request at all, and no script but its own, named
by hash; every text goes through Jinja's escaping or, for the cases, through `textContent`. Charts
are inline SVG beside a table of their numbers; colours are classes of the style sheet, so that
they follow light, dark and print.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from skingpt_r1.dermbench.report import wording
from skingpt_r1.dermbench.report.cases import CaseChunks
from skingpt_r1.dermbench.report.data import (
    CLASS_METRICS,
    FOUND_BY,
    HOLM,
    LABEL_OUTCOMES,
    NO_LABEL,
    OVERLAP,
    Calibration,
    Confusion,
    ReportData,
    at_most,
    gain_over,
    of_run,
)
from skingpt_r1.dermbench.tables import TRAINED_ON
from skingpt_r1.dermcot.card import RESEARCH
from skingpt_r1.records import versions
from skingpt_r1.stats.classification import CALIBRATION, METRICS
from skingpt_r1.text.rubric import DIMENSIONS, Protocol
from skingpt_r1.text.tokens import escaped

_TEMPLATES = Path(__file__).with_name("templates")
SERIES = "abcdefgh"
_SHADES = 5
_LISTED = 30
_LARGEST_MATRIX = 25  # classes; larger ones are listed by their most frequent confusions
_COVERAGES = (0.5, 0.8, 1.0)
_MARGIN = 2.0  # per cent on both sides, so that dots at the ends are whole
_SIZE, _LEFT, _BOTTOM, _RIGHT = 330, 44, 40, 14  # of a plot, pixels


def page_pieces(data: ReportData) -> Iterator[str]:
    """The page in pieces; no more than one chunk of cases is in memory."""
    templates = page_templates()
    chunks = CaseChunks(data)
    script, style = (
        Markup((_TEMPLATES / name).read_text("utf-8"))  # noqa: S704 - our own file
        for name in ("report.js", "report.css")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    yield from templates.get_template("report.html.jinja").generate(
        data=data,
        chunks=chunks,
        index=chunks.index,
        script=script,
        style=style,
        script_hash=f"sha256-{digest}",
        glances=wording.glances(data),
        version=versions().get("skingpt-r1", ""),
    )


def write_page(data: ReportData, path: Path) -> None:
    """Write the page beside its place and move it there when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(page_pieces(data))
    part.replace(path)


def markdown(data: ReportData) -> str:
    """The whole report: the same tables as the page, without pictures and cases."""
    templates = _environment(finalize=lambda value: escaped(str(value)), keep_trailing_newline=True)
    return templates.get_template("report.md.jinja").render(
        data=data, glances=wording.glances(data)
    )


def page_templates() -> Environment:
    """The templates of the page; lines are broken before an interval and never inside it."""
    templates = _environment(autoescape=True)
    for name in ("interval", "percent_interval", "figure"):
        templates.filters[name] = _unbroken(templates.filters[name])
    return templates


def _unbroken(write: Callable[..., str]) -> Callable[..., str]:
    return lambda *values: write(*values).replace(" to ", "\u00a0to\u00a0")


def _environment(**options: Any) -> Environment:
    environment = Environment(  # noqa: S701 - Markdown has an escaping of its own
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    words = (
        wording.number, wording.signed, wording.interval, wording.ends, wording.percent,
        wording.percent_interval, wording.figure, wording.p_value, wording.count, wording.hits,
        wording.part_of, wording.titled, of_run,
    )  # fmt: skip
    environment.filters |= {function.__name__: function for function in words}
    shared = (
        wording.signed, wording.difference, wording.is_shown, wording.better, wording.unscored,
        along, place, series, heat, most_confused, highest_risk, risk_at, at_most,
        gain_over,
    )  # fmt: skip
    environment.globals |= {function.__name__: function for function in shared}
    environment.globals |= {
        "research": RESEARCH,
        "scale_of": Protocol,
        "dimensions": DIMENSIONS,
        "outcomes": LABEL_OUTCOMES,
        "metrics": METRICS,
        "class_metrics": CLASS_METRICS,
        "calibration": CALIBRATION,
        "holm": HOLM,
        "overlap": OVERLAP,
        "found_by": FOUND_BY,
        "treatment": f"not counted: {TRAINED_ON}; shown apart",
        "no_difference": wording.NO_DIFFERENCE,
        "coverages": _COVERAGES,
        "largest_matrix": _LARGEST_MATRIX,
        "size": _SIZE,
        "left": _LEFT,
        "bottom": _BOTTOM,
    }
    return environment


def heat(value: int, total: int) -> int:
    """Shade of a cell by its part of the row: 0 for none, up to 5."""
    return math.ceil(_SHADES * value / total) if total else 0


def most_confused(confusion: Confusion) -> list[tuple[str, str, int, int]]:
    """(label, answer, cases, cases of the label) off the diagonal, most frequent first."""
    names = (*confusion.classes, NO_LABEL)
    wrong = [
        (label, names[column], value, sum(counts))
        for row, (label, counts) in enumerate(zip(confusion.classes, confusion.counts, strict=True))
        for column, value in enumerate(counts)
        if value and column != row
    ]
    return sorted(wrong, key=lambda entry: -entry[2])[:_LISTED]


def highest_risk(curves: Sequence[Calibration]) -> float:
    """Upper end of the risk axis: the next tenth above the largest risk."""
    largest = max(risk for curve in curves for _, risk in curve.risk)
    return max(0.1, -(-round(largest * 1000) // 100) / 10)


def risk_at(curve: Calibration, coverage: float) -> float | None:
    """Error among the covered at the first point that covers at least so much."""
    return next((risk for share, risk in curve.risk if share >= coverage - 1e-9), None)


def series(index: int) -> str:
    """Class of the n-th system: a colour and a dash pattern of the style sheet."""
    return f"series-{SERIES[index % len(SERIES)]}"


def along(value: float, low: float, high: float) -> float:
    """Where a value stands on a line from `low` to `high`, in per cent of its length."""
    share = (value - low) / (high - low) if high > low else 0.0
    return _MARGIN + (100 - 2 * _MARGIN) * min(max(share, 0.0), 1.0)


def place(x: float, y: float) -> tuple[float, float]:
    """Where a point stands in a plot whose axes go from 0 to 1, in pixels."""
    width, height = _SIZE - _LEFT - _RIGHT, _SIZE - _BOTTOM - _RIGHT
    return _LEFT + x * width, _RIGHT + (1 - y) * height
