"""The HTML page and its charts: one file without any outside resource, written piece by piece.

The content security policy of the page allows no request at all, and no script but its own, named
by hash; every text goes through Jinja's escaping or, for the cases, through `textContent`. Charts
are inline SVG beside a table of their numbers; colours are classes of the style sheet, so that
they follow light, dark and print.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from skingpt_r1.dermbench.report import wording
from skingpt_r1.dermbench.report.cases import CaseChunks
from skingpt_r1.dermbench.report.data import (
    LABEL_OUTCOMES,
    Calibration,
    Classification,
    Confusion,
    ReportData,
    ScoreTable,
)
from skingpt_r1.dermcot.card import RESEARCH
from skingpt_r1.records import versions
from skingpt_r1.stats.comparison import NO_DIFFERENCE, Comparison
from skingpt_r1.stats.intervals import Interval
from skingpt_r1.text.rubric import DIMENSIONS

NO_LABEL = "no label"
SERIES = "abcdefgh"
_SHADES = 5
_LISTED = 30
_LARGEST_MATRIX = 25  # classes; larger ones are listed by their most frequent confusions
_COVERAGES = (0.5, 0.8, 1.0)
_MARGIN = 2.0  # per cent on both sides, so that dots at the ends are whole
_SIZE, _LEFT, _BOTTOM, _RIGHT = 330, 44, 40, 14
_GRID = tuple(step / 4 for step in range(5))


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


def pair_cells(table: ScoreTable) -> dict[tuple[str, str], Comparison]:
    """Row and column -> comparison, in both directions."""
    cells = {}
    for pair in table.pairs:
        cells[pair.first, pair.second] = pair
        cells[pair.second, pair.first] = pair._replace(
            first=pair.second, second=pair.first, difference=_turned(pair.difference)
        )
    return cells


def highest_risk(curves: Sequence[Calibration]) -> float:
    """Upper end of the risk axis: the next tenth above the largest risk."""
    largest = max(risk for curve in curves for _, risk in curve.risk)
    return max(0.1, -(-round(largest * 1000) // 100) / 10)


def risk_at(curve: Calibration, coverage: float) -> float | None:
    """Error among the covered at the first point that covers at least so much."""
    return next((risk for share, risk in curve.risk if share >= coverage - 1e-9), None)


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
        "rank": _unbroken(wording.rank),
        "unbroken": _unbroken(str),
    }
    shared = (
        interval_bar, value_bar, reliability, risk_curves, legend_mark, pair_cells,
        wording.metric_names, wording.measure_names, highest_risk, risk_at, heat,
        row_sums, most_confused,
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


def series(index: int) -> str:
    """Class of the n-th system: a colour and a dash pattern of the style sheet."""
    return f"series-{SERIES[index % len(SERIES)]}"


def interval_bar(measure: Interval | None, low: float, high: float) -> Markup:
    """A dot with its interval on a line from `low` to `high`; an empty line for None."""
    return _bar(_line("axis", low, high, low, high), _whisker(measure, low, high))


def value_bar(measure: Interval | None, high: float) -> Markup:
    """A bar from zero with its interval."""
    if measure is None:
        return _bar(_line("axis", 0, high, 0, high))
    begin, end = _percent(0, 0, high), _percent(measure.value, 0, high)
    rect = Markup('<rect class="fill" x="{:.2f}%" y="4" width="{:.2f}%" height="12"/>').format(
        begin, max(end - begin, 0)
    )
    return _bar(_line("axis", 0, high, 0, high), rect, _between(measure, 0, high))


def reliability(calibration: Calibration, name: str) -> Markup:
    """Accuracy by confidence, one dot with its interval per bin; perfect is the diagonal."""
    parts = [_plot_line("diagonal", (0, 0), (1, 1))]
    for part in calibration.bins:
        x, value = part.confidence, part.accuracy
        if value.ends is not None:
            parts.append(_plot_line("whisker", *((x, end) for end in value.ends)))
        parts.append(
            Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(
                *_place(x, value.value), 3 + min(4, value.n**0.5 / 8)
            )
        )
    return _plot(name, "mean confidence", "accuracy", parts)


def risk_curves(calibrations: Sequence[Calibration], name: str, high: float) -> Markup:
    """Error among the covered cases by coverage; one line per system, `high` is the upper end."""
    parts = []
    for at, calibration in enumerate(calibrations):
        points = " ".join(
            "{:.1f},{:.1f}".format(*_place(coverage, risk / high))
            for coverage, risk in calibration.risk
        )
        line = Markup('<polyline class="line {}" points="{}"/>')
        parts.append(line.format(series(at), points))
    return _plot(name, "coverage", "error", parts, high=high)


def legend_mark(index: int) -> Markup:
    """A short piece of the line of the n-th system."""
    return Markup(
        '<svg class="mark" aria-hidden="true" width="34" height="10">'
        '<line class="line {}" x1="1" x2="33" y1="5" y2="5"/></svg>'
    ).format(series(index))


def _percent(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.0
    return _MARGIN + (100 - 2 * _MARGIN) * min(max(share, 0.0), 1.0)


def _line(kind: str, begin: float, end: float, low: float, high: float) -> Markup:
    markup = Markup('<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="10" y2="10"/>')
    return markup.format(kind, _percent(begin, low, high), _percent(end, low, high))


def _whisker(measure: Interval | None, low: float, high: float) -> Markup:
    if measure is None:
        return Markup("")
    dot = Markup('<circle class="dot" cx="{:.2f}%" cy="10" r="3.5"/>')
    return _between(measure, low, high) + dot.format(_percent(measure.value, low, high))


def _between(measure: Interval, low: float, high: float) -> Markup:
    """The line from end to end; nothing where there is no interval."""
    return Markup("") if measure.ends is None else _line("whisker", *measure.ends, low, high)


def _bar(*parts: Markup) -> Markup:
    head = Markup('<svg class="bar" aria-hidden="true" width="100%" height="20">')
    return head + Markup("").join(parts) + Markup("</svg>")


def _place(x: float, y: float) -> tuple[float, float]:
    width, height = _SIZE - _LEFT - _RIGHT, _SIZE - _BOTTOM - _RIGHT
    return _LEFT + x * width, _RIGHT + (1 - y) * height


def _plot_line(kind: str, begin: tuple[float, float], end: tuple[float, float]) -> Markup:
    markup = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return markup.format(kind, *_place(*begin), *_place(*end))


def _plot(name: str, across: str, up: str, parts: Sequence[Markup], *, high: float = 1.0) -> Markup:
    head = Markup(
        '<svg class="plot" role="img" aria-label="{}" viewBox="0 0 {size} {size}" width="{size}">'
    ).format(name, size=_SIZE)
    grid = [_plot_line("grid", (step, 0), (step, 1)) for step in _GRID]
    grid += [_plot_line("grid", (0, step), (1, step)) for step in _GRID]
    label = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    for step in _GRID:
        x, y = _place(step, step)
        grid.append(label.format(x, _SIZE - _BOTTOM + 16, "middle", f"{step:g}"))
        grid.append(label.format(_LEFT - 6, y + 4, "end", f"{step * high:.3g}"))
    middle = _place(0.5, 0.5)
    grid.append(label.format(middle[0], _SIZE - 6, "middle", across))
    turned = Markup(
        '<text transform="translate(12 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>'
    )
    grid.append(turned.format(middle[1], up))
    return head + Markup("").join([*grid, *parts]) + Markup("</svg>")
