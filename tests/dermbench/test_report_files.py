"""results.json, report.md and confusion.json beside the page: the same numbers, no scale mixed."""

import json
import re
from dataclasses import replace

import pytest
from made_report import HOSTILE, JUDGES, SYSTEMS, made_calibration, made_report

from skingpt_r1.dermbench.report import wording
from skingpt_r1.dermbench.report.data import Confusion, ReportData
from skingpt_r1.dermbench.report.page import (
    heat,
    highest_risk,
    markdown,
    most_confused,
    page_pieces,
    risk_at,
)
from skingpt_r1.dermbench.report.rows import report_rows, write_report
from skingpt_r1.dermcot.card import RESEARCH
from skingpt_r1.stats.intervals import Interval


def test_all_files_are_written(tmp_path) -> None:
    written = write_report(made_report(), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"report.html", "report.md", "results.json", "confusion.json"}
    rows = json.loads(written.results.read_text("utf-8"))
    assert set(rows[0]) == {"table", "system", "metric", "value", "low", "high", "n"}
    matrices = json.loads((tmp_path / "confusion.json").read_text("utf-8"))
    assert len(matrices) == 4
    assert all(len(m["counts"][0]) == len(m["columns"]) for m in matrices)
    assert matrices[0]["columns"][-1] == "no label"


def test_no_matrices_no_file(tmp_path) -> None:
    write_report(ReportData(title="x", facts={}, systems={}), tmp_path)
    assert not (tmp_path / "confusion.json").exists()


def test_rows_name_judge_and_scale() -> None:
    data = made_report()
    rows = list(report_rows(data))
    tables = {row.table for row in rows if row.table.startswith("scores")}
    assert tables == {f"scores, {judge}, {protocol}" for judge, protocol in JUDGES}
    keys = [(row.table, row.system, row.metric) for row in rows]
    assert len(keys) == len(set(keys))


def test_every_printer_prints_the_same_rows() -> None:
    data = made_report()
    rows = list(report_rows(data))
    page, plain = "".join(page_pieces(data)).replace("\u00a0", " "), markdown(data)
    for table in data.tables:
        assert [row for row in rows if row.table == table.rows[0].table] == list(table.rows)
        for system in table.systems:
            mean, coverage = table.cell(system, "mean score"), table.cell(system, "coverage")
            assert (mean is None) == (system == "silent" or table.kind != "scores")
            for text in (page, plain):
                assert mean is None or wording.interval(mean) in text
                assert coverage is None or wording.part_of(coverage) in text
        for first, second in table.pairs:
            found, p = wording.difference(table, first, second)
            turned, same = wording.difference(table, second, first)
            assert (turned.value, turned.low, turned.high) == (
                -found.value,
                -found.high,
                -found.low,
            )
            assert p is same
            assert wording.interval(found, 2, wording.signed) in plain
            assert wording.signed(found.value) in page
    assert "2 / 60" in plain
    leak = next(row for row in rows if row.table == "leaks, dermbench")
    assert (leak.system, leak.value, leak.n) == ("base", 2 / 60, 60)


def test_what_is_missing_has_no_row() -> None:
    silent = [row for row in report_rows(made_report()) if row.system == "silent"]
    assert {row.metric for row in silent} == {"coverage", "unscored, empty"}


def test_markdown_has_every_table_and_no_markup() -> None:
    text = markdown(made_report())
    assert text.count(RESEARCH) == 2
    assert HOSTILE not in text
    assert not re.search(r"(?<!\\)<", text)
    for heading in ("Scores: rubric judge 1, decimals 0-5", "Judge audits", "Overlap with"):
        assert f"## {heading}" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_markdown_tables_have_equal_rows() -> None:
    width = None
    for line in markdown(made_report()).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        if cells is not None and width is not None:
            assert cells == width
        width = cells


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.00"), (-0.001, "0.00"), (-0.5, "−0.50"), (4.126, "4.13")],
)
def test_numbers(value, text) -> None:
    assert wording.number(value) == text


def test_signs_intervals_and_shares() -> None:
    assert wording.signed(0.5) == "+0.50"
    assert wording.signed(-0.5) == "−0.50"
    assert wording.signed(None) == "–"
    assert wording.interval(Interval(3.41, 3.3, 3.52, 4)) == "3.41 (3.30 to 3.52)"
    assert wording.interval(None) == wording.percent_interval(None) == wording.percent(None) == "–"
    assert wording.percent_interval(Interval(0.812, 0.79, 0.833, 4)) == "81.2 % (79.0 to 83.3)"
    assert wording.percent(0.5, 0) == "50 %"
    assert wording.p_value(Interval(0.00049, None, None, 4)) == "< 0.001"
    assert wording.p_value(Interval(0.0312, None, None, 4)) == "0.031"
    assert wording.p_value(None) == "–"
    assert wording.count(4000) == "4,000"


def test_shades_and_confusions() -> None:
    assert [heat(value, 10) for value in (0, 1, 2, 5, 10)] == [0, 1, 1, 3, 5]
    assert heat(0, 0) == 0
    confusion = Confusion(system="x", classes=("a", "b"), counts=((5, 1, 0), (2, 0, 3)))
    assert most_confused(confusion) == [("b", "no label", 3, 5), ("b", "a", 2, 5), ("a", "b", 1, 6)]


def test_risk_axis_and_coverage() -> None:
    curve = replace(made_calibration("x", 0, 9), risk=((0.5, 0.1), (1.0, 0.43)))
    assert highest_risk([curve]) == pytest.approx(0.5)
    assert risk_at(curve, 0.5) == 0.1
    assert risk_at(curve, 0.8) == 0.43
    assert risk_at(curve, 1.1) is None
    flat = replace(curve, risk=((1.0, 0.0),))
    assert highest_risk([flat]) == 0.1


def test_systems_are_all_named() -> None:
    text = markdown(made_report())
    for name in SYSTEMS:
        escaped = name.replace("<", "\\<").replace(">", "\\>")
        assert escaped in text
