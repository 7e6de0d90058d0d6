"""Evaluation: what counts as right, what stays in the denominator, what a restart repeats."""

from pathlib import Path

import pytest
from sklearn.metrics import recall_score

from skingpt_r1.case import Case
from skingpt_r1.dermbench.ablation.compare import difference_rows, read_tried, result_rows
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.errors import RecordError
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


def _tried(*texts_and_labels):
    cases = [_case(number, label) for number, (_, label) in enumerate(texts_and_labels)]
    return read_tried(
        cases,
        [_answer(case, text) for case, (text, _) in zip(cases, texts_and_labels, strict=True)],
    )


def _answer(case, text):
    return Answer(system="s", id=case.id, text=text, problem=None if text else "empty")


def _named(tried):
    return [tried.said.classes[row] if row >= 0 else None for row in tried.said.predicted]


def test_an_answer_is_right_when_it_means_the_label():
    tried = _tried(
        (_says("melanoma"), "melanoma"),
        (_says("wart", "a large black macule."), "melanoma"),
        (_says("something else"), "wart"),
    )
    assert _named(tried) == ["melanoma", "wart", None]
    assert tried.said.right.tolist() == [1, 0, 0]
    assert tried.findings.tolist() == [1.0, 0.5, 1.0]
    assert tried.unreadable.tolist() == [0, 0, 0]


@pytest.mark.parametrize("text", ["", "no words of note", "<think> Observation: a wart"])
def test_an_unreadable_answer_is_wrong_and_counted(text):
    tried = _tried((text, "melanoma"), (_says("wart"), "wart"))
    assert _named(tried) == [None, "wart"]
    assert tried.unreadable.tolist() == [1, 0]


def test_other_words_for_a_label_count_as_the_label():
    tried = _tried((_says("common wart"), "wart"), (_says("mole"), "melanocytic nevus"))
    assert tried.said.right.tolist() == [1, 1]


def test_unreadable_answers_stay_in_the_denominator_and_are_counted():
    answers = _tried((_says("melanoma"), "melanoma"), ("", "melanoma"), ("", "wart"))
    rows = {row.metric: row for row in result_rows("t", "s", answers, BOOT)}
    assert rows["diagnosis accuracy"].value == pytest.approx(1 / 3)
    assert rows["diagnosis accuracy"].n == 3
    assert rows["unreadable answers"].value == pytest.approx(2 / 3)
    assert rows["balanced accuracy"].value == pytest.approx(1 / 4)
    assert rows["unreadable answers"].n == 3


def test_balanced_accuracy_is_that_of_the_statistics():
    said = ["melanoma", "wart", "wart", "melanoma", "melanocytic nevus"]
    true = ["melanoma", "melanoma", "wart", "melanoma", "wart"]
    answers = _tried(*((_says(name), label) for name, label in zip(said, true, strict=True)))
    rows = {row.metric: row.value for row in result_rows("t", "s", answers, BOOT)}
    expected = recall_score(true, said, labels=sorted(set(true)), average="macro")
    assert rows["balanced accuracy"] == pytest.approx(expected)


def test_differences_are_paired():
    better = _tried(*[(_says("wart"), "wart")] * 4)
    worse = _tried(*[(_says("melanoma"), "wart")] * 4)
    rows = difference_rows("t", ("a", better), ("b", worse), BOOT)
    found = {row.metric: row for row in rows}
    row = found["diagnosis accuracy"]
    assert (row.system, row.value, row.low, row.high) == ("a - b", 1.0, 1.0, 1.0)
    assert found["balanced accuracy"].value == 1.0
    assert found["finding accuracy"].value == 0.0
    with pytest.raises(RecordError, match="did not answer the same cases"):
        difference_rows("t", ("a", better), ("b", _tried(*[(_says("melanoma"), "wart")] * 3)), BOOT)
