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


PARTS = "Observation: A lesion.\nReasoning: It fits.\n"


NAMES = ("benign keratosis", "vascular lesion", "keloid", "port wine stain", "trichoblastoma",
         "SCC", "inflamed seborrheic keratosis")  # fmt: skip


def diagnosis_or_reason(text: str) -> str:
    try:
        return parse_narrative(text).diagnosis
    except NarrativeError as error:
        return error.reason if error.reason in REASONS else f"{error.reason} is no reason"


@pytest.mark.parametrize("name", NAMES)  # fmt: skip
@pytest.mark.parametrize(
    "form",
    ["Diagnosis: {}", "Diagnosis: {}.", "Final Answer: {}", "**Diagnosis:** {}", "Diagnosis — {}",
     "Diagnosis - {}", "Diagnosis：{}", "Diagnosis = {}", "Dx: {}", "| Diagnosis | {} |",
     "The most likely diagnosis is {}", "<answer>{}</answer>", '{{"diagnosis": "{}"}}',
     "Diagnosis: **{}**"],
)  # fmt: skip
def test_an_explicit_name_is_read_with_and_without_a_full_stop(form: str, name: str) -> None:
    assert diagnosis_or_reason(PARTS + form.format(name)) == name
    assert diagnosis_or_reason(form.format(name)) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Waxy plaque. This is most consistent with benign keratosis.", "benign keratosis"),
        ("Waxy plaque. This is most consistent with benign keratosis", "benign keratosis"),
        ("Red lacunae. It looks like a vascular lesion.", "vascular lesion"),
        ("The findings suggest a viral infection. Thus it is **herpes zoster**.", "herpes zoster"),
        ("Conclusion: psoriasis", "psoriasis"),
        ("Melanoma.", "Melanoma"),
        ("melanoma", "truncated"),  # how a longer name may begin; the benchmark reads bare names
        ("Diagnosis: **nevus** with melanoma in situ.", "nevus with melanoma in situ"),
        ("Diagnosis: **Psoriasis** - scaly plaques of psoriasis", "Psoriasis"),
    ],
)
def test_conclusions(text: str, name: str) -> None:
    assert diagnosis_or_reason(text) == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Diagnosis: psoriasis of the", "truncated"),
        ("Diagnosis: squamous cell carcinoma (in", "truncated"),
        (
            "The plaque is red and scaly, and this is most consistent with psoriasis and",
            "truncated",
        ),
        ("The plaque is red and scaly, which sugg", "truncated"),
        ("<answer>psoria", "truncated"),
        ("Diagnosis: benign", "no_diagnosis"),
        ("Diagnosis: benign and not a melanoma", "no_diagnosis"),
        ("no evidence of melanoma", "no_diagnosis"),
        ("<answer>not melanoma</answer>", "no_diagnosis"),
        ("Diagnosis: melanoma vs nevus", "several_diagnoses"),
        ("<answer>None</answer>", "no_diagnosis"),
        ("<answer> N/A </answer>", "no_diagnosis"),
        ("Diagnosis: n.a.", "no_diagnosis"),
        ("Diagnosis: not applicable", "no_diagnosis"),
        ("<answer>No disease</answer>", "normal_skin"),
        ("Diagnosis: no visible skin lesion", "normal_skin"),
        ("<answer>cannot be assessed</answer>", "insufficient_information"),
        ("<answer>I don't know</answer>", "insufficient_information"),
        ("Diagnosis: unclear", "insufficient_information"),
        ('{"diagnosis": null}', "no_diagnosis"),
        ('{"diagnosis": ["nevus", "melanoma"]}', "several_diagnoses"),
        ("Die Läsion ist eine Psoriasis mit Schuppen", "other_language"),
        ("La lesión es una placa de psoriasis.", "other_language"),
        ("这是银屑病。", "other_language"),
        ("诊断：银屑病", "other_language"),
        ("Diagnose: Psoriasis", "other_language"),
    ],
)
def test_reasons_are_true(text: str, reason: str) -> None:
    assert diagnosis_or_reason(text) == reason


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Diagnosis: Psoriasis<|im_end|>", "Psoriasis"),
        ("The most likely diagnosis is psoriasis.<|endoftext|>", "psoriasis"),
        ("Diagnosis: Psoriasis</s>", "Psoriasis"),
        ("Diagnosis: Psoriasis<eos><pad><pad>", "Psoriasis"),
        ("Diagnosis: Psoriasis<end_of_turn>", "Psoriasis"),
        ("Diagnosis: Psoriasis<｜end▁of▁sentence｜>", "Psoriasis"),
        ("Diagnosis: Psoriasis＜|im_end|＞", "Psoriasis"),
        ("Diagnosis: Psori\u200basis<\u200b|im_end|>", "Psoriasis"),
        ("<|im_start|>assistant\nDiagnosis: Psoriasis<|im_end|>", "Psoriasis"),
        ("<think>Red plaques.</think><answer type='final'>Psoriasis</answer>", "Psoriasis"),
        ("<THINK>Red.</THINK><Answer>Psoriasis</Answer>", "Psoriasis"),
        ("＜answer＞Psoriasis＜/answer＞", "Psoriasis"),
        ("<final_answer>Psoriasis</final_answer>", "Psoriasis"),
        ("The answer is <|begin_of_box|>Psoriasis<|end_of_box|>.", "Psoriasis"),
        ("Observation: a plaque.<|im_end|> Diagnosis: Psoriasis", "Psoriasis"),
        ("Diagnosis: Psoriasis<|im_end|>\n<|im_start|>user\nDiagnosis: eczema", "Psoriasis"),
        ("Diagnosis: Psoriasis.<|endoftext|>Human: what of this? Diagnosis: eczema.", "Psoriasis"),
        ("It is red.<|im_end|>\n<|im_start|>user\nDiagnosis: eczema", "no_diagnosis"),
    ],
)
def test_tags_and_tokens_are_no_part_of_a_name(text: str, name: str) -> None:
    assert diagnosis_or_reason(text) == name


