import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text import taxonomy
from skingpt_r1.text.taxonomy import Closeness

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
