"""How names are written: spelling, order of words, remarks, and malignant parts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text.taxonomy import (
    LONGEST_NAME,
    canonical,
    diagnoses,
    fitting_labels,
    holds_malignancy,
    is_malignant,
    named_diagnoses,
)

BRITISH = (
    ("hem", "haem"), ("nev", "naev"), (" edema", " oedema"), ("myxedema", "myxoedema"),
    ("tumor", "tumour"), ("rrhe", "rrhoe"),
    ("leukem", "leukaem"), ("leukop", "leucop"), ("localized", "localised"),
)  # fmt: skip
PLURALS = (
    ("osis", "oses"), ("iasis", "iases"), ("oma", "omas"), ("oma", "omata"), ("nevus", "nevi"),
    ("lentigo", "lentigines"), ("itis", "itides"), ("metastasis", "metastases"), ("scar", "scars"),
    ("abscess", "abscesses"), ("callus", "calluses"), ("cyst", "cysts"), ("wart", "warts"),
    ("lesion", "lesions"), ("injury", "injuries"), ("rash", "rashes"), ("bcc", "bccs"),
    ("ak", "aks"), ("mole", "moles"), ("verruca", "verrucae"),
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(diagnoses()))
def test_every_name_is_known_in_british_and_in_the_plural(name):
    for written in (name, *diagnoses()[name].synonyms):
        british = written
        for american, other in BRITISH:
            british = british.replace(american, other)
        assert canonical(british) == name
        for one, many in PLURALS:
            if written.lower().endswith(one):
                assert canonical(written[: -len(one)] + many) == name
        assert canonical(f"likely {written}") == name
        assert canonical(f"{written} (likely)") == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("keratosis, seborrheic", "seborrheic keratosis"),
        ("carcinoma, basal cell", "basal cell carcinoma"),
        ("in situ melanoma", "melanoma in situ"),
        ("BCC, nodular type", "nodular basal cell carcinoma"),
        ("pigmented SK", "seborrheic keratosis"),
        ("SKs", "seborrheic keratosis"),
        ("seborrhoeic wart", "seborrheic keratosis"),
        ("benign mole", "melanocytic nevus"),
        ("squamous cell skin cancer", "squamous cell carcinoma"),
        ("well-differentiated SCC", "squamous cell carcinoma"),
        ("melanoma, asymmetric with irregular borders", "melanoma"),
        ("psoriasis - seen on both elbows", "psoriasis"),
        ("leukaemia cutis", "leukemia cutis"),
        ("angio-oedema", "angioedema"),
        ("PsO", "psoriasis"),
        ("PV", None),  # pemphigus vulgaris, or pityriasis versicolor
        ("benign melanoma", None),
        ("malignant nevus", None),
        ("keratosis", None),
    ],
)
def test_order_of_words_abbreviations_and_remarks(written, name):
    assert canonical(written) == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("dysplastic nevus with melanoma in situ", "melanoma in situ"),
        ("nevus with melanoma", "melanoma"),
        ("nevus with MM", "melanoma"),
        ("AK with SCC", "squamous cell carcinoma"),
        ("actinic keratosis progressing to squamous cell carcinoma", "squamous cell carcinoma"),
        ("seborrhoeic keratosis overlying basal cell carcinoma", "basal cell carcinoma"),
        ("melanoma arising in a nevus", "melanoma"),
        ("nevus type melanoma", "melanoma"),
        ("scar from melanoma", "melanoma"),
        ("solar lentigo with lentigo maligna", "lentigo maligna"),
        ("wart with early invasive SCC on the hand", "squamous cell carcinoma"),
        ("lentigo maligna", "lentigo maligna"),
        # Mentioned in other words: neither the benign nor the malignant name alone.
        ("nevus with areas of melanoma", None),
        ("nevus suspicious for melanoma", None),
        ("nevus likely melanoma", None),
        ("nevus with malignant transformation", None),
        ("nevus (rule out melanoma)", None),
        ("BCC with SCC", None),
        # Denied, or only a comparison or a risk.
        ("nevus without melanoma", "melanocytic nevus"),
        ("nevus with no evidence of melanoma", "melanocytic nevus"),
        ("nevus (no melanoma)", "melanocytic nevus"),
        ("nevus, melanoma excluded", "melanocytic nevus"),
        ("nevus with melanoma-like features", "melanocytic nevus"),
        ("AK with a risk of squamous cell carcinoma", "actinic keratosis"),
        # Harmless remarks.
        ("psoriasis with scaling", "psoriasis"),
        ("eczema from contact", "eczema"),
        ("nevus with regular network", "melanocytic nevus"),
        ("dermatitis type IV", "eczema"),
        ("basal cell carcinoma on sun damaged skin", "basal cell carcinoma"),
        ("melanoma with ulceration", "melanoma"),
    ],
)
def test_the_worst_part_wins_and_is_never_cut_off(written, name):
    assert canonical(written) == name
    assert name is not None or is_malignant(written) is not False


def test_parts_that_leave_it_open_are_all_named():
    assert named_diagnoses("BCC with SCC") == ("basal cell carcinoma", "squamous cell carcinoma")
    assert is_malignant("BCC with SCC") is True
    assert named_diagnoses("nevus with areas of melanoma") == ("melanocytic nevus", "melanoma")
    assert is_malignant("skin cancer") is True


@pytest.mark.parametrize(
    "text",
    [
        "not melanoma", "no evidence of melanoma", "non-melanoma", "r/o melanoma", "melanoma: no",
        "melanoma, excluded", "melanoma (ruled out)", "melanoma unlikely", "not melanoma (MEL)",
        "melanoma with low probability", "melanoma not seen", "unlikely melanoma", "melanoma (0 %)",
    ],
)  # fmt: skip
def test_what_is_taken_back_is_not_named(text):
    assert named_diagnoses(text) == ()


def test_malignancy_in_a_text():
    assert holds_malignancy("features suspicious for melanoma")
    assert holds_malignancy("cancerous change")
    assert not holds_malignancy("no sign of melanoma or cancer")
    assert not holds_malignancy("a nevus")


def test_an_abbreviation_means_the_one_label_that_fits():
    assert fitting_labels("PV", ["pityriasis versicolor", "acne"]) == ("pityriasis versicolor",)
    assert len(fitting_labels("PV", ["pityriasis versicolor", "pemphigus vulgaris"])) == 2
    assert fitting_labels("likely melanoma", ["malignant melanoma", "melanoma"]) == ("melanoma",)


BENIGN = sorted(name for name, item in diagnoses().items() if not item.malignant)
MALIGNANT = sorted(name for name, item in diagnoses().items() if item.malignant)
LINKS = ["with", "overlying", "progressing to", "from", "with foci of", "in a", "type"]


@given(st.sampled_from(BENIGN), st.sampled_from(MALIGNANT), st.sampled_from(LINKS))
@settings(max_examples=200, deadline=None)
def test_no_malignant_part_is_lost(benign, malignant, link):
    assert is_malignant(f"{benign} {link} {malignant}") is not False
    assert is_malignant(f"{malignant} {link} {benign}") is not False


@pytest.mark.parametrize("part", ["(", "a ", "the ", "benign ", "with ", "nevus ", "melanoma, "])
def test_a_text_that_is_too_long_is_no_name(part):
    assert canonical(part * 50_000) is None
    canonical((part * 300)[:LONGEST_NAME])
