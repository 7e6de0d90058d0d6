"""What other systems write: explicit names, tags, end tokens, JSON, and reasons that are true."""

import time

import pytest

from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import REASONS, parse_narrative

PARTS = "Observation: A lesion.\nReasoning: It fits.\n"


NAMES = ("benign keratosis", "vascular lesion", "keloid", "port wine stain", "trichoblastoma",
         "SCC", "inflamed seborrheic keratosis")  # fmt: skip


def outcome(text: str) -> str:
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
    assert outcome(PARTS + form.format(name)) == name
    assert outcome(form.format(name)) == name


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
    assert outcome(text) == name


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
    assert outcome(text) == reason


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
    assert outcome(text) == name


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
    assert outcome("{'diagnosis': 'psoriasis', }") == "psoriasis"
    assert outcome('{"diagnosis": "psoriasis", "conf') == "psoriasis"


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
    outcome(f"{before}{seed * (100_000 // len(seed))}\nDiagnosis: melanoma")
    assert time.process_time() - started < 3.0
