import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import REASONS, Narrative, make_narrative, parse_narrative
from skingpt_r1.text.tokens import control_token

HERE = Path(__file__).resolve().parents[1]
SAMPLE = HERE.parents[1] / "shared" / "data" / "dermbench_sample"
READING = json.loads((HERE / "fixtures" / "dermbench_reading.json").read_text())

CANONICAL = (
    "<think> Observation: A single brown macule. Reasoning: The sharp border fits a nevus. "
    "Differential: melanoma; seborrheic keratosis </think> <answer> melanocytic nevus </answer>"
)


def reason_of(text: str) -> str:
    with pytest.raises(NarrativeError) as caught:
        parse_narrative(text)
    assert caught.value.reason in REASONS
    return caught.value.reason


def outcome(text: str) -> str | None:
    try:
        return parse_narrative(text).diagnosis
    except NarrativeError as error:
        return error.reason if error.reason in REASONS else None


def test_the_canonical_form_is_read_exactly() -> None:
    narrative = parse_narrative(CANONICAL)
    assert narrative == Narrative(
        "A single brown macule.",
        "The sharp border fits a nevus.",
        "melanocytic nevus",
        ("melanoma", "seborrheic keratosis"),
        CANONICAL,
    )


words = (
    st.lists(st.from_regex(r"[A-Za-z0-9,.()'<>/*-]{1,9}", fullmatch=True), min_size=1)
    .map(" ".join)
    .filter(lambda text: control_token(text) is None)  # such as </s>, which no field may hold
)


@given(words, words, words, st.lists(words, max_size=3))
@settings(max_examples=300, deadline=None)
def test_round_trip_is_the_identity(
    observation: str, reasoning: str, diagnosis: str, differential: list[str]
) -> None:
    narrative = make_narrative(observation, reasoning, diagnosis, differential)
    assert parse_narrative(narrative.text) == narrative


@pytest.mark.parametrize(
    "fields",
    [
        ("", "b", "c", ()),
        ("a", " \n", "c", ()),
        ("a", "b", "c </answer>", ()),
        ("a <think>", "b", "c", ()),
        ("a Reasoning: x", "b", "c", ()),
        ("a", "b", "c", ("d; e",)),
    ],
)
def test_fields_that_would_break_the_form_are_refused(
    fields: tuple[str, str, str, tuple[str, ...]],
) -> None:
    with pytest.raises(NarrativeError) as caught:
        make_narrative(*fields)
    assert caught.value.reason == "not_canonical"


THOUGHT = "<think> First, I observe a red, scaly plaque on the elbow. It is well-defined. </think>"


@pytest.mark.parametrize(
    ("text", "diagnosis"),
    [
        (f"{THOUGHT} <answer> psoriasis </answer>", "psoriasis"),
        (f"{THOUGHT}<answer>Psoriasis.</answer>", "Psoriasis"),
        (f"{THOUGHT}\n< answer >\n**Plaque psoriasis**\n</ answer >", "Plaque psoriasis"),
        (f"{THOUGHT} <answer> The diagnosis is psoriasis. </answer>", "psoriasis"),
        ("<think> A red plaque. <answer> psoriasis </answer>", "psoriasis"),
        (f"{THOUGHT}\nPsoriasis", "Psoriasis"),
        (f"{THOUGHT} The answer is psoriasis.", "psoriasis"),
        (f"{THOUGHT}\n\nFinal Answer: psoriasis", "psoriasis"),
        (f"{THOUGHT}\n\n**Final Answer:** Psoriasis vulgaris.", "Psoriasis vulgaris"),
        (f"{THOUGHT}\n## Diagnosis\n\nPlaque psoriasis\n", "Plaque psoriasis"),
        (f"{THOUGHT}\n- **Most likely diagnosis**: plaque psoriasis.", "plaque psoriasis"),
        (f"{THOUGHT} \\boxed{{psoriasis}}", "psoriasis"),
        (
            "The image shows a plaque. In conclusion, this is most consistent with psoriasis.",
            "psoriasis",
        ),
        ("The plaque is red. Psoriasis is the most likely diagnosis.", "Psoriasis"),
        (
            "The rash looks odd. Therefore, the findings suggest **psoriasis**, not eczema. "
            "This is not consistent with tinea.",
            "psoriasis",
        ),
        (
            "Blisters. In summary, the most likely diagnosis is hand, foot, and mouth disease.",
            "hand-foot-mouth disease",
        ),
    ],
)
def test_what_others_write_is_read(text: str, diagnosis: str) -> None:
    assert parse_narrative(text).diagnosis == diagnosis
    assert parse_narrative(text).text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t 12 ... ", "empty"),
        ("<think></think><answer></answer>", "empty"),
        (f"{THOUGHT} <answer> </answer>", "no_diagnosis"),
        ("I'm sorry, but I can't help with medical images.", "refusal"),
        ("The plaque is red and scaly, which sugg", "truncated"),
        (f"{THOUGHT} <answer> psoria", "truncated"),
        ("<think> First, I observe a red plaque. It might be psoriasis.", "truncated"),
        ("Hello there, this text has nothing to say.", "no_diagnosis"),
        (f"{THOUGHT} <answer> eczema or psoriasis </answer>", "several_diagnoses"),
        (
            f"{THOUGHT} In conclusion, this is either **eczema** or **psoriasis**.",
            "several_diagnoses",
        ),
        (f"{THOUGHT} <answer>eczema</answer><answer>acne</answer>", "contradictory"),
        (f"{THOUGHT} Based on the image, there is nothing wrong with your skin.", "normal_skin"),
        (f"{THOUGHT} <answer> normal skin </answer>", "normal_skin"),
        (
            f"{THOUGHT} Without more information I cannot determine anything.",
            "insufficient_information",
        ),
    ],
)
def test_what_is_no_narrative_has_a_reason(text: str, reason: str) -> None:
    assert reason_of(text) == reason


