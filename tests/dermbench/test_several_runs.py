"""Several runs in one report: nothing is mixed, nothing is lost, every part names its run."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from made_report import made_report
from made_run import write_card, write_run

from skingpt_r1.dermbench.reading import read_run
from skingpt_r1.dermbench.report.data import ReportData
from skingpt_r1.dermbench.report.page import markdown
from skingpt_r1.dermbench.report.rows import write_report
from skingpt_r1.dermbench.report.wording import figure, glances
from skingpt_r1.dermbench.summary import join_runs, summarise_reading, summarise_runs
from skingpt_r1.errors import RecipeError, RecordError
from skingpt_r1.stats.intervals import Bootstrap

BOOT = Bootstrap(seed=0, resamples=100)
BOARD, HAM, PARTS = "made up in board", "made up in ham", "made up in parts"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "board", cases=12)
    write_run(root / "ham", cases=14, benchmark="ham10000", form="candidates", seed=1)
    names = ("good", "base", "other")
    write_run(
        root / "parts", cases=18, benchmark="fitzpatrick17k_9", form="label", seed=2, systems=names
    )
    return [root / name for name in ("board", "ham", "parts")]


@pytest.fixture(scope="module")
def summary(folders):
    return summarise_runs(folders, boot=BOOT, baseline="base", notes=("mine",))


def test_tables_are_those_of_each_run(folders, summary):
    expected = [
        table.in_run(run)
        for folder, run in zip(folders, (BOARD, HAM, PARTS), strict=True)
        for table in summarise_runs([folder], boot=BOOT, baseline="base").tables
    ]
    assert list(summary.tables) == expected
    assert all(row.table.endswith(f", run {table.run}") for table in expected for row in table.rows)
    assert {table.run for table in summary.of("scores")} == {BOARD}
    assert [(table.of[0], table.run) for table in summary.of("classification")] == [
        ("ham10000", HAM), ("ham10000", HAM), ("fitzpatrick17k_9", PARTS),
    ]  # fmt: skip
    assert {table.run for table in summary.of("labels")} == {BOARD}
    assert {(audit.judge, audit.run) for audit in summary.audits} == {
        ("rubric 1", BOARD), ("judge-1 (integers 1-5)", BOARD),
    }  # fmt: skip
    assert summary.notes[-1] == "mine"


def test_cases_of_all_runs_have_ids_of_their_own(summary):
    cases = list(summary.cases())
    assert len(cases) == summary.num_cases == 12 + 14 + 18
    assert len({case.id for case in cases}) == len(cases)
    assert cases[0].id == f"{BOARD}/case-0"
    assert Counter(case.run for case in cases) == {BOARD: 12, HAM: 14, PARTS: 18}
    assert {item.answer.system for item in cases[-1].answers} == {"good", "base", "other"}


def test_every_number_names_its_run(summary, tmp_path):
    written = write_report(summary, tmp_path)
    rows = json.loads(written.results.read_text("utf-8"))
    assert all(row["table"].endswith((BOARD, HAM, PARTS)) for row in rows)
    keys = Counter((row["table"], row["system"], row["metric"]) for row in rows)
    assert set(keys.values()) == {1}
    assert f"classification, ham10000, candidate likelihood, run {HAM}" in {k[0] for k in keys}
    matrices = json.loads((tmp_path / "confusion.json").read_text("utf-8"))
    assert {matrix["run"] for matrix in matrices} == {HAM, PARTS}
    page = written.page.read_text("utf-8")
    for name in (BOARD, HAM, PARTS):
        assert f"run {name}</h3>" in page
    assert f"{PARTS}/case-17" in page
    assert HAM.replace("_", "\\_") in written.markdown.read_text("utf-8")


def test_verdicts_belong_to_the_table_of_their_run(folders, tmp_path):
    write_run(tmp_path / "second", cases=6, seed=9)
    two = summarise_runs([folders[0], tmp_path / "second"], boot=BOOT)
    write_report(two, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    index = json.loads(page.partition('id="case-index">')[2].partition("</script>")[0])
    assert len(index["tables"]) == len(set(index["tables"])) == 4
    for row in index["cases"]:
        own = 0 if row["id"].startswith(BOARD) else 2
        assert [gap is None for gap in row["gaps"]] == [own != 0, own != 0, own != 2, own != 2]


def test_facts_and_notes_are_said_once(folders, summary):
    facts = summary.facts
    assert facts["Runs"] == "3"
    assert facts["Versions"].startswith("python")
    assert f"Run {HAM}" in facts
    assert "Questions: 14" in facts[f"Run {HAM}"]
    twice = summarise_runs(folders[:2], boot=BOOT, notes=("a", "b")).notes
    assert len(twice) == len(set(twice))


def test_one_run_is_reported_as_before(folders):
    one = summarise_runs(folders[:1], boot=BOOT)
    alone = summarise_reading(read_run(folders[0]), boot=BOOT)
    assert one.tables == alone.tables
    assert one.title == alone.title
    assert [case.id for case in one.cases()] == [f"case-{n}" for n in range(12)]
    assert {table.run for table in one.tables} == {""}


def test_a_run_without_the_baseline_says_so(folders, tmp_path):
    write_run(tmp_path / "few", cases=9, benchmark="ham10000", systems=("good", "middling"))
    data = summarise_runs([folders[1], tmp_path / "few"], boot=BOOT, baseline="base")
    assert [part.baseline for part in data.of("classification")] == ["base", "base", None]
    name = "made up in few"
    assert f"{name}: base was not asked, so that nothing is compared with it." in data.notes


def test_what_cannot_be_in_one_report(folders, tmp_path):
    with pytest.raises(RecipeError, match="is named twice"):
        summarise_runs([folders[0], folders[1], folders[0].parent / "ham" / ".." / "board"])
    with pytest.raises(RecipeError, match="'nobody' is no system of these runs"):
        summarise_runs(folders, baseline="nobody")
    with pytest.raises(RecordError, match="holds no benchmark run"):
        summarise_runs([folders[0], tmp_path])
    write_run(tmp_path / "later", cases=4, systems=("good",))
    card = json.loads((tmp_path / "later" / "systems" / "good.json").read_text("utf-8"))
    path = tmp_path / "later" / "systems" / "good.json"
    path.write_text(json.dumps(card | {"weights": "0" * 64}))
    with pytest.raises(RecipeError, match="system 'good' is another one in"):
        summarise_runs([folders[0], tmp_path / "later"])


def test_leaks_name_the_run(folders, tmp_path):
    write_run(tmp_path / "seen", cases=8, benchmark="ham10000", systems=("good", "base"))
    write_card(tmp_path / "seen", "good", overlapping=("case-0",))
    data = summarise_runs([folders[0], tmp_path / "seen"], boot=BOOT)
    assert [(list(leak.systems), leak.of, leak.run) for leak in data.of("leaks")] == [
        (["good"], ("ham10000",), "made up in seen")
    ]


def test_equal_names_are_numbered(tmp_path):
    places = [tmp_path / name / "run" for name in ("a", "b")]
    for place in places:
        write_run(place, cases=4, systems=("good",))
    runs = {case.run for case in summarise_runs(places, boot=BOOT).cases()}
    assert runs == {"made up in run (1)", "made up in run (2)"}


def test_at_a_glance_every_system_has_a_row(summary):
    shown, other = glances(summary)
    assert len(shown.columns) == len(dict(shown.columns)) == 4
    assert shown.columns[1:] == other.columns[1:]
    assert set(shown.systems) == set(summary.systems)
    tables = [table for _, table in shown.columns]
    assert ["other" in table.systems for table in tables] == [False, False, False, True]
    assert shown.systems["control/reference"] == "oracle"
    best = tables[1].cell("control/reference", tables[1].headline)
    assert figure(best, tables[1].kind).startswith("100.0 %")
    assert list(shown.systems)[: len(tables[0].systems)] == list(tables[0].systems)
    plain = markdown(summary)
    assert "## At a glance" in plain
    assert "| other | – | – | – | " in plain


def test_one_column_needs_no_glance_and_two_scales_need_two():
    data = made_report()
    sets = data.of("classification")
    assert glances(replace(data, tables=tuple(data.of("scores")))) == []
    one, two = glances(data)
    assert "integers 1-5" not in " ".join(dict(one.columns))
    assert "decimals 0-5" not in " ".join(dict(two.columns))
    (only,) = glances(replace(data, tables=tuple(sets)))
    assert [table for _, table in only.columns] == sets
    twice = join_runs({"a": data, "b": data})
    assert len(dict(glances(twice)[0].columns)) == 2 * len(one.columns)


def test_joining_gives_back_a_single_summary():
    only = ReportData(title="x", facts={}, systems={})
    assert join_runs({"x": only}) is only
