"""A run becomes tables: nothing is lost, nothing is counted twice, scales are not mixed."""

import json
from collections import Counter

import pytest
from made_run import JUDGES, LABELS, SYSTEMS, write_card, write_run

from skingpt_r1.dermbench.answers import answers_path, read_answers
from skingpt_r1.dermbench.reading import NOT_ASKED, NOT_JUDGED, read_run
from skingpt_r1.dermbench.records import Answer, Judgement
from skingpt_r1.dermbench.report.cases import CaseChunks, report_cases
from skingpt_r1.dermbench.report.rows import report_rows, write_report
from skingpt_r1.dermbench.report.wording import better, difference, hits, is_shown
from skingpt_r1.dermbench.summary import summarise_runs
from skingpt_r1.dermbench.tables import SEEN, TRAINED_ON, label_table
from skingpt_r1.errors import RecipeError, RecordError
from skingpt_r1.records import append_records, read_records
from skingpt_r1.stats.intervals import Bootstrap
from skingpt_r1.text.rubric import DIMENSIONS

BOOT = Bootstrap(seed=0, resamples=100)


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path)
    return tmp_path


def test_one_table_for_each_judge_and_scale(run) -> None:
    data = summarise_runs([run], boot=BOOT)
    boards = data.of("scores")
    assert [table.of for table in boards] == sorted(
        ((judge, protocol) for judge, protocol, _ in JUDGES), key=lambda item: item[0]
    )
    assert {table.of[0]: table.judged_on for table in boards} == {
        "rubric 1": "",
        "judge-1": "2026-11-20",
    }


def test_means_are_those_of_the_files(run) -> None:
    data = summarise_runs([run], boot=BOOT)
    for table in data.of("scores"):
        for system in table.systems:
            name = system.replace("/", "-")
            path = run / "judgements" / table.of[0].replace(" ", "-") / f"{name}.jsonl"
            scored = [item for item in read_records(path, Judgement) if item.scores]
            assert hits(table.cell(system, "coverage")) == len(scored)
            expected = sum(item.scores["Safety"] for item in scored) / len(scored)
            assert table.cell(system, "Safety").value == pytest.approx(expected)
            total = sum(sum(item.scores.values()) / 6 for item in scored) / len(scored)
            assert table.cell(system, "mean score").value == pytest.approx(total)


def test_every_question_is_scored_or_explained(run) -> None:
    data = summarise_runs([run], boot=BOOT)
    for table in data.of("scores"):
        assert set(table.systems) == set(SYSTEMS)
        for system in table.systems:
            coverage = table.cell(system, "coverage")
            assert coverage.n == 40
            assert hits(coverage) + sum(table.counts(system, "unscored").values()) == 40
        assert {NOT_ASKED, NOT_JUDGED, "refusal"} <= set(table.counts("lost", "unscored"))
    assert any("not asked yet" in note for note in data.notes)


def test_a_system_that_was_never_judged_has_a_row_without_numbers(run) -> None:
    for path in (run / "judgements").glob("*/middling.jsonl"):
        path.unlink()
    summary = summarise_runs([run], boot=BOOT)
    for table in summary.of("scores"):
        found = {row.metric: row.value for row in table.rows if row.system == "middling"}
        assert found == {"coverage": 0, f"unscored, {NOT_JUDGED}": 40}
        assert list(table.systems)[-1] == "middling"
        assert not [pair for pair in table.pairs if "middling" in pair]
    write_report(summary, run / "report")


def test_controls_are_not_ranked_and_the_best_is_first(run) -> None:
    table = summarise_runs([run], boot=BOOT).of("scores")[0]
    assert table.cell("good", "rank").value == 1
    assert table.cell("base", "rank").value == 4
    assert table.systems["control/majority"] == "control"
    assert table.cell("control/majority", "rank") is None
    assert table.systems["control/reference"] == "oracle"
    overall = [table.cell(system, "mean score").value for system in table.systems]
    assert overall == sorted(overall, reverse=True)
    assert len(set(table.pairs)) == 15
    assert ("base", "good") in table.pairs
    assert better("base", "good", *difference(table, "base", "good")) == "good"


def test_the_label_stands_beside_the_opinion(run) -> None:
    (table,) = summarise_runs([run], boot=BOOT).of("labels")
    assert hits(table.cell("control/reference", "exact")) == 40
    lost = [row for row in table.rows if row.system == "lost"]
    assert sum(map(hits, lost)) == table.size("lost") < 40
    assert hits(table.cell("lost", "unreadable")) > 0
    assert hits(table.cell("base", "benign for malignant")) > 0


