"""What one sentence concludes: a malignant part is never cut off its name."""

import pytest

from skingpt_r1.text.conclusions import bare_phrase, conclusion
from skingpt_r1.text.narrative import parse_narrative


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        (
            "This is most consistent with a dysplastic nevus with melanoma in situ.",
            "dysplastic nevus with melanoma in situ",
        ),
        ("The diagnosis is **nevus** with melanoma.", "nevus with melanoma"),
        (
            "This suggests actinic keratosis progressing to squamous cell carcinoma.",
            "actinic keratosis progressing to squamous cell carcinoma",
        ),
        (
            "Therefore, a melanoma arising in a nevus is the most likely diagnosis.",
            "a melanoma arising in a nevus",
        ),
        (
            "Melanoma in a congenital nevus is the most likely diagnosis.",
            "Melanoma in a congenital nevus",
        ),
        # What is denied, a risk, or another sentence is no part of the name.
        ("This is consistent with a nevus with no evidence of melanoma.", "nevus"),
        ("This is consistent with a nevus without signs of malignancy.", "nevus"),
        ("This suggests an actinic keratosis with a risk of skin cancer.", "actinic keratosis"),
        ("This is consistent with psoriasis with scaling.", "psoriasis"),
        ("This is consistent with eczema with a history of melanoma.", "eczema"),
        # A bracket that belongs to the name stays.
        ("This is consistent with melanoma (in situ).", "melanoma (in situ)"),
        ("Melanoma (0.76 to 1.5 mm) is the most likely diagnosis.", "Melanoma (0.76 to 1.5 mm)"),
        ("This is consistent with psoriasis (plaque type).", "psoriasis"),
    ],
)
def test_the_name_of_a_conclusion(sentence, name):
    assert conclusion(sentence).name == name


@pytest.mark.parametrize(
    "sentence",
    [
        "This is consistent with a nevus with malignant transformation.",
        "This is consistent with a nevus with areas of melanoma.",
        "The diagnosis is a nevus with changes suspicious for melanoma.",
    ],
)
def test_a_malignant_part_in_other_words_leaves_it_open(sentence):
    assert conclusion(sentence).several


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("1. Psoriasis (70%)", "Psoriasis"),
        ("**2) Tinea** (10,5 %).", "Tinea"),
        ("B) melanoma [~80 %]", "melanoma"),
        ("T. corporis", "T. corporis"),
        ("melanoma (0.76 to 1.5 mm)", "melanoma (0.76 to 1.5 mm)"),
        ("1.5 mm melanoma", "1.5 mm melanoma"),
    ],
)
def test_a_number_and_a_share_are_no_part_of_a_name(written, name):
    assert bare_phrase(written) == name


def test_the_first_of_a_numbered_list_under_a_title():
    text = "A scaly plaque.\n\nDiagnosis:\n1. Psoriasis (70%)\n2. Eczema (20%)\n3. Tinea (10%)"
    assert parse_narrative(text).diagnosis == "Psoriasis"
