"""`skingpt bench judge|audit|agree` from the outside."""

import json

import pytest

from skingpt_r1.cli.main import run
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.ratings.rating import Rating, RatingScores, write_ratings
from skingpt_r1.records import append_records, start_run
from skingpt_r1.text.narrative import make_narrative

RIGHT = make_narrative("A red scaly plaque with sharp borders.", "Scale fits.", "psoriasis").text
WRONG = make_narrative("A brown papule.", "Brown fits.", "wart").text


@pytest.fixture
def folder(tmp_path):
    """A run of two systems over six questions."""
    questions = [
        Question(
            id=f"q{number}", benchmark="dermbench", group=f"q{number}", form="narrative",
            prompt="?", images=(), sha256=(), label="psoriasis", reference=RIGHT,
        )
        for number in range(6)
    ]  # fmt: skip
    append_records(tmp_path / "questions.jsonl", questions)
    start_run(tmp_path, {"data": {"root": str(tmp_path)}}, seed=0)
    for system, right in (("good", 5), ("poor", 2)):
        answers = [
            Answer(system=system, id=q.id, text=RIGHT if n < right else WRONG)
            for n, q in enumerate(questions)
        ]
        append_records(tmp_path / "answers" / f"{system}.jsonl", answers)
    return tmp_path


def test_judge_audit_and_agree(folder, capsys):
    assert run(["bench", "judge", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "rubric-1, decimals 0-5:" in out
    assert "good: 6 of 6 scored" in out
    assert run(["bench", "judge", str(folder)]) == 0
    assert "6 of 6 scored" in capsys.readouterr().out
    assert run(["bench", "audit", str(folder)]) == 0
    assert "rubric-1 | length correlation | good" in capsys.readouterr().out
    rows = [
        Rating(
            id=f"poor/q{number}",
            image="a.png",
            diagnostic_text=RIGHT if number < 2 else WRONG,
            rater="r1",
            scores=RatingScores.of((5.0 if number < 2 else 1.0,) * 6),
        )
        for number in range(6)
    ]
    write_ratings(folder / "r.jsonl", rows)
    command = ["bench", "agree", str(folder), str(folder / "r.jsonl"), "--out", str(folder / "a")]
    assert run(command) == 0
    assert "rubric-1: 6 answers" in capsys.readouterr().out
    table = json.loads((folder / "a" / "results.json").read_text())
    assert any(row["metric"] == "weighted kappa" and row["value"] > 0.5 for row in table)
    assert run(["bench", "audit", str(folder), "--ratings", str(folder / "r.jsonl")]) == 0
    assert "agreement with clinicians: weighted kappa" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--judge", "gpt"], "no judge is called 'gpt'"),
        (["--integers"], "only language models judge on integers 1-5"),
        (["--price", "1", "2"], "--price is that of one language model, and 0 are asked"),
        (
            ["--judge", "dermeval:no/where", "--judge", "nobody/x", "--price", "1", "2"],
            "there is no evaluator in 'no/where'",
        ),
        (["--system", "best"], "no answers of 'best'; systems with answers: good, poor"),
        (["--judge", "dermeval:nowhere"], "there is no evaluator in 'nowhere'"),
        (["--judge", "nobody/x"], "judge 'nobody/x' cannot be asked"),
    ],
)
def test_bad_judges(folder, capsys, options, message):
    assert run(["bench", "judge", str(folder), *options]) == 1
    assert message in capsys.readouterr().err


def test_audit_before_anything_is_judged(folder, capsys):
    assert run(["bench", "audit", str(folder)]) == 1
    assert "has no judgements yet" in capsys.readouterr().err
