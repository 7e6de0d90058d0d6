"""What is left of a short answer when its number, its share and its lead are gone."""

import pytest

from skingpt_r1.dermbench.classification.match import (
    bare_name,
    readings,
    stated_name,
    without_frame,
)
from skingpt_r1.dermbench.records import Answer


def answer(text, **more):
    return Answer(system="s", id="1", text=text, **more)


@pytest.mark.parametrize(
    "written",
    [
        "1. melanoma", "B) melanoma", "(b) melanoma", "C: melanoma", "2 - melanoma", "[A] melanoma",
        "melanoma (70 %)", "melanoma: 85,5 %", "70% melanoma", "**1. melanoma (70%)**",
        "“melanoma”", "melanoma (confidence: 80%)", "melanoma - 70% confidence",
        "melanoma<|im_end|>",
    ],
)  # fmt: skip
def test_numbers_shares_and_marks(written):
    assert without_frame(written) == "melanoma"


@pytest.mark.parametrize(
    "kept", ["melanoma (0 %)", "melanoma (in situ)", "nevus 1.5 mm", "type IV"]
)
def test_what_belongs_to_a_name_stays(kept):
    assert without_frame(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "The most likely diagnosis is melanoma.", "Melanoma is the most likely diagnosis.",
        "I think this is a melanoma", "Answer: B) melanoma", "consistent with melanoma",
        "The picture shows a melanoma.",
    ],
)  # fmt: skip
def test_words_around_a_name(text):
    assert "melanoma" in [name.lower() for name in readings(text)]


@pytest.mark.parametrize(
    "text",
    [
        "It is not melanoma", "no melanoma", "Unlikely melanoma", "The differential is melanoma",
        "Melanoma is not the most likely diagnosis", "Melanoma is the least likely diagnosis",
        "Is it melanoma?", "history of melanoma", "Rule out melanoma",
    ],
)  # fmt: skip
def test_words_that_deny_or_doubt_stay(text):
    assert "melanoma" not in [name.lower() for name in readings(text)]


def test_where_a_name_stands():
    assert bare_name(answer("<answer>melanoma</answer><|im_end|>")) == "melanoma"
    assert bare_name(answer("<think>red</think>melanoma")) == "melanoma"
    assert bare_name(answer("<answer>a</answer><answer>b</answer>")) is None
    assert bare_name(answer("<think>red, melanoma")) is None
    assert bare_name(answer("melanoma", stop_reason="length")) is None
    assert stated_name(answer("A spot.\nDiagnosis:\n1. Melanoma\n2. Nevus")) == "1. Melanoma"
    assert stated_name(answer("Diagnosis: nevus\nFinal answer: melanoma")) == " melanoma"
    assert stated_name(answer("A spot is seen. It is a melanoma.")) == "It is a melanoma."
    assert stated_name(answer("Differential:\n- nevus\n- melanoma")) is None
    assert stated_name(answer("Diagnosis: melanoma", stop_reason="length")) is None
