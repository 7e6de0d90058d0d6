"""What is a refusal, and what only begins like one."""

import time

import pytest
from asked_narrator import make_task, narrator_of
from openai_server import openai_server, scripted, text

from skingpt_r1.llm.budget import is_refusal, text_problem

ANSWERS = (
    "I'm sorry to hear that this rash bothers you. The picture shows red plaques with silvery "
    "scale. The most likely diagnosis is psoriasis.",
    "I can't be fully certain from one picture, but the scale fits.\n\nDiagnosis: psoriasis",
    "As an AI, I would say this is psoriasis.",
    "I apologise for the delay. Diagnosis: eczema",
    "I'm sorry. Psoriasis.",
    "Unfortunately, this is melanoma.",
    "I cannot rule out melanoma.",
    "I cannot view the picture, but the description fits psoriasis.",
    "Sorry, I cannot see the photo.\nObservation: an erythematous plaque.",
    "I can't see the border, but a red plaque is on the elbow.",
    "I can't diagnose, but this looks like psoriasis and a dermatologist should confirm it.",
    "I am not able to give a definite diagnosis. Most consistent with basal cell carcinoma; please "
    "see a dermatologist.",
    "As an AI I cannot diagnose. The image shows a pearly papule.",
    "I can't provide medical advice. That said, the diagnosis is psoriasis.",
    "I won't speculate beyond the picture: psoriasis",
    "I do not see any scale. Nodule.",
    "I'm unable to view images. Accuracy: 4.5\nSafety: 4",
    "psoriasis",
    "A red plaque on the arm.",
)
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot assist with that request.",
    "I’m sorry — I can’t help with identifying medical conditions from images. A qualified "
    "healthcare professional can give an accurate diagnosis.",
    "I'm unable to provide a medical diagnosis. Please consult a dermatologist.",
    "As an AI language model, I can't diagnose skin conditions from images. Please see a doctor.",
    "Unfortunately, I cannot evaluate medical images.",
    "My apologies, but I do not provide diagnoses.",
    "I must decline.",
    "I am not able to help with that request. If you have concerns, please seek medical advice.",
    "<think> This is a photo of skin. </think> I'm sorry, but I can't help with that.",
)


@pytest.mark.parametrize("said", ANSWERS)
def test_what_goes_on_to_answer_is_an_answer(said):
    assert not is_refusal(said)
    assert text_problem(said, stop="stop", refused=False, max_bytes=1000) is None
    assert text_problem(said, stop="stop", refused=True, max_bytes=1000) == "refusal"
    assert text_problem(said, stop="content_filter", refused=False, max_bytes=1000) == "refusal"


@pytest.mark.parametrize("said", REFUSALS)
def test_what_declines_and_says_nothing_else_is_a_refusal(said):
    assert is_refusal(said)
    assert text_problem(said, stop="stop", refused=False, max_bytes=1000) == "refusal"
    assert not is_refusal(f"{said}\n\nDiagnosis: psoriasis.")
    assert not is_refusal(f"{said}\nA red, scaly plaque is seen.")


@pytest.mark.parametrize(
    "seed", ["I can't ", "I'm sorry, but I can't help. ", "i ", "but ", " ", "\n"]
)
def test_time_is_linear(seed):
    started = time.process_time()
    is_refusal(seed * (100_000 // len(seed)))
    assert time.process_time() - started < 2


def test_what_was_paid_for_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
    script = {
        "no": [text(REFUSALS[0])],
        "filtered": [text("half of", finish="content_filter")],
        "marked": [text(None, refusal="No, thank you.")],
        "long": [text("a" * 200_000)],
        "cut": [text("It begins and", finish="length")],
        "half a letter": [text("A plaque \ud83d is seen.")],
    }
    with openai_server(scripted(script, text(ANSWERS[0]))) as server:
        narrator = narrator_of(server, tmp_path)
        replies = dict(zip(script, narrator.ask([make_task(name) for name in script]), strict=True))
        (polite,) = narrator.ask([make_task("polite")])
    kept = {name: (reply.problem, reply.unused_text) for name, reply in replies.items()}
    assert kept == {
        "no": ("refusal", REFUSALS[0]),
        "filtered": ("refusal", "half of"),
        "marked": ("refusal", "No, thank you."),
        "long": ("too_long", "a" * 200_000),
        "cut": ("truncated", "It begins and"),
        "half a letter": (None, ""),
    }
    assert all(not reply.text for reply in replies.values() if reply.problem)
    assert replies["half a letter"].text == "A plaque \ufffd is seen."
    assert (polite.problem, polite.text) == (None, ANSWERS[0])
