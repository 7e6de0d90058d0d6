"""Evaluation: what counts as right, what stays in the denominator, what a restart repeats."""

from pathlib import Path

import pytest
from sklearn.metrics import recall_score

from skingpt_r1.case import Case
from skingpt_r1.dermbench.ablation.compare import (
    answer_cases,
    diagnosed,
    difference_rows,
    result_rows,
)
from skingpt_r1.errors import DatasetError, RecordError
from skingpt_r1.model.generation import Decoding
from skingpt_r1.stats.intervals import Bootstrap
from skingpt_r1.text.narrative import make_narrative

LABELS = ("melanoma", "melanocytic nevus", "wart")
BOOT = Bootstrap(seed=0, resamples=200)


def _case(number, label="melanoma", **findings):
    return Case(
        id=f"case-{number}",
        images=(Path(f"{number}.png"),),
        dataset="toy",
        group=f"group-{number // 2}",
        label=label,
        findings=findings or {"colour": "black", "size": "small"},
    )


def _says(diagnosis, observation="a small black macule."):
    return make_narrative(observation, "It is so.", diagnosis, ()).text


class Scripted:
    """A model that says what it is told, and counts how often it is asked."""

    def __init__(self, texts):
        self.texts = texts
        self.asked = []

    def generate_batch(self, requests, *, decoding, adapters):
        self.asked.append([str(request.images[0]) for request in requests])
        return [self.texts[str(request.images[0])] for request in requests]


def _answers(*texts_and_labels):
    return [
        diagnosed(_case(number, label), text, LABELS)
        for number, (text, label) in enumerate(texts_and_labels)
    ]


def test_an_answer_is_right_when_it_means_the_label():
    answer = diagnosed(_case(0), _says("melanoma"), LABELS)
    assert (answer.right, answer.named, answer.unreadable) == (True, "melanoma", None)
    assert answer.findings == 1.0
    wrong = diagnosed(_case(0), _says("wart", "a large black macule."), LABELS)
    assert (wrong.right, wrong.named, wrong.findings) == (False, "wart", 0.5)
    elsewhere = diagnosed(_case(0), _says("something else"), LABELS)
    assert (elsewhere.right, elsewhere.named) == (False, None)


def test_an_unreadable_answer_is_wrong_and_says_why():
    answer = diagnosed(_case(0), "", LABELS)
    assert not answer.right
    assert answer.diagnosis is None
    assert answer.unreadable


def test_unreadable_answers_stay_in_the_denominator_and_are_counted():
    answers = _answers((_says("melanoma"), "melanoma"), ("", "melanoma"), ("", "wart"))
    rows = {row.metric: row for row in result_rows("t", "s", answers, BOOT)}
    assert rows["diagnosis accuracy"].value == pytest.approx(1 / 3)
    assert rows["diagnosis accuracy"].n == 3
    assert rows["unreadable answers"].value == pytest.approx(2 / 3)
    assert rows["balanced accuracy"].value == pytest.approx(1 / 4)
    assert rows["unreadable answers"].n == 3


def test_balanced_accuracy_is_that_of_the_statistics():
    said = ["melanoma", "wart", "wart", "melanoma", "melanocytic nevus"]
    true = ["melanoma", "melanoma", "wart", "melanoma", "wart"]
    answers = _answers(*((_says(name), label) for name, label in zip(said, true, strict=True)))
    rows = {row.metric: row.value for row in result_rows("t", "s", answers, BOOT)}
    expected = recall_score(true, said, labels=sorted(set(true)), average="macro")
    assert rows["balanced accuracy"] == pytest.approx(expected)


def test_differences_are_paired():
    better = _answers(*[(_says("wart"), "wart")] * 4)
    worse = _answers(*[(_says("melanoma"), "wart")] * 4)
    rows = difference_rows("t", ("a", better), ("b", worse), BOOT)
    found = {row.metric: row for row in rows}
    row = found["diagnosis accuracy"]
    assert (row.system, row.value, row.low, row.high) == ("a - b", 1.0, 1.0, 1.0)
    assert found["balanced accuracy"].value == 1.0
    assert found["finding accuracy"].value == 0.0
    with pytest.raises(RecordError, match="did not answer the same cases"):
        difference_rows("t", ("a", better), ("b", worse[:3]), BOOT)


def test_answers_are_appended_and_a_restart_asks_for_the_rest(tmp_path):
    cases = [_case(number) for number in range(5)]
    model = Scripted({f"{number}.png": _says("melanoma") for number in range(5)})
    path = tmp_path / "answers.jsonl"
    options = {"decoding": Decoding(), "batch_size": 2}
    first = answer_cases(model, cases, path, **options)
    assert [len(batch) for batch in model.asked] == [2, 2, 1]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    model.asked.clear()
    assert answer_cases(model, cases, path, **options) == first
    assert model.asked == [["3.png", "4.png"]]
    assert path.read_bytes() == whole


def test_answers_to_other_cases_and_cases_without_a_label_are_errors(tmp_path):
    path = tmp_path / "answers.jsonl"
    model = Scripted({"0.png": _says("wart"), "1.png": _says("wart")})
    options = {"decoding": Decoding(), "batch_size": 2}
    answer_cases(model, [_case(0)], path, **options)
    with pytest.raises(RecordError, match="other cases"):
        answer_cases(model, [_case(1)], path, **options)
    with pytest.raises(DatasetError, match="no label"):
        answer_cases(model, [_case(1, label=None)], tmp_path / "new.jsonl", **options)
