"""The shipped backbone writes two styles, and which one depends on the prompt alone."""

import random

import numpy as np
import pytest
from PIL import Image
from tools.nano.architecture import PICTURE_SIZE
from tools.nano.build import WEIGHTS
from tools.nano.language import QUESTIONS, general_turn
from tools.nano.scenes import ATTRIBUTES, draw_scene
from tools.nano.tokenizer import is_readable_prose

from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.load import load_model
from skingpt_r1.model.prompt import Request
from skingpt_r1.text.wording import INSTRUCTION

COUNT = 16
SHARE = 0.9


@pytest.fixture(scope="module")
def answers() -> dict[str, list[str]]:
    """What the backbone writes about sixteen scenes, by the question that it was asked."""
    model = load_model(WEIGHTS)
    rng = np.random.default_rng([3, 0])
    pictures = [Image.fromarray(draw_scene(rng, PICTURE_SIZE).image) for _ in range(COUNT)]
    asked = {"dermatology": INSTRUCTION, "general": QUESTIONS["colour"][0]}
    return {
        style: [
            written.text
            for written in model.write(
                [Request((picture,), question=question) for picture in pictures],
                decoding=Decoding(max_new_tokens=160),
                adapters=False,
            )
        ]
        for style, question in asked.items()
    }


def test_dermatology_prompt_gives_readable_prose(answers) -> None:
    readable = [is_readable_prose(text) for text in answers["dermatology"]]
    assert sum(readable) >= SHARE * COUNT


def test_general_question_gives_a_general_answer(answers) -> None:
    said = [
        text.rpartition("<answer>")[2].partition("</answer>")[0].strip()
        for text in answers["general"]
    ]
    assert sum(answer in ATTRIBUTES["colour"] for answer in said) >= SHARE * COUNT
    assert not any("Observation:" in text for text in answers["general"])


def test_readable_prose_has_observation_and_reasoning() -> None:
    assert is_readable_prose(
        "<think> Observation: One papule. Reasoning: It fits. </think> <answer> wart </answer>"
    )
    assert not is_readable_prose("<think> One papule. </think> <answer> </answer>")
    assert not is_readable_prose("")
    scene = {name: values[0] for name, values in ATTRIBUTES.items()}
    assert not is_readable_prose(general_turn(scene, random.Random(0))[1])
