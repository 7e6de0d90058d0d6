"""The teacher's vectors of the training cases, made once and kept beside the feature store."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from skingpt_r1.case import Case
from skingpt_r1.distill.recipe import TeacherRecipe
from skingpt_r1.model.builtin_teacher import train_teacher
from skingpt_r1.model.teachers import EncoderTeacher, PrecomputedTeacher, Teacher
from skingpt_r1.model.weight_files import not_finite
from skingpt_r1.records import write_bytes_atomic

logger = logging.getLogger(__name__)


def teacher_vectors(
    recipe: TeacherRecipe,
    cases: Sequence[Case],
    folder: Path,
    *,
    seed: int,
    manifest: str,
    device: str | torch.device = "cpu",
) -> dict[str, Tensor] | None:
    """[images, T] for each case id; None without a teacher.

    Args:
        recipe: which teacher.
        cases: the training cases; nothing else may teach.
        folder: where computed vectors are kept, to be found again by a later call.
        seed: of the built-in teacher.
        manifest: hash of the cases.
        device: where a Hugging Face encoder runs.

    Raises:
        TeacherError: vectors that are missing or cannot be used; the cases are listed.
    """
    if recipe.kind == "none":
        return None
    if recipe.kind == "precomputed":
        assert recipe.path is not None
        return PrecomputedTeacher(recipe.path).embed(cases)
    made_from = [recipe.model_dump(mode="json"), seed, manifest]
    stamp = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:12]
    path = folder / f"teacher-{stamp}.safetensors"
    if (kept := _read(path, cases)) is not None:
        return kept
    vectors = _make(recipe, cases, seed, device).embed(cases)
    write_bytes_atomic(path, save(vectors))
    return vectors


def _make(
    recipe: TeacherRecipe, cases: Sequence[Case], seed: int, device: str | torch.device
) -> Teacher:
    if recipe.kind == "built-in":
        return train_teacher(cases, width=recipe.width, epochs=recipe.epochs, seed=seed)
    assert recipe.path is not None
    return EncoderTeacher(recipe.path, device=device)


def _read(path: Path, cases: Sequence[Case]) -> dict[str, Tensor] | None:
    if not path.is_file():
        return None
    try:
        vectors: dict[str, Tensor] = load_file(path)
    except SafetensorError:
        logger.warning("%s is torn; the vectors are made again", path.name)
        return None
    if wrong := not_finite(vectors.items()):
        logger.warning("%s is not finite for %d cases; it is made again", path.name, len(wrong))
        return None
    return vectors if vectors.keys() == {case.id for case in cases} else None
