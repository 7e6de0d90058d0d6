"""A backbone with random weights and words for critiques, and rating files of a few narratives."""

import random
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tools.nano.architecture import nano_config
from tools.nano.tokenizer import SPECIAL_TOKENS, make_image_processor, train_tokenizer
from transformers import Qwen2_5_VLForConditionalGeneration

from skingpt_r1.dermeval.examples import CritiqueExamples, Lesson, store_pictures
from skingpt_r1.dermeval.recipe import EvaluatorRecipe
from skingpt_r1.dermeval.run import CRITIQUE_ONLY, build_evaluator
from skingpt_r1.distill.trainer import make_trained, train
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.ratings.rating import Rating, RatingScores, read_ratings, write_ratings
from skingpt_r1.recipes import check_recipe
from skingpt_r1.text.rubric import Scores
from skingpt_r1.text.wording import ask_for_critique, random_scores, write_critique

SIDE = 56
NARRATIVE = (
    "<think> Observation: {count} small red papule with sharp borders. Reasoning: Red colour "
    "points to a wart. Differential: naevus </think> <answer> wart </answer>"
)


def narrative(number: int) -> str:
    """Narratives that differ."""
    return NARRATIVE.format(count=("One", "Single", "A lone", "Some")[number % 4])


@cache
def _processor() -> SkinProcessor:
    rng = random.Random(0)
    texts = [ask_for_critique(narrative(n), brief=n % 2 == 0) for n in range(8)]
    texts += [write_critique(random_scores(rng), brief=n % 2 == 0) for n in range(40)]
    return SkinProcessor(train_tokenizer(texts * 2, 900), make_image_processor(SIDE**2, SIDE**2))


def write_backbone(folder: Path) -> Path:
    """A random backbone of few weights."""
    processor = _processor()
    processor.save(folder)
    tokens = processor.tokenizer
    special = {name: tokens.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    config = nano_config(len(tokens), special)
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 48, 64, 1
    text.layer_types = text.layer_types[:1]
    text.num_attention_heads, text.num_key_value_heads = 4, 2
    text.rope_parameters["mrope_section"] = [2, 2, 2]
    vision.hidden_size, vision.intermediate_size, vision.depth = 32, 48, 1
    vision.num_heads, vision.out_hidden_size, vision.fullatt_block_indexes = 2, 48, [0]
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder)
    return folder


def write_rating_file(
    folder: Path, name: str, numbers: range, *, raters: int = 2, seed: int = 0
) -> Path:
    """Pictures and a rating file; scores are random around a mean of each narrative."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in numbers:
        picture = folder / "pictures" / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(picture)
        means = rng.uniform(1, 4.5, 6)
        for rater in range(raters):
            values = np.round(np.clip(means + rng.normal(0, 0.2, 6), 0, 5), 1)
            rows.append(
                Rating(
                    id=f"n-{number}",
                    image=f"pictures/{number}.png",
                    diagnostic_text=narrative(number),
                    rater=f"simulated-{rater}",
                    simulated=True,
                    scores=RatingScores.of(tuple(map(float, values))),
                )
            )
    path = folder / name
    write_ratings(path, rows)
    return path


def tiny_recipe(backbone: Path, train: Path, test: Path, **changes: object) -> EvaluatorRecipe:
    """Two steps or so of each stage."""
    values: dict[str, object] = {
        "name": "tiny",
        "backbone": str(backbone),
        "data": {"train": str(train), "test": str(test)},
        "adapter": {
            "text_adapter": "lora",
            "visual": {
                "features": "tower", "embed_dim": 8, "num_layers": 1, "bottleneck": 4,
                "inject": True,
            },
            "lora": {"rank": 2},
        },
        "features": {"dtype": "fp32", "shard_cases": 4, "batch_size": 4},
        "supervised": {
            "epochs": 1, "batch_size": 4, "learning_rate": 1e-2, "save_every": 2, "log_every": 1,
        },
        "policy": {
            "epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "save_every": 1, "log_every": 1,
            "kl": 0.1, "supervised": 0.1,
        },
        "critique": {"max_new_tokens": 16, "batch_size": 4},
        "report": {"pairs": 1, "resamples": 100},
    }  # fmt: skip
    for place, value in changes.items():
        *sections, key = place.split("__")
        inner: dict = values
        for section in sections:
            inner = inner[section]
        inner[key] = value
    return check_recipe(EvaluatorRecipe, values)


VERDICT = Scores((4.5, 3.0, 2.5, 4.0, 1.5, 3.5))


def teach(backbone: Path, folder: Path) -> SkinGPT:
    """An evaluator that has learned one brief critique by heart, saved in `folder/adapter`."""
    path = write_rating_file(folder, "some.jsonl", range(8), raters=1)
    recipe = tiny_recipe(
        backbone, path, path, adapter__lora={"rank": 16}, supervised__learning_rate=2e-2,
        supervised__epochs=50, supervised__save_every=500, supervised__log_every=80,
    )  # fmt: skip
    model = build_evaluator(recipe)
    judged = read_ratings(path)
    pictures = store_pictures(model, judged, recipe.features, folder / "pictures")
    lessons = [Lesson(place, item.text, True, VERDICT) for place, item in enumerate(judged)]
    train(
        make_trained(model),
        CritiqueExamples(pictures, lessons, model),
        recipe.supervised,
        weights=CRITIQUE_ONLY,
        folder=folder / "stage",
        seed=0,
        pad_id=model.processor.pad_id,
        quiet=True,
    )
    model.eval().save_pretrained(folder / "adapter")
    return model
