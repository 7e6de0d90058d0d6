"""A corrected text loses no word: each stands in the canonical form, or the text is refused."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.errors import NarrativeError
from skingpt_r1.ratings.certification import CertifyRules, canonical_text, decide
from skingpt_r1.ratings.rating import Rating, RatingScores
from skingpt_r1.text.narrative import parse_narrative

BEGIN = "Observation: A large lesion.\nReasoning: It suggests melanoma."
END = "Diagnosis: melanoma"


def form(thought: str, listed: str = "", seen: str = "A large lesion.") -> str:
    others = f" Differential: {listed}" if listed else ""
    return (
        f"<think> Observation: {seen} Reasoning: {thought}{others} </think>"
        " <answer> melanoma </answer>"
    )


FITS = "It suggests melanoma."


@pytest.mark.parametrize(
    ("middle", "after", "made"),
    [
        ("Recommendation: Urgent excision biopsy.", "",
         form(f"{FITS} Recommendation: Urgent excision biopsy.")),
        ("Differential: nevus", "Management: Refer urgently; do not wait.",
         form(f"{FITS} Management: Refer urgently; do not wait.", "nevus")),
        ("Differential: benign keratosis; BCC; SK; actinic keratosis", "",
         form(FITS, "benign keratosis; BCC; SK; actinic keratosis")),
        ("Differential: nevus\nUrgent excision biopsy", "",
         form(f"{FITS} Urgent excision biopsy.", "nevus")),
        ("DDx:\n1. nevus (60%)\n2. **BCC**: pearly", "",
         form(f"{FITS} BCC: pearly.", "nevus (60%); BCC")),
        ("Differential: nevus, BCC and hand, foot and mouth disease. Biopsy it.", "",
         form(f"{FITS} Biopsy it.", "nevus; BCC; hand, foot and mouth disease")),
        ("## Plan\nExcise.\nDifferential: none", "Refer in 2 weeks.",
         form(f"{FITS} Plan: Excise. Differential diagnosis: none. Refer in 2 weeks.")),
        ("Differential: It could be a nevus but is not even.", "",
         form(f"{FITS} Differential diagnosis: It could be a nevus but is not even.")),
        ("Differential:\n- nevus\n- Urgent referral", "",
         form(f"{FITS} - Urgent referral.", "nevus")),
    ],
)  # fmt: skip
def test_what_has_no_place_goes_to_the_reasoning(middle: str, after: str, made: str) -> None:
    text = canonical_text(f"{BEGIN}\n{middle}\n{END}\n{after}")
    assert text == made
    assert canonical_text(text) == text


def test_other_places() -> None:
    said = "The most likely diagnosis is melanoma; excise it."
    assert canonical_text(f"{BEGIN}\nDiagnosis: {said}") == form(f"{FITS} {said}")
    assert canonical_text(f"{BEGIN}\n{END}. See us today.") == form(f"{FITS} See us today.")
    assert canonical_text(f"Of a man.\n{BEGIN}\n{END}") == form(
        FITS, seen="Of a man. A large lesion."
    )
    tagged = (
        form(FITS, "nevus").replace(" </think>", "</think>").replace("> melanoma <", ">melanoma<")
    )
    assert canonical_text(f"{tagged} Refer.") == form(f"{FITS} Refer.", "nevus")
    free = "The image shows a plaque.\n\nIt scales.\n\nIn conclusion, this is melanoma."
    assert canonical_text(free) == form(
        "It scales. In conclusion, this is melanoma.", seen="The image shows a plaque."
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{BEGIN}\n{END}<|im_end|>", "control token '<|im_end|>'"),
        (f"{BEGIN}<\u200b|image_pad|>\n{END}", "control token '<|image_pad|>'"),
        (f"Observation: A lesion.\nPlan: excise.\n{END}", "no reasoning stands apart"),
        (f"A lesion.\nReasoning: It fits.\n{END}", "no observation stands apart"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(NarrativeError) as caught:
        canonical_text(text)
    assert why in str(caught.value)


def test_a_text_that_is_refused_certifies_nothing() -> None:
    ratings = [
        Rating(id="c", rater=rater, scores=RatingScores.of((4.5,) * 6), corrected=text)
        for rater, text in (("a", None), ("b", f"{BEGIN}\n{END}</s>"))
    ]
    found = decide("c", "melanoma", ratings, CertifyRules())
    assert (found.state, found.corrected) == ("rejected", None)
    assert found.reasons[0].startswith("the corrected text of b#1 cannot be used: it holds")


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


said = st.sampled_from(
    ["Refer urgently.", "Urgent excision biopsy", "Do not wait; call.", "See 3 doctors, please!",
     "Plan: excise", "Recommendation: cream, twice", "## Safety\nWatch it.", "**Note:** risk 5%",
     "- keep dry", "1. wash", "ICD-10: C43", "Aftercare — none", "It might grow", "<b>now</b>", ""]
)  # fmt: skip
names = st.sampled_from(
    ["nevus", "BCC", "SK", "hand, foot and mouth disease", "Spitz", "nevus (60%)", "AK/SCC",
     "**BCC**: pearly", "lentigo - flat", "odd thing of old"]
)  # fmt: skip
lists = st.tuples(
    st.sampled_from(["Differential: ", "DDx: ", "**Differential diagnosis:**\n- "]),
    st.sampled_from(["; ", ", ", " and ", "\n- ", " vs ", ". "]),
    st.lists(names, min_size=1, max_size=4),
).map(lambda parts: parts[0] + parts[1].join(parts[2]))


@given(said, said, st.one_of(lists, said), said, said)
@settings(max_examples=400, deadline=None)
def test_no_word_vanishes(first: str, second: str, third: str, fourth: str, fifth: str) -> None:
    text = "\n".join(
        [first, "Observation: A large lesion.", second, "Reasoning: It fits.", third, fourth,
         "Diagnosis: melanoma", fifth]
    )  # fmt: skip
    try:
        made = canonical_text(text)
    except NarrativeError:
        return  # refused; what a refusal says is tested above
    title = {"Differential", "DDx", "diagnosis", "and", "vs", "1", "Diagnosis", "Observation"}
    lost = Counter(words(text)) - Counter(words(made))
    assert set(lost) <= title
    assert canonical_text(made) == made
    assert parse_narrative(made).diagnosis == "melanoma"
