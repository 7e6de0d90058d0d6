"""Every label of every set, in every form in which an answer may give it, means itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.dermbench.classification.labels import LABEL_SETS
from skingpt_r1.dermbench.classification.match import match_answer, match_name
from skingpt_r1.dermbench.records import Answer

BARE = [
    "{}", "{}.", "**{}**", "`{}`", '"{}"', "“{}”", "1. {}", "1) {}", "B) {}", "(B) {}", "C: {}",
    "- {}", "{} (70 %)", "{} 70%", "{}: 85 %", "{} (confidence: 80%)", "1. {} (70%)", "**1. {}**",
    "likely {}", "Most likely: {}", "probably a {}", "suspected {}", "{}, likely", "{} (likely)",
    "consistent with {}", "Findings consistent with {}.", "The diagnosis is {}", "Answer: {}",
    "The most likely diagnosis is {}.", "The answer is {}.", "Diagnosis: {}", "Diagnosis: **{}**.",
    "**Diagnosis:** {}", "Final answer: {}.", "{} is the most likely diagnosis.", "This is a {}.",
    "{} is most likely", "It looks like {}", "The picture shows a {}", "I think it is {}.",
    "{} on the left arm", "{} with irregular borders", "{}, with high confidence", "Category: {}",
    "Answer: B) {}", "Answer - {}", "Diagnosis — {}", "Diagnosis：{}", "Diagnosis:{}",
    "{}<|im_end|>", "Dx: {}", "My diagnosis: {} (high confidence)",
]  # fmt: skip
WHOLE = [
    "<answer>{}</answer>", "<answer> **{}**. </answer>", "<think>red</think>{}",
    "<think> red </think> <answer> {} </answer>", "Diagnosis:\n{}", "Diagnosis:\n\n**{}**\n",
    "{}\n",
    "Observation: waxy plaque.\nReasoning: it looks stuck on.\nDiagnosis: {}",
    "Observation: waxy plaque.\nReasoning: it looks stuck on.\n**Diagnosis:** {}.",
    "Observation: red lacunae.\nReasoning: they are vessels.\nFinal Answer: {}",
    "A spot is seen on the arm. The diagnosis is {}",
    "A spot is seen. This is most consistent with {}.",
    "### Observation\nA spot.\n\n### Diagnosis\n{}",
    "A spot is seen.\n\nDiagnosis:\n1. {} (70%)",
]  # fmt: skip
EVERY = [(name, label) for name, labels in LABEL_SETS.items() for label in labels.labels]
SMALL = [item for item in EVERY if len(LABEL_SETS[item[0]].labels) <= 23]


def said(text: str, name: str) -> tuple[str | None, str | None]:
    return match_answer(Answer(system="s", id="1", text=text), LABEL_SETS[name])


@pytest.mark.parametrize("form", BARE)
def test_a_bare_name_in_every_form(form):
    for name, label in SMALL:
        for written in (label, label.upper()):
            assert match_name(form.format(written), LABEL_SETS[name]).label == label, written
        assert said(form.format(label), name) == (label, None)


@pytest.mark.parametrize("form", WHOLE)
def test_a_whole_answer_in_every_form(form):
    for name, label in SMALL:
        assert said(form.format(label), name) == (label, None)


@given(st.sampled_from(EVERY), st.sampled_from(BARE + WHOLE), st.sampled_from([str, str.lower]))
@settings(max_examples=500, deadline=None)
def test_the_large_sets_too(item, form, case):
    name, label = item
    assert said(form.format(case(label)), name) == (label, None)


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("SK", "pad_ufes_20", "seborrheic keratosis"),
        ("seborrhoeic wart", "pad_ufes_20", "seborrheic keratosis"),
        ("benign mole", "pad_ufes_20", "melanocytic nevus"),
        ("basal cell cancer", "pad_ufes_20", "basal cell carcinoma"),
        ("nodular BCC", "ddi", "basal cell carcinoma nodular"),
        ("LM", "fitzpatrick17k_114", "lentigo maligna"),
        ("HS", "fitzpatrick17k_114", "hidradenitis"),
        ("PR", "fitzpatrick17k_114", "pityriasis rosea"),
        ("TV", "dermnet", "Tinea Ringworm Candidiasis and other Fungal Infections"),
        ("keratosis, seborrheic", "ham10000", "benign keratosis"),
        ("inflammatory skin disease", "fitzpatrick17k_9", "inflammatory"),
        ("Melanoma\n\nExplanation: the border is notched.", "ham10000", "melanoma"),
        ("Diagnosis:\n1. Melanoma (70%)\n2. Nevus (20%)", "ham10000", "melanoma"),
        ("The most likely diagnosis is nevus, not melanoma.", "ham10000", "melanocytic nevus"),
        ("rosacea with telangiectasia", "fitzpatrick17k_114", "rosacea"),
        ("graft-versus-host disease", "ddi", "graft vs host disease"),
        ("suspected reed or spitz nevus", "derm7pt", "reed or spitz nevus"),
    ],
)
def test_other_words_for_a_label(text, name, label):
    assert said(text, name) == (label, None)


@pytest.mark.parametrize(
    "text",
    [
        "1. melanoma 2. nevus", "1. melanoma\n2. nevus", "nevus & melanoma", "nevus + melanoma",
        "nevus: melanoma", "nevus likely melanoma", "nevus with areas of melanoma",
        "nevus 60%, melanoma 40%", "either melanoma or nevus", "BCC with melanoma",
        "melanoma/nevus", "melanoma vs nevus", "nevus (melanoma in situ)",
    ],
)  # fmt: skip
def test_two_labels_are_several(text):
    assert said(text, "ham10000") == (None, "several_labels")


def test_two_labels_joined_by_with_are_several_unless_one_is_malignant():
    assert said("psoriasis with eczema", "fitzpatrick17k_114") == (None, "several_labels")
    assert said("nevus with melanoma", "ham10000") == ("melanoma", None)
    assert said("nevus with melanoma", "ddi_malignancy") == ("malignant", None)
    assert said("AK with SCC", "ham10000") == (None, "not_a_label")
    assert said("AK with SCC", "ddi_malignancy") == ("malignant", None)


@pytest.mark.parametrize(
    "text",
    [
        "no evidence of melanoma", "not melanoma", "The lesion is not a melanoma.", "r/o melanoma",
        "rule out melanoma", "non-melanoma", "melanoma: no", "melanoma unlikely", "0% melanoma",
        "Melanoma is the least likely diagnosis.", "Is it melanoma?", "melanoma, excluded",
        "The differential is:\n- nevus\n- melanoma", "Consider melanoma.", "No, melanoma",
    ],
)  # fmt: skip
def test_what_is_denied_or_only_considered_is_no_label(text):
    assert said(text, "ham10000")[0] is None
    assert said(text, "ddi_malignancy")[0] is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("non-malignant", "benign"),
        ("not malignant", "benign"),
        ("The lesion is benign.", "benign"),
        ("no evidence of malignancy", "benign"),
        ("non-cancerous", "benign"),
        ("Not skin cancer", "benign"),
        ("benign, not malignant", "benign"),
        ("Benign. The lesion is symmetric.", "benign"),
        ("harmless", "benign"),
        ("not benign", "malignant"),
        ("malignant, not benign", "malignant"),
        ("malignant lesion", "malignant"),
        ("cancerous", "malignant"),
        ("skin cancer", "malignant"),
        ("This lesion looks malignant.", "malignant"),
        ("Malignant. This looks like melanoma.", "malignant"),
        ("premalignant", None),
        ("potentially malignant", None),
        ("suspicious for malignancy", None),
        ("cannot exclude malignancy", None),
        ("neither benign nor malignant", None),
        ("benign or malignant", None),
        ("benign with malignant transformation", None),
        ("uncertain", None),
    ],
)
def test_words_for_malignancy(text, label):
    assert said(text, "ddi_malignancy")[0] == label


HOSTILE = [
    "{", "[", "(", "a or ", " ", "\n", "<think", "<answer>", "`", "is ", "the ", "70% ", "<|a",
    "1. ", "Diagnosis: ", "Diagnosis:\n", "melanoma, ", "<answer>nevus</answer>",
]  # fmt: skip


@pytest.mark.parametrize("part", HOSTILE)
def test_a_long_text_is_read_at_once_or_not_at_all(part):
    text = part * (100_000 // len(part))
    labels = LABEL_SETS["ham10000"]
    assert match_name(text, labels) == (None, "long_name")
    assert said(text, "ham10000")[0] in {None, "melanocytic nevus"}
    assert match_name(text[:300], labels).label in {None, "melanoma", "melanocytic nevus"}
