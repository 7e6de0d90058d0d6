"""Stage 0: the cases, drawn or read, each with the fingerprints of its pictures.

Drawing, measuring and fingerprints run in several processes; the order of the records does not
depend on them.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from skingpt_r1.case import Case, Split
from skingpt_r1.data import load_cases
from skingpt_r1.data.intake import open_image
from skingpt_r1.data.measure import findings_of, measure
from skingpt_r1.data.overlap import fingerprint
from skingpt_r1.data.splits import split_cases
from skingpt_r1.dermcot.corpus import Candidate, CaseRecord, Part, noted_root
from skingpt_r1.dermcot.recipe import SYNTHETIC, CasesRecipe
from skingpt_r1.dermcot.write import blocks, findings_in
from skingpt_r1.distill.data import choose
from skingpt_r1.errors import DatasetError
from skingpt_r1.render.layouts import iterate_cases, write_picture
from skingpt_r1.runs import picture_name, process_map

logger = logging.getLogger(__name__)

# Cases that the processes share out before their records are written.
BLOCK = 128
PICTURES = "pictures"

Chosen = tuple[Case, Part]
# What is read off the pictures of a case: their SHA-256, their perceptual hashes, findings.
_Measured = tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str]]


class Gathered(NamedTuple):
    """The cases that a recipe names, before their pictures are read."""

    cases: Callable[[], Iterator[Chosen]]  # in order; can be called for again
    manifest: dict[str, Any]  # names the data in `run.json`


def gather(recipe: CasesRecipe, folder: Path) -> Gathered:
    """The cases of a recipe; those to be drawn are planned and not held.

    Raises:
        DatasetError: the data set has problems, or too few labelled cases.
    """
    if recipe.dataset == SYNTHETIC:
        return _planned(recipe, folder)
    assert recipe.root is not None
    cases = load_cases(recipe.dataset, recipe.root, allow_missing=recipe.allow_missing)
    labelled = [case for case in cases if case.label is not None]
    if len(labelled) < len(cases):
        logger.warning("%d cases without a label are left out", len(cases) - len(labelled))
    chosen = _choose(labelled, recipe)
    manifest = {
        "cases": len(chosen),
        "unlabelled": len(cases) - len(labelled),
        "sha256": _digest(chosen),
    }
    return Gathered(lambda: iter(chosen), manifest)


def planned_candidates(recipe: CasesRecipe, folder: Path) -> Iterator[Candidate]:
    """The cases of a recipe before any picture is drawn or read, for estimates."""
    for case, part in gather(recipe, folder).cases():
        yield Candidate(_record(case, part, folder), {})


def case_records(
    gathered: Gathered, recipe: CasesRecipe, folder: Path, *, done: int, workers: int
) -> Iterator[CaseRecord]:
    """The records of the cases after the first `done`, in order.

    Raises:
        ImageError: a picture cannot be read.
    """
    (folder / PICTURES / "images").mkdir(parents=True, exist_ok=True)
    root = noted_root(folder)
    rest = islice(enumerate(gathered.cases()), done, None)
    with process_map(workers, chunk=8) as run:
        for block in blocks(rest, BLOCK):
            numbers, chosen = zip(*block, strict=True)
            images = [case.images for case, _ in chosen]
            measured = run(partial(_measure, recipe=recipe), numbers, images)
            for (case, part), found in zip(chosen, measured, strict=True):
                yield _record(case, part, root, *found)


def _planned(recipe: CasesRecipe, folder: Path) -> Gathered:
    assert recipe.count is not None
    candidates, total = recipe.count, recipe.count + recipe.held_out
    parts: list[Part] = ["candidate" if n < candidates else "held_out" for n in range(total)]
    drawn = partial(iterate_cases, folder / PICTURES, total, recipe.seed, recipe.size)
    return Gathered(lambda: zip(drawn(), parts, strict=True), {"cases": total})


def _choose(cases: Sequence[Case], recipe: CasesRecipe) -> list[Chosen]:
    """Candidates, then held-out cases of other groups, each at most as many as asked for."""
    apart: Sequence[Case] = ()
    if recipe.held_out:
        if recipe.held_out >= len(cases):
            raise DatasetError(
                f"cases.held_out is {recipe.held_out} and {recipe.dataset} has {len(cases)} "
                "labelled cases; hold out fewer"
            )
        share = recipe.held_out / len(cases)
        parts = split_cases(cases, {Split.TRAIN: 1 - share, Split.TEST: share}, recipe.seed)
        cases, apart = parts[Split.TRAIN], parts[Split.TEST]
    kept = choose(cases, recipe.count, recipe.seed)
    return [(case, "candidate") for case in kept] + [(case, "held_out") for case in apart]


def _digest(chosen: Iterable[Chosen]) -> str:
    digest = hashlib.sha256()
    for case, part in chosen:
        names = [path.name for path in case.images]
        row = [case.id, part, names, case.label, dict(case.findings), dict(case.context)]
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def _measure(number: int, images: tuple[Path, ...], recipe: CasesRecipe) -> _Measured:
    """Draw the picture of a synthetic case, then read what is wanted off the pictures."""
    if recipe.dataset == SYNTHETIC:
        write_picture(images[0], number, recipe.seed, recipe.size)
    prints = [fingerprint(path) for path in images]
    findings = findings_of(measure(open_image(images[0]))) if recipe.measure else {}
    files = tuple(found.file for found in prints)
    return files, tuple(found.hash.tobytes().hex() for found in prints), findings


def _record(
    case: Case,
    part: Part,
    root: Path,
    sha256: tuple[str, ...] = (),
    phash: tuple[str, ...] = (),
    measured: Mapping[str, str] = MappingProxyType({}),
) -> CaseRecord:
    assert case.label is not None
    same = ("id", "dataset", "group", "label", "split", "fitzpatrick", "tone")
    return CaseRecord(
        **{name: getattr(case, name) for name in same},
        part=part,
        images=tuple(picture_name(path, root) for path in case.images),
        sha256=sha256,
        phash=phash,
        # What the data set records is never replaced by what was measured.
        findings={**measured, **findings_in(case.attributes), **case.findings},
        context=dict(case.context),
        attributes=dict(case.attributes),
    )
