"""Judging a run: resumed at any moment, nothing lost, nothing counted twice."""

import hashlib
from collections.abc import Sequence

import pytest

from skingpt_r1.dermbench.answers import answers_path, read_answers
from skingpt_r1.dermbench.audits import audit_run, read_judged
from skingpt_r1.dermbench.judgements import judge_folder, run_judge
from skingpt_r1.dermbench.judges.evaluator import EvaluatorJudge
from skingpt_r1.dermbench.judges.judge import JudgeOptions, JudgeTask, record_verdict
from skingpt_r1.dermbench.judges.named import open_judge
from skingpt_r1.dermbench.judges.rules import RubricJudge
from skingpt_r1.dermbench.reading import NOT_JUDGED
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.dermbench.summary import summarise_runs
from skingpt_r1.errors import CheckpointError, RecipeError, RecordError
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.records import append_records, read_records, sha256_file, start_run
from skingpt_r1.stats.intervals import Bootstrap
from skingpt_r1.text.narrative import make_narrative
from skingpt_r1.text.rubric import Protocol, Unscored

GOOD = make_narrative("A red plaque.", "Red fits.", "psoriasis").text
POOR = make_narrative("A brown papule.", "Brown fits.", "wart").text


class KilledError(RuntimeError):
    """A judge that is killed."""


class Fragile(RubricJudge):
    """Breaks off after so many judgements."""

    def __init__(self, after: int) -> None:
        self._after = after

    def judge(self, tasks: Sequence[JudgeTask]):
        for number, record in enumerate(super().judge(tasks)):
            if number == self._after:
                raise KilledError
            yield record


def write_run(folder, count=7, *, form="narrative"):
    questions = [
        Question(
            id=f"q{number}", benchmark="dermbench", group="g", form=form, prompt="?", images=(),
            sha256=(), label="psoriasis", reference=None if number == 3 else GOOD,
        )
        for number in range(count)
    ]  # fmt: skip
    append_records(folder / "questions.jsonl", questions)
    start_run(folder, {"data": {"root": str(folder)}}, seed=0)
    problems = {1: "timeout", 2: "refusal"}
    for system in ("one", "two/b"):
        answers = [
            Answer(
                system=system,
                id=f"q{number}",
                text="" if number in problems else GOOD,
                problem=problems.get(number),
            )
            for number in range(count - 1)
        ]
        append_records(folder / "answers" / f"{system.replace('/', '-')}.jsonl", answers)


def records(folder, system="one"):
    return read_records(
        judge_folder(folder, "rubric-1", "decimals 0-5") / f"{system}.jsonl", Judgement
    )


def test_every_answer_has_one_judgement_and_every_unscored_one_a_reason(tmp_path):
    write_run(tmp_path)
    tallies = run_judge(tmp_path, RubricJudge())
    assert [tally.system for tally in tallies] == ["one", "two/b"]
    for tally in tallies:
        assert (tally.asked, tally.scored, tally.not_answered) == (7, 3, 1)
        assert tally.unscored == {"timeout": 1, "refusal": 1, "no_reference": 1}
    found = records(tmp_path)
    assert [record.id for record in found] == [f"q{number}" for number in range(6)]
    assert records(tmp_path, "two-b")[0].scores == found[0].scores


def test_the_same_call_again_does_nothing(tmp_path):
    write_run(tmp_path)
    first = run_judge(tmp_path, RubricJudge())
    before = records(tmp_path)
    assert run_judge(tmp_path, Fragile(0)) == first
    assert records(tmp_path) == before


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stopped_run_ends_with_the_same_records(tmp_path, after):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        write_run(folder)
    run_judge(whole, RubricJudge())
    with pytest.raises(KilledError):
        run_judge(broken, Fragile(after))
    path = judge_folder(broken, "rubric-1", "decimals 0-5") / "one.jsonl"
    if path.exists():
        with path.open("ab") as file:
            file.write(b'{"system": "one", "id"')  # torn by the kill
    run_judge(broken, RubricJudge())
    assert records(broken) == records(whole)


