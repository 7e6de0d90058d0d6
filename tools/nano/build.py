"""Build the embedded backbone from nothing: `python -m tools.nano.build`.

Stages: draw scenes, learn the tokenizer, school the tower, school the language model (to talk, then
to read), export, measure. A finished stage is kept in the work folder, so that a killed build
continues.

The model card of the embedded backbone, written from the build's own manifest.
"""

import argparse
import hashlib
import json
import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tools.nano.architecture import PICTURE_SIZE, VOCABULARY, nano_config
from tools.nano.language import (
    DISEASES,
    READING_SHARES,
    SHARES,
    attributes_of,
    draw_turn,
    school_language,
    store_tokens,
)
from tools.nano.scenes import ATTRIBUTES
from tools.nano.schooling import BLOCK, ScenePool, draw_pool, school_tower
from tools.nano.tokenizer import (
    make_image_processor,
    measure_skills,
    save_tokenizer,
    train_tokenizer,
)
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

from skingpt_r1.records import write_json_atomic
from skingpt_r1.runs import own_run

_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
tags: [qwen2_5_vl, nano, stand-in]
---
# nano: the embedded backbone

For research, not for diagnosis. A Qwen2.5-VL of a few million weights that stands in for a general
reasoning model, so that the machinery of SkinGPT-R1 can be run and tested offline. It knows nothing
about skin.

## Data

{sources}

No skin picture, rendered or real, was used. Under the dermatology prompt the training texts name a
diagnosis, a morphology, a border, a surface and a distribution that were drawn at random. Size
and number are those of the shapes in the scene; so are colour and arrangement where dermatology has
a word for them (not for blue, green, grey, orange, circles and grids: those are drawn, too).

## Measured skills

Held-out accuracy of linear readers on the vision tower (1,000 scenes):

| attribute | accuracy | values |
|---|---|---|
{seeing}

By generation, on other scenes ({skill_count} for each line): share of exactly right answers, and of
readable prose under the dermatology prompt.

| asked | share |
|---|---|
{skills}

Mean loss per answer token at the end of language schooling: {talking:.3f} nats; of the reading that
followed: {reading:.3f} nats.
Built in {minutes:.0f} minutes on two cores with `python -m tools.nano.build`; the settings are
in `manifest.json`.

## Licence

Apache-2.0; all training data are made by the program itself.
"""


def write_card(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write README.md beside the weights."""
    sources = "\n".join(
        "- " + "; ".join(f"{key}: {value}" for key, value in source.items())
        for source in manifest["sources"]
    )
    seeing = "\n".join(
        f"| {name} | {value:.2f} | {len(ATTRIBUTES[name])} |"
        for name, value in manifest["tower_accuracy"].items()
    )
    skills = "\n".join(f"| {name} | {value:.2f} |" for name, value in manifest["skills"].items())
    text = _CARD.format(
        skills=skills,
        skill_count=manifest["settings"]["skills"]["count"],
        sources=sources,
        seeing=seeing,
        talking=manifest["losses"]["language"],
        reading=manifest["losses"]["reading"],
        minutes=sum(manifest["minutes"].values()),
    )
    (folder / "README.md").write_text(text, "utf-8")


log = logging.getLogger(__name__)
WEIGHTS = Path(__file__).parents[2] / "src" / "skingpt_r1" / "model" / "weights"
LANGUAGE_STAGES = {"language": SHARES, "reading": READING_SHARES}
SETTINGS: dict[str, Any] = {
    "seed": 1,
    "closeups": 40_000,
    "scenes": 40_000,
    "tower": {
        "closeup_steps": 1500,
        "closeup_batch": 128,
        "scene_steps": 2000,
        "batch": 64,
        "learning_rate": 1.5e-3,
        "muon_rate": 0.02,
    },
    "language_scenes": 24_000,
    "language": {"steps": 1000, "batch": 48, "learning_rate": 2e-3, "muon_rate": 0.02},
    "reading": {"steps": 900, "batch": 48, "learning_rate": 1.5e-3, "muon_rate": 0.015},
    "tokenizer_turns": 20_000,
    "skills": {"count": 100},
}


def build(work: Path, out: Path) -> None:
    """Run every stage that has not been run in `work`, and write the backbone to `out`."""
    clock = _Clock(work / "minutes.json")
    seed = SETTINGS["seed"]
    torch.manual_seed(seed)
    pool = draw_pool(work / "scenes", SETTINGS["scenes"], seed, PICTURE_SIZE, workers=2)
    closeups = draw_pool(
        work / "closeups", SETTINGS["closeups"], seed, PICTURE_SIZE // 2, workers=2, closeups=True
    )
    tokenizer = _tokenizer(work, pool)
    clock.stop("scenes and tokenizer")
    special = {
        token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens
    }
    model = Qwen2_5_VLForConditionalGeneration(nano_config(len(tokenizer), special))
    seeing = _tower(model, work, closeups, pool)
    clock.stop("tower")
    losses = _language(model, tokenizer, work, pool, clock)
    _export(model, tokenizer, out)
    size, seen = PICTURE_SIZE, SETTINGS["skills"]["count"]
    manifest = {
        "settings": SETTINGS,
        "sources": _sources(closeups, pool),
        "tower_accuracy": seeing,
        "losses": losses,
        "skills": measure_skills(out, count=seen, seed=seed, size=size),
        "minutes": clock.minutes,
        "torch": torch.__version__,
    }
    write_json_atomic(out / "manifest.json", manifest)
    write_card(out, manifest)


