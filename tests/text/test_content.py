"""What says nothing is told from what says little."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text.giveaways import NO_WORDS, no_content
from skingpt_r1.text.taxonomy import diagnoses
from skingpt_r1.text.wording import write_narrative

PAGE = "<html><head><title>502 Bad Gateway</title></head><body><hr>nginx/1.18</body></html>"
WORDLESS = [
    "",
    "   ",
    "\n\n",
    ".",
    "-",
    "…",
    "!?",
    "42",
    "\u200b\ufeff",
    "[]",
    '{"text": ""}',
    "```",
]
ERRORS = [
    "Failed to obtain answer via API.",
    "ERROR: 429 Too Many Requests",
    '{"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}}',
    "Error code: 503 - {'error': {'message': 'The server is overloaded'}}",
    "Internal Server Error",
    "upstream connect error or disconnect/reset before headers. reset reason: overflow",
    "HTTPSConnectionPool(host='api', port=443): Read timed out.",
    'Traceback (most recent call last):\n  File "/app/x.py", line 3\nKeyError: "choices"',
    "CUDA out of memory. Tried to allocate 20.00 MiB",
    PAGE,
    "<!DOCTYPE html><html><body>Just a moment... Cloudflare Ray ID</body></html>",
    "[Errno 104] Connection reset by peer",
    "エラーが発生しました",
]
REFUSALS = [
    "I'm sorry, I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "As an AI language model, I am unable to diagnose skin conditions. Please see a dermatologist.",
    "I cannot view the image. Could you upload another photograph?",
    "I can't help with diagnosing melanoma.",
    "抱歉，我无法提供医疗诊断。",
    "Lo siento, no puedo ayudar con eso.",
    "Es tut mir leid, dabei kann ich nicht helfen.",
]
PLACEHOLDERS = [
    "nan",
    "N/A",
    "n.a.",
    "#N/A",
    "None",
    "null\n",
    "ＮＡＮ",
    "not available",
    "Unknown.",
    "TBD",
    "No answer provided.",
    "Diagnosis:",
    "## Observation\n\n**Diagnosis**",
    "Observation: none. Reasoning: none. Diagnosis: unknown.",
    "<think> Observation: N/A Reasoning: N/A </think> <answer> N/A </answer>",
    "<answer></answer><|im_end|>",
    "Sure, here is the analysis:",
    "数据缺失",
    "暂无数据。",
    "データなし",
    "нет данных",
    "keine Angabe",
    "sin datos",
    "aucune donnée",
    "não disponível",
    "데이터 없음",
    "لا توجد بيانات",
    "ไม่มีข้อมูล",
]
ANSWERS = [
    "melanoma",
    "Psoriasis.",
    "Dx: BCC",
    "SK",
    "Diagnosis: Grover",
    "mole",
    "benign",
    "a lesion",
    "Normal skin.",
    "No disease.",
    "Not melanoma.",
    "Red scaly plaque",
    "黑色素瘤",
    "アトピー性皮膚炎",
    "건선",
    "Schuppenflechte",
    "псориаз",
    '{"diagnosis": "melanoma"}',
    "<html><body>Diagnosis: psoriasis</body></html>",
    "I cannot exclude melanoma.",
    "I can't rule out basal cell carcinoma.",
    "I cannot see the whole picture, but this looks like psoriasis.",
    "I'm sorry to hear that. This is psoriasis.",
    "Sorry for the delay. It is vitiligo.",
    "As an AI I can only say that this is likely eczema.",
    "The papules failed to respond to steroids.",
    "Error: none. Diagnosis: lentigo maligna",
    "Missing data on duration, likely scabies",
    "unknown duration; tinea corporis",
]


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (WORDLESS, NO_WORDS),
        (ERRORS, "it is an error message"),
        (REFUSALS, "it declines to answer"),
        (PLACEHOLDERS, "it has headings, placeholders or phrases alone"),
        (ANSWERS, None),
    ],
)
def test_why_a_text_says_nothing(texts: list[str], why: str | None) -> None:
    assert {text: no_content(text) for text in texts} == dict.fromkeys(texts, why)


@pytest.mark.parametrize("form", ["{}", "{}.", "Diagnosis: {}", "<answer> {} </answer>"])
def test_every_known_diagnosis_is_an_answer(form: str) -> None:
    names = [name for one in diagnoses().values() for name in (one.name, *one.synonyms)]
    silent = [name for name in names if no_content(form.format(name)) is not None]
    # Classes of what is left over; no doctor's answer.
    assert set(silent) == {"other", "other condition", "other finding", "unknown"}


@given(st.sampled_from([*WORDLESS, *ERRORS, *REFUSALS, *PLACEHOLDERS]), st.sampled_from(ANSWERS))
@settings(max_examples=100, deadline=None)
def test_an_answer_after_nothing_is_an_answer(nothing: str, answer: str) -> None:
    if not answer.startswith("<") and not nothing.startswith("<"):
        told = f"{nothing}\nThis is psoriasis. {answer}"
        assert no_content(told) is None


def test_narratives_say_something() -> None:
    said = write_narrative({"morphology": "plaque"}, "psoriasis", [], random.Random(0))
    assert no_content(said.text) is None


@pytest.mark.parametrize(
    "piece",
    ["{", "[", "a or ", " ", "\n", "<think", "`", "a", "'a", '"a', "can not ", "osis", "无"],
)
def test_hostile_texts_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    no_content(piece * (100_000 // len(piece)))
    assert time.perf_counter() - start < 2