def test_tags_close_to_the_text() -> None:
    read = parse_narrative(
        "<think>Observation: A large brown lesion.\nReasoning: Irregular borders suggest "
        "melanoma.\nDifferential: nevus; lentigo</think><answer>melanoma</answer>"
    )
    assert read.observation == "A large brown lesion."
    assert read.reasoning == "Irregular borders suggest melanoma."
    assert read.differential == ("nevus", "lentigo")
    assert read.diagnosis == "melanoma"


def test_an_object_of_json() -> None:
    read = parse_narrative(
        "<think>Let me see {brown}.</think>\n```json\n"
        '{"Observation": "a brown macule", "reasoning": ["sharp", "even"], "final diagnosis": '
        '{"name": "lentigo", "confidence": 0.9}, "differential": ["nevus", {"name": "BCC"}]}\n```'
    )
    assert read.observation == "a brown macule"
    assert read.reasoning == "sharp even"
    assert read.diagnosis == "lentigo"
    assert read.differential == ("nevus", "BCC")
    assert diagnosis_or_reason("{'diagnosis': 'psoriasis', }") == "psoriasis"
    assert diagnosis_or_reason('{"diagnosis": "psoriasis", "conf') == "psoriasis"


@pytest.mark.parametrize(
    "listed",
    [
        "Differential: nevus; BCC; SK",
        "DDx: nevus, BCC, SK",
        "**Differential diagnosis:** nevus, BCC and SK",
        "Differential diagnoses:\n1. nevus\n2. BCC\n3. SK",
        "## Differential\n- **nevus**: even\n- **BCC** (pearly)\n- SK",
        "Differential: nevus\nRecommendation: biopsy.\nDifferential: BCC, SK",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_differential_stands_before_or_behind_the_diagnosis(listed: str, first: bool) -> None:
    lines = [listed, "Diagnosis: melanoma"]
    read = parse_narrative(PARTS + "\n".join(lines if first else lines[::-1]))
    assert read.differential == ("nevus", "BCC", "SK")
    assert read.diagnosis == "melanoma"


@pytest.mark.parametrize(
    "seed",
    ["{", '{"a":', "<|im_end|>", "<|im_end|> a ", "<answer>x</answer>", "<answer a=", "\n", "a\n",
     "a or ", "a, ", "nevus and ", "1) a ", "- **a**: b\n", "\u200b", "＜", "</s>",
     '"diagnosis": '],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", f"{PARTS}Differential: nevus\n"])
def test_hostile_texts_of_100_kb_are_read_at_once(before: str, seed: str) -> None:
    started = time.process_time()
    diagnosis_or_reason(f"{before}{seed * (100_000 // len(seed))}\nDiagnosis: melanoma")
    assert time.process_time() - started < 3.0
