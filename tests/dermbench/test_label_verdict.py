"""The label verdict, name by name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.dermbench.classification.labels import LABEL_SETS
from skingpt_r1.dermbench.classification.match import (
    LabelMatch,
    LabelVerdict,
    compare_labels,
    judge_label,
    match_answer,
)
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.text.narrative import REASONS
from skingpt_r1.text.taxonomy import diagnoses


def ask(label="psoriasis", form="narrative"):
    return Question(
        id="a", benchmark="dermbench", group="a", form=form, prompt="?", images=(), sha256=(),
        label=label,
    )  # fmt: skip


def said(text, problem=None):
    return Answer(system="s", id="a", text=text, problem=problem)


@pytest.mark.parametrize(
    ("named", "label", "match"),
    [
        ("Psoriasis", "psoriasis", LabelMatch.EXACT),
        ("acne vulgaris", "acne", LabelMatch.SYNONYM),
        ("malignant melanoma", "melanoma", LabelMatch.SYNONYM),
        ("plaque psoriasis", "psoriasis", LabelMatch.PARENT),
        ("psoriasis", "plaque psoriasis", LabelMatch.PARENT),
        ("rosacea", "acne", LabelMatch.SAME_FAMILY),
        ("vitiligo", "psoriasis", LabelMatch.WRONG),
        ("melanoma", "seborrheic keratosis", LabelMatch.MALIGNANT_FOR_BENIGN),
        ("seborrheic keratosis", "melanoma", LabelMatch.BENIGN_FOR_MALIGNANT),
        # A near miss in the tree that is no near miss for the person.
        ("halo nevus", "melanoma", LabelMatch.BENIGN_FOR_MALIGNANT),
        ("melanoma", "halo nevus", LabelMatch.MALIGNANT_FOR_BENIGN),
        ("spots of unknown kind", "melanoma", LabelMatch.WRONG),
    ],
)
def test_names(named, label, match):
    text = f"<think> Observation: red. Reasoning: it fits. </think> <answer> {named} </answer>"
    assert compare_labels(named, label).match == match
    assert judge_label(ask(label), said(text)).match == match


def test_an_answer_without_text_is_unreadable_for_its_own_reason():
    verdict = judge_label(ask(), said("", "timeout"))
    assert verdict == LabelVerdict(LabelMatch.UNREADABLE, reason="timeout")
    assert judge_label(ask(), said("Who knows?")).match is LabelMatch.UNREADABLE
    assert judge_label(ask(), said("Who knows?")).reason in REASONS


def test_a_label_may_stand_alone():
    assert judge_label(ask(form="label"), said(" psoriasis\n")).match is LabelMatch.EXACT
    assert judge_label(ask(), said("psoriasis")).match in (LabelMatch.EXACT, LabelMatch.UNREADABLE)


@pytest.mark.parametrize(
    "text",
    [
        "The answer is melanoma", "1. Melanoma", "B) melanoma (70 %)", "**Diagnosis:** melanoma",
        "<think>A dark spot.</think><answer>melanoma</answer>",
        "Melanoma is the most likely diagnosis.",
    ],
)  # fmt: skip
def test_a_label_is_read_with_the_words_around_it(text):
    """As `match_answer` reads it: one way for both."""
    match = judge_label(ask("melanoma", form="label"), said(text)).match
    assert match is LabelMatch.EXACT
    labels = LABEL_SETS["ham10000"]
    assert match_answer(said(text), labels).label == "melanoma"


def test_a_name_that_was_cut_may_be_the_beginning_of_a_longer_one():
    cut = Answer(system="s", id="a", text="squamous cell carcinoma", stop_reason="length")
    for form in ("label", "narrative"):
        verdict = judge_label(ask("squamous cell carcinoma", form=form), cut)
        assert (verdict.match, verdict.reason) == (LabelMatch.UNREADABLE, "truncated")
    closed = cut.model_copy(update={"text": "The diagnosis is squamous cell carcinoma."})
    assert judge_label(ask("squamous cell carcinoma"), closed).match.is_right


def test_a_denied_or_unknown_label_is_wrong_or_unreadable():
    question = ask("melanoma", form="label")
    for text in ("not melanoma", "The answer is not melanoma", "spots of unknown kind"):
        assert not judge_label(question, said(text)).match.is_right


def test_a_malignant_part_counts_before_the_benign_one():
    match = compare_labels("dysplastic nevus with melanoma in situ", "melanoma").match
    assert match is LabelMatch.PARENT
    assert compare_labels("nevus with melanoma", "nevus").match is LabelMatch.MALIGNANT_FOR_BENIGN
    assert compare_labels("nevus with areas of melanoma", "nevus").match is LabelMatch.WRONG


def test_an_unknown_name_is_wrong_and_no_confusion_of_malignant_and_benign():
    assert compare_labels("spots of unknown kind", "melanoma").match is LabelMatch.WRONG
    assert compare_labels("psoriasis", "melanoma").match is LabelMatch.BENIGN_FOR_MALIGNANT


names = st.sampled_from(sorted(diagnoses()))


@settings(deadline=None)
@given(names, names)
def test_the_two_confusions_mirror_each_other(first, second):
    one, two = compare_labels(first, second).match, compare_labels(second, first).match
    mirror = {
        LabelMatch.MALIGNANT_FOR_BENIGN: LabelMatch.BENIGN_FOR_MALIGNANT,
        LabelMatch.BENIGN_FOR_MALIGNANT: LabelMatch.MALIGNANT_FOR_BENIGN,
    }
    assert two == mirror.get(one, one)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_a_verdict(text):
    verdict = judge_label(ask(), said(text))
    assert (verdict.diagnosis is None) == (verdict.match is LabelMatch.UNREADABLE)
    assert (verdict.reason is None) == (verdict.match is not LabelMatch.UNREADABLE)