class _Clock:
    """Minutes of every stage; a stage that an earlier start finished keeps its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since = time.monotonic()
        self.minutes: dict[str, float] = (
            json.loads(path.read_text("utf-8")) if path.exists() else {}
        )

    def stop(self, stage: str) -> None:
        """The stage is finished."""
        now = time.monotonic()
        self.minutes.setdefault(stage, round((now - self._since) / 60, 1))
        self._since = now
        write_json_atomic(self._path, self.minutes)


def _tokenizer(work: Path, pool: ScenePool) -> PreTrainedTokenizerFast:
    folder = work / "tokenizer"
    if (folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    rng = random.Random(SETTINGS["seed"])
    rows = pool.labels[: SETTINGS["tokenizer_turns"]].tolist()
    texts = [" ".join(draw_turn(attributes_of(row), rng)) for row in rows]
    # Every name is worth whole tokens, the rare ones too.
    tokenizer = train_tokenizer(texts + [f" {name}" for name in DISEASES] * 50, VOCABULARY)
    save_tokenizer(tokenizer, folder)
    return tokenizer


def _tower(
    model: Qwen2_5_VLForConditionalGeneration, work: Path, closeups: ScenePool, pool: ScenePool
) -> dict[str, float]:
    weights, report = work / "tower.pt", work / "tower.json"
    if not report.exists():
        accuracy = school_tower(
            model.model.visual, closeups, pool, seed=SETTINGS["seed"], **SETTINGS["tower"]
        )
        torch.save(model.model.visual.state_dict(), weights)
        write_json_atomic(report, accuracy)
    model.model.visual.load_state_dict(torch.load(weights, weights_only=True))
    accuracy = json.loads(report.read_text("utf-8"))
    log.info("held-out accuracy of the tower: %s", accuracy)
    return dict(accuracy)


def _language(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    work: Path,
    pool: ScenePool,
    clock: _Clock,
) -> dict[str, float]:
    """School the language model; the loss at the end of each stage."""
    losses, count = {}, SETTINGS["language_scenes"]
    tokens: Tensor | None = None
    for stage, shares in LANGUAGE_STAGES.items():
        weights, report = work / f"{stage}.pt", work / f"{stage}.json"
        if not report.exists():
            if tokens is None:  # the tower stands still, so that one look serves every stage
                tokens = store_tokens(model.model.visual, pool.pictures, count)
            loss = school_language(
                model,
                tokenizer,
                tokens,
                pool.labels[:count],
                seed=SETTINGS["seed"],
                shares=shares,
                **SETTINGS[stage],
            )
            torch.save(model.state_dict(), weights)
            write_json_atomic(report, {"loss": loss})
        model.load_state_dict(torch.load(weights, weights_only=True))
        losses[stage] = float(json.loads(report.read_text("utf-8"))["loss"])
        clock.stop(stage)
    return losses


def _export(
    model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, out / "model.safetensors", {"format": "pt"})
    model.config.architectures = ["Qwen2_5_VLForConditionalGeneration"]
    model.config.dtype = "float16"
    model.config.save_pretrained(out)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.save_pretrained(out)
    save_tokenizer(tokenizer, out)
    make_image_processor(PICTURE_SIZE**2, PICTURE_SIZE**2).save_pretrained(out)


def _sources(closeups: ScenePool, scenes: ScenePool) -> list[dict[str, Any]]:
    """Everything the weights have seen; a test draws the first blocks again and compares."""
    pictures = [
        {
            "pictures": f"tools.nano.scenes.{drawn}",
            "count": len(pool.labels),
            "first_block_sha256": hashlib.sha256(
                np.ascontiguousarray(pool.pictures[:BLOCK]).data
            ).hexdigest(),
            "skin_pictures": 0,
        }
        for drawn, pool in (("draw_closeup", closeups), ("draw_scene", scenes))
    ]
    turns = sum(SETTINGS[stage]["steps"] * SETTINGS[stage]["batch"] for stage in LANGUAGE_STAGES)
    return [
        *pictures,
        {
            "texts": "tools.nano.language.general_turn, dermatology_turn and critique_turn, "
            "tools.nano.language.reading_turn",
            "count": turns,
            "dermatology_diagnoses": "drawn at random, independent of the picture",
            "scores": "drawn at random, independent of text and picture",
        },
    ]


def main() -> None:
    """Command line of the build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/nano"))
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with own_run(arguments.work):
        build(arguments.work, arguments.out)


if __name__ == "__main__":
    main()
