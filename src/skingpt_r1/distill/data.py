"""The cases of a recipe: drawn or read, split, completed, and named by their hash."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from skingpt_r1.case import Case, Split
from skingpt_r1.data import load_cases, reader_of
from skingpt_r1.data.splits import official_split, split_cases
from skingpt_r1.distill.narratives import add_measured_findings
from skingpt_r1.distill.recipe import SYNTHETIC, DataRecipe
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import sha256_file
from skingpt_r1.render.folder import write_cases
from skingpt_r1.runs import Count

Parts = Mapping[Split, Sequence[Case]]


def load_parts(recipe: DataRecipe, pictures: Path, progress: Count | None = None) -> Parts:
    """The cases of each part of the split.

    Args:
        recipe: which data, and how it is cut.
        pictures: folder for drawn pictures; used by `synthetic` without a root.
        progress: callback(done, total) while cases are measured.

    Raises:
        DatasetError: problems of the data set, all of them.
    """
    if recipe.dataset == SYNTHETIC:
        folder = recipe.root or pictures
        cases = write_cases(folder, recipe.count, recipe.seed, recipe.size)
    else:
        assert recipe.root is not None
        cases = load_cases(recipe.dataset, recipe.root, allow_missing=recipe.allow_missing)
    if recipe.measure:
        cases = add_measured_findings(cases, progress)
    parts = _split(cases, recipe)
    unlabelled = [case.id for case in parts[Split.TRAIN] if recipe.balance and case.label is None]
    if unlabelled:
        raise DatasetError(
            f"data.balance needs labels and {len(unlabelled)} training cases have none", unlabelled
        )
    parts[Split.TRAIN] = choose(parts[Split.TRAIN], recipe.limit, recipe.seed)
    return parts


def _split(cases: Sequence[Case], recipe: DataRecipe) -> dict[Split, list[Case]]:
    keeps = recipe.dataset != SYNTHETIC and reader_of(recipe.dataset).keeps_split
    if recipe.split != "official" and not keeps:
        return split_cases(cases, recipe.split, recipe.seed)
    parts = official_split(cases)
    if Split.TRAIN not in parts:
        raise DatasetError(
            f"the official split has no part `train`, only {', '.join(parts)}; set data.split"
        )
    return parts if recipe.split == "official" else _keep_split(parts, recipe.split, recipe.seed)


def _keep_split(
    parts: dict[Split, list[Case]], wanted: Mapping[Split, float], seed: int
) -> dict[Split, list[Case]]:
    """The data set's own parts: certified cases are never trained on, whatever a recipe asks for.

    Only the training part is cut, and only for parts that the data set does not have.
    """
    shares = {
        part: share for part, share in wanted.items() if part is Split.TRAIN or part not in parts
    }
    cut = {part: share / sum(shares.values()) for part, share in shares.items()}
    return {**parts, **split_cases(parts[Split.TRAIN], cut, seed)}


def choose(cases: Sequence[Case], count: int | None, seed: int) -> list[Case]:
    """At most `count` cases, chosen at random by the seed, in their own order."""
    if count is None or count >= len(cases):
        return list(cases)
    kept = set(random.Random(seed).sample(range(len(cases)), count))
    return [case for index, case in enumerate(cases) if index in kept]


def manifest_hash(cases: Sequence[Case], narratives: Sequence[str]) -> str:
    """sha256 of all that features and teachers are computed from."""
    digest = hashlib.sha256()
    for case, narrative in zip(cases, narratives, strict=True):
        row = {
            "id": case.id,
            "images": [sha256_file(path) for path in case.images],
            "label": case.label,
            "findings": dict(case.findings),
            "context": dict(case.context),
            "tone": case.tone,
            "narrative": narrative,
        }
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()
