"""The teacher's vectors of the training cases, kept in the run's folder."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from skingpt_r1.case import Case
from skingpt_r1.distill.recipe import TeacherRecipe


def teacher_vectors(
    recipe: TeacherRecipe, cases: Sequence[Case], folder: Path, *, seed: int, manifest: str
) -> dict[str, Tensor] | None:
    """[images, T] for each case id; None without a teacher."""
    return None
