"""Build the embedded reader of findings: `python -m tools.reader`.

Pictures are rendered (80 a second on one core), run through the frozen tower once, and a reader is
taught on them; bare skin is among them, so that it can say that there is no lesion. About seven
minutes on one core. Never a picture with a seed of the tests or of the recipes.
"""

import argparse
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from skingpt_r1.evidence.cells import spread_layers
from skingpt_r1.evidence.reader import ABSENT, LESION, PRESENT, ReaderConfig
from skingpt_r1.evidence.training import label_pictures, teach_reader
from skingpt_r1.evidence.verify import NANO_READER
from skingpt_r1.model.load import load_model
from skingpt_r1.render.camera import take_picture
from skingpt_r1.render.case import plan_case, render
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.render.skin import bare_skin
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS

TRAINING, VALIDATION = 50_001, 50_002  # seeds
BARE = 16  # of so many pictures one shows no lesion


def drawn(count: int, seed: int) -> Iterator[tuple[Image.Image, Mapping[str, str]]]:
    """Rendered pictures with their findings and diagnosis, and bare skin."""
    for index in range(count):
        plan = plan_case(index, seed)
        if index % (BARE + 1) == BARE:
            rng = np.random.default_rng(plan.drawing_seed)
            skin = bare_skin(rng, plan.fitzpatrick, size=112, texture=plan.camera.texture)
            yield Image.fromarray(take_picture(skin, plan.camera, rng)), {LESION: ABSENT}
        else:
            known = {**plan.findings, "diagnosis": plan.condition.name, LESION: PRESENT}
            yield Image.fromarray(render(plan)), known


def main() -> None:
    """Teach the reader and write it into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=NANO_READER)
    parser.add_argument("--pictures", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)  # the same weights on every machine of a kind
    begun = time.monotonic()
    model = load_model("nano", device="cpu")
    slots = {slot: tuple(WORDS[slot]) for slot in RENDERED_SLOTS}
    slots["diagnosis"] = tuple(condition.name for condition in CONDITIONS)
    slots[LESION] = (PRESENT, ABSENT)
    config = ReaderConfig(
        slots=slots,
        layers=spread_layers(model.backbone.config.vision_config.depth),
        world="rendered skin",
        backbone=model.config.backbone,
    )
    taught = label_pictures(model, config.layers, drawn(given.pictures, TRAINING))
    validation = label_pictures(model, config.layers, drawn(given.pictures // 4, VALIDATION))
    logging.info("pictures read after %.0f s", time.monotonic() - begun)
    teach_reader(config, taught, validation, epochs=given.epochs).save_pretrained(given.out)
    logging.info("reader: %s, after %.0f s", given.out, time.monotonic() - begun)


if __name__ == "__main__":
    main()
