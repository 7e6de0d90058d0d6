"""`skingpt bench report`: files, what is printed, and mistakes."""

import json

import pytest
from made_run import JUDGES, SYSTEMS, write_run

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.main import run


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "run", cases=12)
    return tmp_path / "run"


def test_report_writes_the_page_and_says_who_leads(folder, capsys) -> None:
    assert run(["bench", "report", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "good: " in out
    assert "control/reference (oracle)" in out
    assert "12 of 12 scored" in out
    assert out.rstrip().endswith(RESEARCH)
    page = (folder / "report.html").read_text("utf-8")
    for name in SYSTEMS:
        assert name in page
    for judge, protocol in ((judge, protocol) for judge, protocol, _ in JUDGES):
        assert f"{judge}, {protocol}:" in out
    assert "Judge audits" in page
    tables = {row["table"] for row in json.loads((folder / "results.json").read_text("utf-8"))}
    assert any(table.startswith("audit of") for table in tables)


def test_report_into_another_folder_leaves_the_run_alone(folder, tmp_path, capsys) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run(["bench", "report", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"report.html", "report.md", "results.json"}


def test_report_of_classification_needs_no_judge(tmp_path, capsys) -> None:
    write_run(tmp_path, cases=14, benchmark="ham10000", form="candidates")
    assert run(["bench", "report", str(tmp_path), "--baseline", "base"]) == 0
    out = capsys.readouterr().out
    assert "accuracy" in out
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Accuracy less that of base" in page
    assert 'id="audits"' not in page
    assert (tmp_path / "confusion.json").is_file()


def test_report_of_a_folder_without_a_run(tmp_path, capsys) -> None:
    assert run(["bench", "report", str(tmp_path)]) == 1
    assert "holds no benchmark run" in capsys.readouterr().err


def test_report_with_a_baseline_that_is_not_there(folder, capsys) -> None:
    assert run(["bench", "report", str(folder), "--baseline", "nobody"]) == 1
    error = capsys.readouterr().err
    assert "'nobody' is no system" in error
    assert "good" in error


def test_report_into_a_place_that_cannot_be_written(folder, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert run(["bench", "report", str(folder), "--out", str(tmp_path / "file" / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_report_of_several_runs(folder, tmp_path, capsys) -> None:
    ham = tmp_path / "ham"
    write_run(ham, cases=14, benchmark="ham10000", form="candidates")
    words = ["bench", "report", str(folder), str(ham), "--baseline", "base"]
    assert run(words) == 1
    assert "needs a folder of its own; give --out" in capsys.readouterr().err
    before = {path: path.read_bytes() for path in (*folder.rglob("*.*"), *ham.rglob("*.*"))}
    assert run([*words, "--out", str(tmp_path / "both")]) == 0
    assert {path: path.read_bytes() for path in before} == before
    out = capsys.readouterr().out
    for judge, protocol, _ in JUDGES:
        assert f"{judge}, {protocol}, run made up in run:" in out
    assert "ham10000, candidate likelihood, run made up in ham:" in out
    names = {path.name for path in (tmp_path / "both").iterdir()}
    assert names == {"report.html", "report.md", "results.json", "confusion.json"}
    page = (tmp_path / "both" / "report.html").read_text("utf-8")
    assert "Judge audits" in page
    assert "made up in ham/case-13" in page


def test_ratings_belong_to_one_judged_run(folder, tmp_path, capsys) -> None:
    write_run(tmp_path / "other", cases=4)
    ratings = tmp_path / "ratings.jsonl"
    ratings.write_text("")
    words = ["bench", "report", str(folder), str(tmp_path / "other"), "--ratings", str(ratings)]
    assert run([*words, "--out", str(tmp_path / "out")]) == 1
    assert "2 of the runs are judged" in capsys.readouterr().err