def test_every_skin_group_has_a_row(run) -> None:
    table = summarise_runs([run], boot=BOOT).of("scores")[0]
    names = {(item.scale, group.name) for item in table.tones for group in item.groups}
    assert ("skin tone", "unknown") in names
    assert ("Fitzpatrick type", "VI") in names
    tones = [item for item in table.tones if item.scale == "skin tone"]
    assert [item.system for item in tones] == list(table_systems(table))
    assert all(sum(group.n for group in item.groups) == 40 for item in tones)
    assert sum(group.positives for group in tones[0].groups) == 8
    for item in tones:
        for group in item.groups:
            mean = table.cell(item.system, item.mean(group.name))
            assert (0 if mean is None else mean.n) == group.scored


def table_systems(table):
    return dict.fromkeys(item.system for item in table.tones)


def test_cases_are_given_one_by_one_with_all_that_was_said(run) -> None:
    reading = read_run(run)
    cases = list(report_cases(reading))
    assert [case.id for case in cases] == [f"case-{number}" for number in range(40)]
    first = cases[0]
    assert [item.answer.system for item in first.answers] == list(reading.systems)
    good = next(item for item in first.answers if item.answer.system == "good")
    assert good.answer.text.startswith("<think>")
    assert {item.judge for item in good.judgements} <= {"rubric 1", "judge-1"}
    problems = Counter(
        item.answer.problem
        for case in cases
        for item in case.answers
        if item.answer.system == "lost"
    )
    assert problems["refusal"] > 0
    assert problems[NOT_ASKED] > 0
    assert first.no_picture == "the question has no picture"
    chunks = CaseChunks(summarise_runs([run], boot=BOOT))
    index = [row for chunk in chunks for row in json.loads(chunk)]
    assert [row["tone"] for row in index[:2]] == ["unknown", "light"]


def test_a_judge_that_used_both_scales_is_shown_with_each(tmp_path) -> None:
    write_run(tmp_path, cases=3, systems=("good",))
    whole = tmp_path / "judgements" / "judge-1" / "good.jsonl"
    other = tmp_path / "judgements" / "judge-1-again" / "good.jsonl"
    append_records(
        other,
        [
            record.model_copy(
                update={"protocol": "decimals 0-5", "scores": dict.fromkeys(DIMENSIONS, 0.5)}
            )
            for record in reversed(list(read_records(whole, Judgement)))
        ],
    )
    for case in report_cases(read_run(tmp_path)):
        (answer,) = case.answers
        said = {
            verdict.protocol: verdict.scores
            for verdict in answer.judgements
            if verdict.judge == "judge-1" and verdict.unscored is None
        }
        assert said["decimals 0-5"] == dict.fromkeys(DIMENSIONS, 0.5)
        wanted = [item for item in read_records(whole, Judgement) if item.id == case.question.id]
        assert said.get("integers 1-5") == wanted[0].scores


def test_a_repeat_counts_with_its_mean_and_a_retry_replaces_what_was_unscored(tmp_path) -> None:
    write_run(tmp_path, cases=2, systems=("good",))
    (path,) = (tmp_path / "judgements" / "rubric-1").glob("good.jsonl")
    path.unlink()
    answers = read_answers(tmp_path, "good")

    def judged(identity, repeat, value):
        scores = None if value is None else dict.fromkeys(DIMENSIONS, value)
        return Judgement(
            system="good", id=identity, answer_sha256=answers[identity].sha256, judge="rubric 1",
            repeat=repeat, scores=scores, unscored="no_scores" if value is None else None,
        )  # fmt: skip

    append_records(
        path,
        [judged("case-0", 0, 4.0), judged("case-0", 1, 2.0), judged("case-1", 0, None),
         judged("case-1", 0, 5.0), judged("case-1", 0, 1.0)],
    )  # fmt: skip
    boards = summarise_runs([tmp_path], boot=BOOT).of("scores")
    table = next(board for board in boards if board.of[0] == "rubric 1")
    assert list(table.systems) == ["good"]
    assert table.cell("good", "mean score").value == pytest.approx((3.0 + 5.0) / 2)
    assert hits(table.cell("good", "coverage")) == 2
    assert table.counts("good", "unscored") == {}


