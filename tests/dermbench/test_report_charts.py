"""Charts: where a number is drawn, and that colours can be told from their ground."""

import re
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree

import pytest
from made_report import around, made_calibration

from skingpt_r1.dermbench.report.page import page_templates, series
from skingpt_r1.stats.intervals import Interval

STYLE = (
    files("skingpt_r1.dermbench.report")
    .joinpath("templates")
    .joinpath("report.css")
    .read_text("utf-8")
)
PAIRS = dict(re.findall(r"(--[\w-]+|\.series-\w) ?(?::|\{ stroke:) light-dark\(([^)]+)\)", STYLE))


charts = page_templates().get_template("charts.html.jinja").module


def drawn(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def find(root: ElementTree.Element, kind: str) -> dict[str, str]:
    return next(dict(node.attrib) for node in root.iter() if node.get("class") == kind)


def test_a_dot_stands_between_the_ends_of_its_interval() -> None:
    root = drawn(charts.interval_bar(Interval(3.0, 2.5, 3.2, 9), 0, 5))
    whisker, dot = find(root, "whisker"), find(root, "dot")
    assert whisker["x1"] < dot["cx"] < whisker["x2"]
    assert dot["cx"] == f"{2 + 96 * 0.6:.2f}%"


@pytest.mark.parametrize("value", [-3.0, 0.0, 5.0, 80.0])
def test_nothing_is_drawn_outside(value: float) -> None:
    dot = find(drawn(charts.interval_bar(Interval(value, value, value, 1), 0, 5)), "dot")
    assert 2 <= float(dot["cx"].rstrip("%")) <= 98


def test_a_number_without_an_interval_is_a_dot_alone() -> None:
    alone = Interval(0.5, None, None, 3)
    for markup, kind in (
        (charts.interval_bar(alone, 0, 5), "dot"),
        (charts.value_bar(alone, 1), "fill"),
    ):
        assert [node.get("class") for node in drawn(markup).iter()] == ["bar", "axis", kind]
    plain = made_calibration("a", 0, 40)
    bins = [part._replace(accuracy=alone) for part in plain.bins]
    root = drawn(charts.reliability(replace(plain, bins=tuple(bins)), "a"))
    kinds = [node.get("class") for node in root.iter()]
    assert kinds.count("dot") == len(bins)
    assert "whisker" not in kinds


def test_a_missing_value_is_an_empty_line() -> None:
    for markup in (charts.interval_bar(None, 0, 5), charts.value_bar(None, 1)):
        assert [node.get("class") for node in drawn(markup).iter()] == ["bar", "axis"]


def test_a_bar_begins_at_zero() -> None:
    fill = find(drawn(charts.value_bar(Interval(0.5, 0.4, 0.6, 9), 1.0)), "fill")
    assert (fill["x"], fill["width"]) == ("2.00%", "48.00%")


def test_plots_have_a_name_and_every_bin() -> None:
    calibration = made_calibration("a <b> system", 0.0, 400)
    root = drawn(charts.reliability(calibration, "Reliability of a <b> system"))
    assert root.get("aria-label") == "Reliability of a <b> system"
    assert len([n for n in root.iter() if n.get("class") == "dot"]) == len(calibration.bins)


def test_risk_is_drawn_on_the_given_scale() -> None:
    calibrations = [made_calibration("one", 0.0, 400), made_calibration("two", 0.1, 400)]
    root = drawn(charts.risk_curves(calibrations, "risk", 0.5))
    lines = [node for node in root.iter() if "points" in node.attrib]
    assert [node.get("class") for node in lines] == ["line series-a", "line series-b"]
    heights = [float(p.split(",")[1]) for node in lines for p in node.attrib["points"].split()]
    assert min(heights) >= 14
    assert max(heights) <= 290


def test_series_repeat_after_the_last() -> None:
    assert series(0) == series(8) == "series-a"
    assert len({series(n) for n in range(8)}) == 8


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_formula() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("ground", ["--paper", "--card"])
@pytest.mark.parametrize("ink", ["--ink", "--quiet", "--link", "--good", "--bad"])
def test_words_can_be_read(ink: str, ground: str, theme: int) -> None:
    colours = [PAIRS[name].split(", ")[theme] for name in (ink, ground)]
    assert contrast(*colours) >= 4.5


@pytest.mark.parametrize("theme", [0, 1])
def test_warnings_can_be_read(theme: int) -> None:
    colours = [PAIRS[name].split(", ")[theme] for name in ("--warn-ink", "--warn-paper")]
    assert contrast(*colours) >= 4.5


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("place", range(8))
def test_lines_can_be_seen(place: int, theme: int) -> None:
    colours = [PAIRS[n].split(", ")[theme] for n in (f".{series(place)}", "--paper")]
    assert contrast(*colours) >= 3


def test_around_is_an_interval() -> None:
    assert around(1.0, 0.5, 3) == Interval(1.0, 0.5, 1.5, 3)
