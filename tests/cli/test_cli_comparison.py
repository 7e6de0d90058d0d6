"""What a comparison prints: systems, differences, what could not be read, one case."""

from pathlib import Path

import pytest

from skingpt_r1.case import Case
from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.demo import print_comparison
from skingpt_r1.dermbench.ablation.compare import BASE, ComparedSystems, Tried, read_tried
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.records import ResultRow
from skingpt_r1.text.narrative import make_narrative

ACCURACY, FINDINGS = "diagnosis accuracy", "finding accuracy"
COLUMNS = ((ACCURACY, "right, %"), (FINDINGS, "findings, %"))
CASES = [
    Case(id=str(number), images=(Path(f"{number}.png"),), dataset="d", group="g", label="wart")
    for number in range(2)
]


def tried(*diagnoses: str | None) -> Tried:
    return read_tried(
        CASES, [said(case, name) for case, name in zip(CASES, diagnoses, strict=True)]
    )


def said(case: Case, diagnosis: str | None) -> Answer:
    text = "no words of note"
    if diagnosis is not None:
        text = make_narrative("A lesion.", f"It looks like {diagnosis}.", diagnosis).text
    return Answer(system="s", id=case.id, text=text)


def row(system: str, metric: str, value: float, *interval: float) -> ResultRow:
    low, high = interval or (None, None)
    return ResultRow(
        table="t", system=system, metric=metric, value=value, low=low, high=high, n=len(CASES)
    )


@pytest.fixture
def comparison() -> ComparedSystems:
    return ComparedSystems(
        rows=[
            row(BASE, ACCURACY, 0.0, 0.0, 0.123),
            row("adapted", ACCURACY, 0.5, 0.25, 0.75),
            row("adapted", FINDINGS, 0.8765),
            row("adapted - base", ACCURACY, 0.5, -0.125, 0.75),
        ],
        cases=CASES,
        tried={BASE: tried(None, None), "adapted": tried("wart", "nevus")},
    )


def printed(comparison: ComparedSystems, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_comparison(comparison, title="Toys", columns=COLUMNS, before=BASE, after="adapted")
    return capsys.readouterr().out.splitlines()


def cells(lines: list[str], system: str) -> list[str]:
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    (found,) = [row[1:] for row in rows if row[0] == system]
    return found


def test_systems_and_differences(
    comparison: ComparedSystems, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    lines = printed(comparison, capsys)
    assert lines[0].strip() == "Toys, 2 unseen pictures"
    assert cells(lines, "base") == ["0.0 (0.0 to 12.3)", "-"]
    assert cells(lines, "adapted") == ["50.0 (25.0 to 75.0)", "87.6 (one group: no interval)"]
    assert cells(lines, "adapted - base") == ["50.0 (-12.5 to 75.0)", "-"]
    differences = [line.strip() for line in lines].index("Differences, paired by case")
    assert "adapted - base" not in "\n".join(lines[:differences])


def test_unreadable_answers_are_counted(
    comparison: ComparedSystems, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(comparison, capsys)
    assert "Unreadable answers, counted as wrong: base: 2" in lines


def test_nothing_is_said_of_unreadable_answers_when_there_are_none(
    comparison: ComparedSystems, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison.tried[BASE] = comparison.tried["adapted"]
    assert "Unreadable" not in "\n".join(printed(comparison, capsys))


def test_the_first_case_before_and_after(
    comparison: ComparedSystems, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "\n".join(printed(comparison, capsys))
    assert "The first unseen case, 0.png: wart" in text
    assert "base:\n  no words of note" in text
    assert f"adapted:\n  {comparison.tried['adapted'].answers[0].text}" in text
    assert text.rstrip().endswith(RESEARCH)
