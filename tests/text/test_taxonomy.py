import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text import taxonomy
from skingpt_r1.text.taxonomy import (
    LONGEST_NAME,
    Closeness,
    canonical,
    diagnoses,
    fitting_labels,
    holds_malignancy,
    is_malignant,
    named_diagnoses,
)

# The label sets, as their data sets spell them.
LABEL_SETS = {
    "ham10000": ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
    "pad_ufes_20": ["ACK", "BCC", "MEL", "NEV", "SCC", "SEK"],
    "isic_2019": ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"],
    "derm7pt": [
        "basal cell carcinoma", "blue nevus", "clark nevus", "combined nevus", "congenital nevus",
        "dermal nevus", "dermatofibroma", "lentigo", "melanoma", "melanoma (in situ)",
        "melanoma (less than 0.76 mm)", "melanoma (0.76 to 1.5 mm)", "melanoma (more than 1.5 mm)",
        "melanoma metastasis", "melanosis", "miscellaneous", "recurrent nevus",
        "reed or spitz nevus", "seborrheic keratosis", "vascular lesion",
    ],
    "rendered": [
        "psoriasis", "nummular eczema", "tinea corporis", "granuloma annulare", "vitiligo",
        "pityriasis versicolor", "melanocytic nevus", "melanoma", "seborrheic keratosis",
        "basal cell carcinoma", "actinic keratosis", "molluscum contagiosum", "acne", "urticaria",
        "herpes zoster", "lichen planus",
    ],
    "scin": [
        "Eczema", "Allergic Contact Dermatitis", "Insect Bite", "Urticaria", "Psoriasis",
        "Folliculitis", "Irritant Contact Dermatitis", "Tinea", "Herpes Zoster", "Drug Rash",
        "Herpes Simplex", "Acute dermatitis, NOS", "Stasis Dermatitis", "Pityriasis rosea", "Acne",
        "Lichen planus/lichenoid eruption", "Hypersensitivity", "Viral Exanthem", "Impetigo",
        "Lichen Simplex Chronicus", "Tinea Versicolor", "CD - Contact dermatitis", "SCC/SCCIS",
    ],
}  # fmt: skip
NAMES = sorted(taxonomy.diagnoses())


@pytest.mark.parametrize("name", LABEL_SETS)
def test_label_sets_are_known_and_kept_apart(name: str) -> None:
    labels = LABEL_SETS[name]
    found = [taxonomy.canonical(label) for label in labels]
    assert None not in found
    assert len(set(found)) == len(labels)
    assert [taxonomy.match_label(label, labels) for label in labels] == labels


def test_the_long_label_sets_of_the_readers_are_known() -> None:
    labels = pytest.importorskip("skingpt_r1.data.reading")
    for names in map(labels.label_set, ("dermnet", "fitzpatrick17k", "ddi")):
        assert [name for name in names if taxonomy.canonical(name) is None] == []
    for name in labels.label_set("dermnet"):
        found = taxonomy.canonical(name)
        assert found is not None
        assert taxonomy.diagnoses()[found].parents == ()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_and_synonym_leads_to_its_line(name: str) -> None:
    diagnosis = taxonomy.diagnoses()[name]
    for other in (name, *diagnosis.synonyms):
        assert taxonomy.canonical(other) == name
        assert taxonomy.canonical(other.upper().replace(" ", "-")) == name
    assert diagnosis.three_partition in {"benign", "malignant", "non-neoplastic"}
    assert taxonomy.diagnoses()[diagnosis.family].parents == ()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Psoriasis", "psoriasis.", Closeness.EXACT),
        ("Melanocytic naevi", "melanocytic nevus", Closeness.EXACT),
        ("nevus", "mole", Closeness.SYNONYM),
        ("bowen's disease", "squamous cell carcinoma in situ", Closeness.SYNONYM),
        ("nodular melanoma", "melanoma", Closeness.PARENT),
        ("melanoma", "nodular melanoma", Closeness.PARENT),
        ("plaque psoriasis", "papulosquamous disease", Closeness.PARENT),
        ("melanoma", "melanocytic nevus", Closeness.SAME_FAMILY),
        ("psoriasis", "melanoma", Closeness.OTHER),
        ("zorblax", "Zorblax", Closeness.EXACT),
        ("zorblax", "psoriasis", Closeness.OTHER),
        ("", "", Closeness.OTHER),
    ],
)
def test_closeness(first: str, second: str, expected: Closeness) -> None:
    assert taxonomy.closeness(first, second) is expected


@given(st.sampled_from(NAMES), st.sampled_from(NAMES))
@settings(max_examples=100, deadline=None)
def test_closeness_is_symmetric_and_exact_only_for_itself(first: str, second: str) -> None:
    found = taxonomy.closeness(first, second)
    assert found is taxonomy.closeness(second, first)
    assert (found >= Closeness.SYNONYM) == (first == second)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Melanoma", "melanoma"),
        ("malignant melanoma (superficial spreading type)", "melanoma"),
        ("acral lentiginous melanoma", "melanoma"),
        ("atypical mole", "melanocytic nevus"),
        ("severe eczema affecting the hands", "eczema"),
        ("atopic dermatitis (eczema)", None),
        ("melanocytic lesion", None),
        ("psoriasis or eczema", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_match_label_is_strict(text: str, expected: str | None) -> None:
    labels = ["melanoma", "melanocytic nevus", "eczema"]
    assert taxonomy.match_label(text, labels) == expected


def test_two_labels_of_one_meaning_match_nothing() -> None:
    assert taxonomy.match_label("mole", ["nevus", "melanocytic nevus"]) is None
    assert taxonomy.match_label("nevus", ["nevus", "melanocytic nevus"]) == "nevus"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("melanoma in situ", True), ("BCC", True), ("mycosis fungoides", True),
        ("actinic keratosis", False), ("nevus", False), ("psoriasis", False), ("zorblax", None),
    ],
)  # fmt: skip
def test_malignant(name: str, expected: bool | None) -> None:
    assert taxonomy.is_malignant(name) is expected


@pytest.mark.parametrize(
    ("name", "nine", "three"),
    [
        ("photodermatoses", "inflammatory", "non-neoplastic"),
        ("superficial spreading melanoma ssm", "malignant melanoma", "malignant"),
        ("nevocytic nevus", "benign melanocyte", "benign"),
        ("dermatofibroma", "benign dermal", "benign"),
        ("mycosis fungoides", "malignant cutaneous lymphoma", "malignant"),
        ("dariers disease", "genodermatoses", "non-neoplastic"),
    ],
)
def test_partitions(name: str, nine: str, three: str) -> None:
    found = taxonomy.diagnoses()[str(taxonomy.canonical(name))]
    assert (found.nine_partition, found.three_partition) == (nine, three)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_the_look_up(text: str) -> None:
    assert taxonomy.canonical(text) in {None, *NAMES}
    assert taxonomy.match_label(text, ["melanoma", "nevus"]) in {None, "melanoma", "nevus"}


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
