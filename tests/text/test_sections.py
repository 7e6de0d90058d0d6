"""Every word of a text is in exactly one section, whatever its titles and tags."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.sections import TAG, ListedName, items, sections, texts_of

lines = st.sampled_from(
    ["Observation: A red plaque.", "Reasoning: It scales.", "Differential: nevus; BCC", "DDx:",
     "1. nevus", "- **BCC**: pearly", "Refer urgently.", "## Plan", "Plan: excise", "**Note**", "",
     "<think>", "</think>", "<answer>", "</answer>", "Diagnosis: melanoma", "x Reasoning: y",
     "a: b", "Clinical Reasoning: z", "Findings", "nevus. Biopsy it."]
)  # fmt: skip


@given(st.lists(st.one_of(lines, st.text(max_size=20)), max_size=15), st.sampled_from(["\n", " "]))
@settings(max_examples=300, deadline=None)
def test_no_word_is_lost_and_none_is_doubled(parts: list[str], joint: str) -> None:
    text = joint.join(parts)
    found = sections(text)
    kept = Counter(
        word for part in found for word in re.findall(r"[^\W_]+", f"{part.title} {part.text}")
    )
    assert kept == Counter(re.findall(r"[^\W_]+", TAG.sub(" ", text)))


def test_kinds() -> None:
    found = sections(
        "Of a man.\nObservation: A plaque.\nDermoscopy: dots.\n## Reasoning\nIt fits.\n"
        "DDx: nevus. Biopsy it.\nFollow-up: a week.\n**Final diagnosis:** melanoma\n"
        "Prognosis: good."
    )
    assert [(part.kind, part.title, part.text) for part in found] == [
        ("before", "", "Of a man."),
        ("observation", "Observation", "A plaque.\nDermoscopy: dots."),
        ("reasoning", "Reasoning", "It fits."),
        ("differential", "DDx", "nevus."),
        ("other", "", "Biopsy it."),
        ("other", "Follow-up", "a week."),
        ("diagnosis", "Final diagnosis", "melanoma"),
        ("other", "Prognosis", "good."),
    ]
    assert texts_of(found, "other") == "Biopsy it.\na week.\ngood."


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
        ListedName("Nevus", "(60%): even"),
        ListedName("BCC", "pearly, shiny"),
    )
    assert items("nevus (60%), BCC") == (ListedName("nevus", "60%"), ListedName("BCC"))


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
