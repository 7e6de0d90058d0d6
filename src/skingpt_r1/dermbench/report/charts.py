"""Charts as inline SVG: interval bars that stretch with their column, and two square plots.

Colours are classes of the style sheet, so that a chart follows light, dark and print. Every chart
stands beside a table of its numbers; bars are hidden from screen readers for that reason.
"""

from collections.abc import Sequence

from markupsafe import Markup

from skingpt_r1.dermbench.report.data import Calibration
from skingpt_r1.stats.intervals import Interval

SERIES = "abcdefgh"
_MARGIN = 2.0  # per cent on both sides, so that dots at the ends are whole
_SIZE, _LEFT, _BOTTOM, _RIGHT = 330, 44, 40, 14
_GRID = tuple(step / 4 for step in range(5))


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