def test_an_answer_that_came_later_is_judged_then(tmp_path):
    write_run(tmp_path)
    run_judge(tmp_path, RubricJudge())
    late = Answer(system="one", id="q1", text=GOOD)
    append_records(tmp_path / "answers" / "one.jsonl", [late])
    one, _ = run_judge(tmp_path, RubricJudge())
    assert one.scored == 4
    assert one.unscored == {"refusal": 1, "no_reference": 1}
    assert [record.id for record in records(tmp_path)].count("q1") == 2


def change_answer(folder, name, text):
    """Edit the file of answers, as a person would."""
    answers = read_answers(folder, "one")
    answers[name] = Answer(system="one", id=name, text=text)
    answers_path(folder, "one").unlink()
    append_records(answers_path(folder, "one"), answers.values())


def test_a_judgement_of_another_text_does_not_count(tmp_path):
    write_run(tmp_path)
    change_answer(tmp_path, "q4", "...")
    (before, _) = run_judge(tmp_path, RubricJudge())
    assert before.unscored["empty"] == 1
    old = records(tmp_path)
    assert old[0].answer_sha256 == hashlib.sha256(GOOD.encode()).hexdigest()

    change_answer(tmp_path, "q0", POOR)
    change_answer(tmp_path, "q4", GOOD)
    (judged,) = read_judged(tmp_path).judged.values()
    assert "q0" not in judged["one"].scores
    assert "q0" in judged["two/b"].scores
    table = summarise_runs([tmp_path], boot=Bootstrap(resamples=100)).of("scores")[0]
    unscored = {system: table.counts(system, "unscored") for system in table.systems}
    not_judged = {system: reasons.get(NOT_JUDGED, 0) for system, reasons in unscored.items()}
    assert not_judged == {"one": 2, "two/b": 0}

    (one, two) = run_judge(tmp_path, RubricJudge())
    assert (one.scored, two.scored) == (3, 3)
    assert records(tmp_path)[: len(old)] == old
    again = records(tmp_path)[len(old) :]
    assert [record.id for record in again] == ["q0", "q4"]
    assert again[0].scores["Accuracy"] < old[0].scores["Accuracy"]
    assert again[1].scores == old[0].scores
    (judged,) = read_judged(tmp_path).judged.values()
    assert judged["one"].scores["q0"] == [tuple(again[0].scores.values())]

    assert run_judge(tmp_path, Fragile(0)) == [one, two]
    change_answer(tmp_path, "q0", GOOD)  # as it was: it is judged already
    run_judge(tmp_path, Fragile(0))
    (judged,) = read_judged(tmp_path).judged.values()
    assert judged["one"].scores["q0"] == [tuple(old[0].scores.values())]


def test_judgements_of_which_none_counts_any_more_can_still_be_audited(tmp_path):
    write_run(tmp_path)
    run_judge(tmp_path, RubricJudge(), systems=["one"])
    for number in range(6):
        change_answer(tmp_path, f"q{number}", POOR)
    reading = read_judged(tmp_path)
    assert list(reading.judged.values()) == [{}]
    assert all(audit.measure is None for audit in audit_run(reading))
    assert not summarise_runs([tmp_path], boot=Bootstrap(resamples=100)).of("scores")


def test_another_problem_is_written_down_and_a_reply_to_come_is_judged(tmp_path):
    write_run(tmp_path)
    run_judge(tmp_path, RubricJudge())
    answers = answers_path(tmp_path, "one")
    append_records(answers, [Answer(system="one", id="q1", text="", problem="connection")])
    one, _ = run_judge(tmp_path, RubricJudge())
    assert one.unscored == {"connection": 1, "refusal": 1, "no_reference": 1}
    append_records(answers, [Answer(system="one", id="q1", text=GOOD)])
    one, _ = run_judge(tmp_path, RubricJudge())
    assert one.unscored == {"refusal": 1, "no_reference": 1}
    assert [r.unscored for r in records(tmp_path) if r.id == "q1"] == [
        "timeout",
        "connection",
        None,
    ]


def test_one_system_alone(tmp_path):
    write_run(tmp_path)
    assert [t.system for t in run_judge(tmp_path, RubricJudge(), systems=["two/b"])] == ["two/b"]
    with pytest.raises(
        RecordError, match=r"no answers of 'three'; systems with answers: one, two/b"
    ):
        run_judge(tmp_path, RubricJudge(), systems=["three"])


