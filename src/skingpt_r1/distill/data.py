"""The cases of a recipe: drawn or read, split, completed, and named by their hash.

The narrative that each training case is taught: given, or written from what is known.

Nothing is invented: a written narrative names findings that the data set records or that were
measured on the picture, the case's own label, and as differential the labels whose training cases
share most of these findings.
"""

import hashlib
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from skingpt_r1.case import Case, Split
from skingpt_r1.data import load_cases, reader_of
from skingpt_r1.data.intake import open_image
from skingpt_r1.data.measure import findings_of, measure
from skingpt_r1.data.splits import official_split, split_cases
from skingpt_r1.distill.recipe import SYNTHETIC, DataRecipe
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import sha256_file
from skingpt_r1.render.layouts import write_cases
from skingpt_r1.runs import Count
from skingpt_r1.text.findings import WORDS
from skingpt_r1.text.tokens import control_token
from skingpt_r1.text.wording import urgency_of, write_narrative

DIFFERENTIALS = 2
# One imagined case of every value for each label: an unseen value is unlikely, not impossible.
SMOOTHING = 1.0


def add_measured_findings(cases: Sequence[Case], progress: Count | None = None) -> list[Case]:
    """Cases whose findings are completed with what the pixels of their first picture say.

    A finding that the data set records is never replaced. `progress` is callback(done, total).
    """
    completed = []
    for number, case in enumerate(cases, 1):
        measured = findings_of(measure(open_image(case.images[0])))
        completed.append(replace(case, findings={**measured, **case.findings}))
        if progress is not None:
            progress(number, len(cases))
    return completed


def narratives_of(
    cases: Sequence[Case], *, source: Literal["given", "written"], seed: int
) -> list[str]:
    """One narrative for each case, in canonical or given form.

    Args:
        cases: the training cases; the differential is learned from their labels and findings.
        source: `given` refuses cases without a narrative of their own; `written` writes one.
        seed: of the wording; a case's wording does not depend on the other cases.

    Raises:
        DatasetError: cases without a narrative, or without a label to write one from, or with a
            control token in narrative, label or context; all of them.
    """
    _refuse_control_tokens(cases)
    if source == "given":
        _refuse([case.id for case in cases if case.narrative is None], "no narrative of their own")
    _refuse(
        [case.id for case in cases if case.narrative is None and case.label is None],
        "neither a narrative nor a label",
    )
    likeness = FindingsByLabel(cases)
    texts = []
    for case in cases:
        if case.narrative is not None:
            texts.append(case.narrative)
            continue
        assert case.label is not None
        rng = random.Random(f"{seed}:{case.dataset}:{case.id}")
        others = likeness.nearest(case.findings, case.label)
        narrative = write_narrative(
            case.findings,
            case.label,
            others,
            rng,
            case.context,
            urgency_of(case.label),
            likeness.speaking_for(case.findings, case.label),
        )
        texts.append(narrative.text)
    return texts


class Labelled(Protocol):
    """What is counted of a case."""

    @property
    def label(self) -> str | None:
        """The diagnosis; cases without one are not counted."""

    @property
    def findings(self) -> Mapping[str, str]:
        """What is seen, slot -> value."""


class FindingsByLabel:
    """How often each finding goes with each label, to say which labels look alike."""

    def __init__(self, cases: Iterable[Labelled]) -> None:
        self._totals: Counter[str] = Counter()
        self._counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self._known: dict[str, Counter[str]] = defaultdict(Counter)
        for case in cases:
            if case.label is not None:
                self._totals[case.label] += 1
                self._counts[case.label].update(case.findings.items())
                self._known[case.label].update(case.findings.keys())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that were counted, by name."""
        return tuple(sorted(self._totals))

    def nearest(self, findings: Mapping[str, str], label: str) -> tuple[str, ...]:
        """Other labels under which these findings are likeliest, most likely first.

        Ties go by name. Nothing is said of a case without findings.
        """
        if not findings:
            return ()
        others = sorted(name for name in self._totals if name != label)
        return tuple(
            sorted(others, key=lambda name: -self.log_likelihood(findings, name))[:DIFFERENTIALS]
        )

    def speaking_for(self, findings: Mapping[str, str], label: str) -> frozenset[str]:
        """Slots whose value is at least as likely under the label as over all labels.

        A reasoning that cites another would argue against its own diagnosis.
        """
        return frozenset(
            slot
            for slot, value in findings.items()
            if self._share(slot, value, [label]) >= self._share(slot, value, self._totals)
        )

    def _share(self, slot: str, value: str, labels: Iterable[str]) -> float:
        names = list(labels)
        known = sum(self._known[name][slot] for name in names)
        return sum(self._counts[name][slot, value] for name in names) / known if known else 0.0

    def log_likelihood(self, findings: Mapping[str, str], label: str) -> float:
        """Log of how likely these findings are under a label, slots taken as independent."""
        counts = self._counts[label]
        total = 0.0
        for slot, value in findings.items():
            known = self._known[label][slot]
            values = len(WORDS[slot])
            total += math.log((counts[slot, value] + SMOOTHING) / (known + SMOOTHING * values))
        return total


def _refuse_control_tokens(cases: Sequence[Case]) -> None:
    found = [
        f"{case.id}: its {name} contains {token!r}"
        for case in cases
        for name, text in _texts(case)
        if (token := control_token(text)) is not None
    ]
    if found:
        raise DatasetError(
            f"{len(found)} texts of training cases contain control tokens, which would end a turn "
            "or stand for a picture; remove the tokens, or leave the cases out",
            found,
        )


def _texts(case: Case) -> Iterator[tuple[str, str]]:
    """What of a case a model is told or taught."""
    if case.narrative is not None:
        yield "narrative", case.narrative
    if case.label is not None:
        yield "label", case.label
    yield from ((f"context {name}", text) for name, text in case.context.items())


def _refuse(ids: Sequence[str], lack: str) -> None:
    if ids:
        raise DatasetError(
            f"{len(ids)} training cases have {lack}; leave them out, or set data.narratives to "
            "written and give labels",
            ids,
        )


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