def test_the_parts_of_a_foreign_text() -> None:
    narrative = parse_narrative(
        "## Observation\nA red plaque.\n## Reasoning\nThe scale is silvery.\n"
        "## Differential diagnosis\n- **Eczema**: no scale\n- **Tinea corporis**: no ring\n"
        "## Diagnosis\nPsoriasis"
    )
    assert narrative.observation == "A red plaque."
    assert narrative.reasoning == "The scale is silvery."
    assert narrative.differential == ("Eczema", "Tinea corporis")


@pytest.mark.parametrize(
    "seed",
    [
        "a",
        "a ",
        "a. ",
        "\n",
        "*",
        "<think>",
        "<",
        "(",
        "conclusion is ",
        "x\n\n",
        "Diagnosis:\n",
        "based on the diagnosis is the the the. ",
        "However, final answer: x. ",
        "- **x** ",
    ],
)
def test_time_is_linear(seed: str) -> None:
    def seconds(length: int) -> float:
        started = time.process_time()
        outcome(seed * (length // len(seed)))
        return time.process_time() - started

    assert seconds(200_000) < 4.0


fragments = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "**",
        "\n",
        "\n\n",
        "## ",
        "Diagnosis:",
        "or ",
        "In conclusion, ",
        "consistent with ",
        "psoriasis",
        "eczema",
        "not ",
        "Final Answer: ",
        ". ",
        "(",
        "Observation: ",
        "Reasoning: ",
        "Differential: ",
        "\\boxed{",
        "}",
        "1. ",
        "is ",
        "\x00",
        "\ud800",
    ]
)


@given(st.lists(st.one_of(fragments, st.text(max_size=12)), max_size=30).map("".join))
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_random_text_crashes(text: str) -> None:
    assert outcome(text)


def test_no_mutated_text_crashes() -> None:
    generator = random.Random(0)
    sources = [CANONICAL, f"{THOUGHT} In summary, the diagnosis is **psoriasis**, or eczema."]
    for _ in range(5000):
        text = list(generator.choice(sources))
        for _ in range(generator.randint(1, 12)):
            place = generator.randrange(len(text))
            piece = text[place : place + generator.randint(0, 20)]
            text[place : place + generator.randint(0, 5)] = piece * generator.randint(0, 3)
            text = text or ["x"]
        assert outcome("".join(text))


def without_brackets(name: str | None) -> str:
    return str(name).partition(" (")[0].lower().replace("’", "'")


@pytest.mark.skipif(not SAMPLE.exists(), reason="the DermBench sample is not beside the repository")
def test_real_narratives_are_read_as_a_careful_reader_does() -> None:
    manifest = SAMPLE / "data" / "manifest" / "dermbench_test.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    found = {row["id"]: outcome((SAMPLE / row["cot"]).read_text(encoding="utf-8")) for row in rows}
    assert len(found) == 138
    assert {key: without_brackets(name) for key, name in found.items()} == {
        key: without_brackets(name) for key, name in READING.items()
    }
