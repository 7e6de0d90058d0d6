"""How a differential is listed: every item is kept, and no number, mark or remark is a name."""

import pytest

from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.sections import Item, items

THREE = ("nevus", "BCC", "lentigo")


def names(text: str) -> tuple[str, ...]:
    return tuple(item.name for item in items(text))


@pytest.mark.parametrize(
    "text",
    [
        "nevus; BCC; lentigo", "nevus, BCC, lentigo.", "nevus, BCC and lentigo",
        "nevus, BCC, and lentigo", "nevus vs BCC vs. lentigo", "nevus / BCC / lentigo",
        "1) nevus 2) BCC 3) lentigo", "(1) nevus, (2) BCC, (3) lentigo",
        "1. nevus; 2. BCC; 3. lentigo",
        "1. nevus\n2. BCC\n3. lentigo", "a) nevus b) BCC c) lentigo",
        "i) nevus\nii) BCC\niii) lentigo",
        "- nevus\n- BCC\n- lentigo", "* nevus\n* BCC\n* lentigo", "• nevus • BCC • lentigo",
        "**nevus**, **BCC**, **lentigo**",
        "- **nevus**: even\n- **BCC** - pearly\n- **lentigo** (flat)",
        "nevus (60%), BCC (30 %), lentigo (10%)", "60% nevus; 30% BCC; 10% lentigo",
        "nevus: 60%\nBCC: 30%\nlentigo: 10%", "nevus > BCC > lentigo", "nevus. BCC. Lentigo.",
        "nevus\nBCC\nlentigo", "The differential includes nevus, BCC and lentigo.",
        "1. **nevus** – even, small\n2. **BCC** – pearly\n3. **lentigo** – flat",
    ],
)  # fmt: skip
def test_forms_of_a_list(text: str) -> None:
    assert tuple(name.replace("Lentigo", "lentigo") for name in names(text)) == THREE


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "pityriasis rosea, hand, foot and mouth disease",
            ("pityriasis rosea", "hand, foot and mouth disease"),
        ),
        (
            "hand, foot, and mouth disease, varicella",
            ("hand, foot, and mouth disease", "varicella"),
        ),
        ("confluent and reticulated papillomatosis, tinea",
         ("confluent and reticulated papillomatosis", "tinea")),
        ("Stevens-Johnson syndrome, TEN, DRESS", ("Stevens-Johnson syndrome", "TEN", "DRESS")),
        ("nevus (even, small); BCC", ("nevus (even, small)", "BCC")),
        ("benign keratosis; SK; Spitz", ("benign keratosis", "SK", "Spitz")),
        ("- nevus, compound type\n- AK, SCC", ("nevus, compound type", "AK", "SCC")),
        ("1. HSV-1 infection\n2. type 2 reaction", ("HSV-1 infection", "type 2 reaction")),
        ("none", ()),
        ("N/A", ()),
        ("", ()),
    ],
)  # fmt: skip
def test_names_that_hold_a_mark_stay_whole(text: str, found: tuple[str, ...]) -> None:
    assert names(text) == found


def test_what_is_said_about_an_item_is_kept_beside_it() -> None:
    assert items("- **Nevus** (60%): even\n- BCC: pearly, shiny") == (
        Item("Nevus", "(60%): even"),
        Item("BCC", "pearly, shiny"),
    )
    assert items("nevus (60%), BCC") == (Item("nevus", "60%"), Item("BCC"))


def test_prose_gives_the_names_that_stand_alone_in_it() -> None:
    text = "Eczema is less likely because the border is sharp, psoriasis, and the rest is unclear."
    assert names(text) == ("psoriasis",)


@pytest.mark.parametrize(
    ("text", "others", "diagnosis"),
    [
        ("Differential: nevus; lentigo. Diagnosis: melanoma.", ("nevus", "lentigo"), "melanoma"),
        ("Differential: nevus, BCC. Final diagnosis: melanoma", ("nevus", "BCC"), "melanoma"),
        ("Differential: nevus; AK (10%). Answer: BCC. Follow-up: biopsy.", ("nevus", "AK"), "BCC"),
        ("**Differential diagnosis:** nevus; AK. **Diagnosis:** BCC", ("nevus", "AK"), "BCC"),
    ],
)
def test_a_title_inside_a_line_ends_the_list(
    text: str, others: tuple[str, ...], diagnosis: str
) -> None:
    found = parse_narrative(f"Observation: a brown macule. Reasoning: it is dark. {text}")
    assert (found.differential, found.diagnosis) == (others, diagnosis)
    assert found.reasoning == "it is dark."
