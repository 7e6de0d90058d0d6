"""Every word of a text is in exactly one section, whatever its titles and tags."""

import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text.sections import TAG, sections, texts_of

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