def test_runs_that_cannot_be_judged(tmp_path):
    with pytest.raises(RecordError, match="holds no benchmark run"):
        run_judge(tmp_path, RubricJudge())
    write_run(tmp_path / "labels", form="label")
    with pytest.raises(RecordError, match="no questions that ask for a narrative"):
        run_judge(tmp_path / "labels", RubricJudge())
    write_run(tmp_path / "none")
    for path in (tmp_path / "none" / "answers").iterdir():
        path.unlink()
    with pytest.raises(RecordError, match="no answers yet"):
        run_judge(tmp_path / "none", RubricJudge())


@pytest.mark.parametrize(
    ("own", "other"), [('"id": "q0"', '"id": "q99"'), ('"system": "one"', '"system": "three"')]
)
def test_judgements_of_another_run_are_refused(tmp_path, own, other):
    write_run(tmp_path)
    run_judge(tmp_path, RubricJudge())
    path = judge_folder(tmp_path, "rubric-1", "decimals 0-5") / "one.jsonl"
    path.write_text(path.read_text().replace(own, other))
    with pytest.raises(RecordError, match="belongs to another run"):
        run_judge(tmp_path, RubricJudge())
    with pytest.raises(RecordError, match="the run has no such answer"):
        read_judged(tmp_path)


class Unscoring(RubricJudge):
    """Gives one reason instead of scores."""

    most_attempts = 3

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def judge(self, tasks):
        return (record_verdict(self, task, Unscored(self._reason)) for task in tasks)


def test_calls_that_failed_are_no_unreadable_verdicts(tmp_path):
    write_run(tmp_path, 2)  # one answer each
    for reason in ("timeout", "connection", "no_scores", "no_scores"):
        run_judge(tmp_path, Unscoring(reason))
    found = [record.unscored for record in records(tmp_path)]
    assert found == ["timeout", "connection", *["no_scores"] * Unscoring.most_attempts]


def test_names_of_judges(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert isinstance(open_judge("rubric", JudgeOptions(), ledger), RubricJudge)
    with pytest.raises(RecipeError, match="no judge is called 'gpt'"):
        open_judge("gpt", JudgeOptions(), ledger)
    with pytest.raises(RecipeError, match="only language models judge on integers 1-5"):
        open_judge("rubric", JudgeOptions(protocol=Protocol.INTEGER_1_5), ledger)
    with pytest.raises(RecipeError, match="no order of passages"):
        open_judge("dermeval", JudgeOptions(candidate_first=True), ledger)
    with pytest.raises(CheckpointError, match="no evaluator"):
        open_judge("dermeval:nowhere", JudgeOptions(), ledger)


def test_dermeval_judges_without_a_reference_but_not_without_a_picture(
    tmp_path, tiny_model, pictures
):
    """The tiny model says nothing readable; what it says has a reason."""
    path = tmp_path / "a.png"
    pictures[0].save(path)
    write_run(tmp_path)
    seen_as = {"images": ("a.png",), "sha256": (sha256_file(path),)}
    question = read_records(tmp_path / "questions.jsonl", Question)[3].model_copy(update=seen_as)
    answer = Answer(system="one", id="q3", text="A wart.")
    judge = EvaluatorJudge("dermeval:tiny", tiny_model(), "0", brief=True)
    assert not judge.needs_reference
    seen, blind = judge.judge(
        [JudgeTask(question, answer, 0, (path,)), JudgeTask(question, answer, 0, ())]
    )
    assert seen.scores is None
    assert seen.unscored in ("empty", "no_scores", "truncated", "incomplete", "too_long")
    assert (blind.unscored, blind.judge) == ("no_picture", "dermeval:tiny")
    silent = answer.model_copy(update={"text": "N/A"})
    (nothing,) = judge.judge([JudgeTask(question, silent, 0, (path,))])
    assert (nothing.scores, nothing.unscored, nothing.reply) == (None, "no_content", "")
    assert judge.settings == {"weights": "0", "brief": True, "dtype": "float32"}
