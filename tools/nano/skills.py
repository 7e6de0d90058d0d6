"""What the embedded backbone can do, measured by generation on scenes it has not met."""

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image
from tools.nano.prose import QUESTIONS
from tools.nano.scenes import draw_scene

from skingpt_r1.errors import NarrativeError
from skingpt_r1.model.load import load_model
from skingpt_r1.model.prompt import Request
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.phrases import INSTRUCTION

BATCH = 50


def measure_skills(folder: Path, *, count: int, seed: int, size: int) -> dict[str, float]:
    """Share of right answers per question, and of readable prose under the dermatology prompt.

    Args:
        folder: the exported backbone.
        count: scenes per question.
        seed: of the scenes; another one than the training's.
        size: side of a scene in pixels.
    """
    model = load_model(folder)
    rng, words = np.random.default_rng([seed, 0]), random.Random(seed)
    right: dict[str, list[bool]] = defaultdict(list)
    for attribute, questions in QUESTIONS.items():
        scenes = [draw_scene(rng, size) for _ in range(count)]
        for start in range(0, count, BATCH):
            part = scenes[start : start + BATCH]
            requests = [
                Request((Image.fromarray(s.image),), question=words.choice(questions)) for s in part
            ]
            for scene, text in zip(part, model.generate_batch(requests), strict=True):
                said = text.rpartition("<answer>")[2].partition("</answer>")[0].strip()
                right[attribute].append(said == scene.attributes[attribute])
    scenes = [draw_scene(rng, size) for _ in range(count)]
    requests = [Request((Image.fromarray(s.image),), question=INSTRUCTION) for s in scenes]
    texts = [
        text
        for start in range(0, count, BATCH)
        for text in model.generate_batch(requests[start : start + BATCH])
    ]
    right["readable dermatology prose"] = [is_readable_prose(text) for text in texts]
    return {name: sum(values) / len(values) for name, values in right.items()}


def is_readable_prose(text: str) -> bool:
    """Whether a text is a narrative with its observation and its reasoning set apart."""
    try:
        narrative = parse_narrative(text)
    except NarrativeError:
        return False
    return bool(narrative.observation and narrative.reasoning)