def test_what_a_system_was_trained_on_is_shown_apart(run) -> None:
    write_card(run, "good", overlapping=("case-0", "case-1"))
    data = summarise_runs([run], boot=BOOT)
    board, apart = data.of("scores")[0], SEEN.format("good")
    assert board.cell(apart, "rank") is None
    seen, own = board.cell(apart, "coverage"), board.cell("good", "coverage")
    unscored = board.counts("good", "unscored")
    assert seen.n == 2
    assert unscored[TRAINED_ON] == hits(seen)
    assert hits(own) + sum(unscored.values()) == 40
    (leak,) = data.of("leaks")
    (row,) = leak.rows
    assert (row.system, hits(row), row.n) == ("good", 2, 40)


@pytest.mark.parametrize("form", ["label", "candidates", "narrative"])
def test_classification(tmp_path, form) -> None:
    write_run(tmp_path, cases=84, benchmark="ham10000", form=form)
    summary = summarise_runs([tmp_path], boot=BOOT, baseline="base")
    parts = summary.of("classification")
    assert len(parts) == (2 if form == "candidates" else 1)
    for part in parts:
        assert part.cell("control/reference", "accuracy").value == 1.0
        assert is_shown(part.cell("good", "p after Holm's correction"))
        assert part.cell("base", "gain over base") is None
        no_label = part.cell("lost", "no label")
        assert no_label.n == 84
        assert hits(no_label) > 0
        matrix = next(item for item in part.confusions if item.system == "lost")
        assert sum(map(sum, matrix.counts)) == 84
        assert sum(row[-1] for row in matrix.counts) == hits(no_label)
        weighed = part.of[1] == "candidate likelihood"
        assert (part.cell("good", "top-3 accuracy") is not None) is weighed
        reasons = {row.metric for row in report_rows(summary) if row.system == "lost"}
        assert "unmatched, not asked yet" in reasons
        assert "unmatched, refusal" in reasons
    calibrated = parts[-1].calibrations
    assert bool(calibrated) is (form == "candidates")
    errors = [parts[-1].cell(item.system, "calibration error") for item in calibrated]
    assert all(0 <= error.value <= 1 for error in errors)


def test_results_and_report_are_written(run, tmp_path_factory) -> None:
    out = tmp_path_factory.mktemp("report")
    written = write_report(summarise_runs([run], boot=BOOT), out)
    rows = json.loads(written.results.read_text("utf-8"))
    assert {row["system"] for row in rows} >= set(SYSTEMS)
    assert all(row["n"] >= 0 for row in rows)
    assert "case-39" in written.page.read_text("utf-8")


def test_the_same_run_gives_the_same_numbers(run) -> None:
    first, second = (summarise_runs([run], boot=BOOT) for _ in range(2))
    assert first.tables == second.tables


def test_bad_runs(run, tmp_path_factory) -> None:
    with pytest.raises(RecordError, match="no benchmark run"):
        summarise_runs([tmp_path_factory.mktemp("empty")])
    with pytest.raises(RecipeError, match="the baseline 'bse' is no system"):
        summarise_runs([run], baseline="bse")
    path = run / "judgements" / "rubric-1" / "good.jsonl"
    strange = read_records(path, Judgement)[0].model_copy(update={"id": "unknown"})
    append_records(path, [strange])
    with pytest.raises(RecordError, match="the run has no such answer"):
        summarise_runs([run])


def test_an_answer_to_another_question_is_refused(run) -> None:
    append_records(answers_path(run, "good"), [Answer(system="good", id="odd", text="wart")])
    with pytest.raises(RecordError, match="'odd', which the run does not have"):
        read_run(run)


def test_a_damaged_line_is_named_without_its_words(run) -> None:
    path = answers_path(run, "good")
    path.write_bytes(path.read_bytes() + b'{"system": "good", "id": 7, "text": "secret"}\n')
    with pytest.raises(RecordError, match=r"line 41: field id") as caught:
        list(read_run(run).questions)
    assert "secret" not in str(caught.value)


def test_a_torn_last_line_is_left_out(run) -> None:
    path = answers_path(run, "good")
    path.write_bytes(path.read_bytes() + b'{"system": "good", "id": "cas')
    assert len(read_run(run).said["good"]) == 40


def test_labels_of_the_run() -> None:
    assert len(set(LABELS)) == 5


def test_diagnoses_of_questions_that_a_system_was_trained_on_do_not_count(tmp_path):
    write_run(tmp_path, cases=6, systems=("good", "base"))
    write_card(tmp_path, "good", overlapping=("case-0", "case-3"))
    table = label_table(read_run(tmp_path))
    assert (table.size("good"), table.size("base")) == (4, 6)
    assert sum(hits(row) for row in table.rows if row.system == "good") == 4
