"""Recipes of distillation trained and tried on the same unseen cases, beside the plain backbone.

Systems are asked and their answers are read as in every benchmark run. Every narrative is
generated, none is chosen. An answer that cannot be read is wrong; it stays in every denominator,
and is counted and shown.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skingpt_r1.case import Case
from skingpt_r1.dermbench.answers import ask_system
from skingpt_r1.dermbench.classification.labels import LabelSet
from skingpt_r1.dermbench.classification.match import match_answer
from skingpt_r1.dermbench.questions import Asked, narrative_question
from skingpt_r1.dermbench.recipe import LocalRecipe
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.dermbench.systems.own import LocalModel, one_model_at_a_time
from skingpt_r1.errors import NarrativeError, RecipeError, RecordError
from skingpt_r1.records import ResultRow, write_results
from skingpt_r1.runs import Progress, own_run
from skingpt_r1.stats import classification
from skingpt_r1.stats.classification import (
    UNMATCHED,
    Predictions,
    balanced_difference,
    classification_metrics,
)
from skingpt_r1.stats.intervals import (
    Bootstrap,
    Floats,
    bootstrap_mean,
    bootstrap_share,
    paired_difference,
)
from skingpt_r1.text.findings import finding_accuracy
from skingpt_r1.text.narrative import parse_narrative

if TYPE_CHECKING:
    from skingpt_r1.distill.data import Parts
    from skingpt_r1.distill.recipe import Recipe

BASE = "base"
ACCURACY = "diagnosis accuracy"
BALANCED = classification.BALANCED
FINDINGS = "finding accuracy"
UNREADABLE = "unreadable answers"


class Tried(NamedTuple):
    """What one system said about the unseen cases, in their order.

    Attributes:
        findings: `[n]`, share of the known findings that the text names rightly; NaN where none is
            known.
    """

    answers: tuple[Answer, ...]
    said: Predictions  # the labels, and the one that each answer means
    unreadable: Floats  # `[n]`, 1 where no diagnosis can be read
    findings: Floats

    @property
    def known(self) -> list[int]:
        """The rows of the cases of which findings are known."""
        found: list[int] = np.flatnonzero(~np.isnan(self.findings)).tolist()
        return found


class TrainedSystem(NamedTuple):
    """One row of the table: how it is made, and the feature store that it may share with others.

    `start` names an earlier system whose adapters are the first values of this one's.
    """

    name: str
    recipe: "Recipe"
    features: str
    start: str | None = None


class ComparedSystems(NamedTuple):
    """Rows of systems and differences, the unseen cases, and what each system said about them."""

    rows: list[ResultRow]
    cases: Sequence[Case]
    tried: Mapping[str, Tried]


def compare(
    systems: Sequence[TrainedSystem],
    folder: Path,
    *,
    table: str,
    differences: Sequence[tuple[str, str]],
    progress: Progress | None = None,
) -> ComparedSystems:
    """Train every system in order, let it and the plain backbone diagnose the same cases.

    Everything is kept under `folder`: a folder for each system, `answers/` and `results.json`; a
    killed comparison continues where it stopped. `differences` are pairs (better, worse) of names,
    `base` among them, that are compared case by case.

    Raises:
        RecipeError: the recipes differ in data, seed or evaluation.
    """
    from skingpt_r1.distill.data import load_parts
    from skingpt_r1.distill.run import run_recipe

    systems = [_placed(system, folder) for system in systems]
    first = systems[0].recipe
    for name, recipe, *_ in systems:
        if (recipe.data, recipe.seed, recipe.evaluate) != (first.data, first.seed, first.evaluate):
            raise RecipeError(
                f"{name} differs from {systems[0].name} in data, seed or evaluate; a table needs "
                "the same cases for all its rows"
            )
    with own_run(folder):
        measuring = None if progress is None else partial(progress, "measuring")
        parts = load_parts(first.data, folder / "pictures", measuring)
        cases = _unseen(first, parts)
        tried = {BASE: _try(BASE, first, cases, folder, progress, trained=None)}
        for name, recipe, features, _ in systems:
            own, store = folder / folder_name(name), folder / "features" / features
            run_recipe(recipe, own, features=store, parts=parts, progress=progress)
            tried[name] = _try(name, recipe, cases, folder, progress, trained=own / "adapter")
        boot = Bootstrap(first.seed, first.evaluate.resamples)
        rows = []
        for name, found in tried.items():
            rows += result_rows(table, name, found, boot)
        for better, worse in differences:
            pair = (better, tried[better]), (worse, tried[worse])
            rows += difference_rows(table, *pair, boot)
        write_results(folder, rows)
        return ComparedSystems(rows, cases, tried)


def _placed(system: TrainedSystem, folder: Path) -> TrainedSystem:
    """Rendered pictures lie beside the runs, so that all systems read the same files."""
    recipe = system.recipe
    data = recipe.data
    if data.root is None:
        data = data.model_copy(update={"root": folder / "pictures"})
    start = recipe.start if system.start is None else folder / folder_name(system.start) / "adapter"
    return system._replace(recipe=recipe.model_copy(update={"data": data, "start": start}))


def _unseen(recipe: "Recipe", parts: "Parts") -> list[Case]:
    from skingpt_r1.distill.data import choose

    if recipe.evaluate.split not in parts:
        raise RecipeError(
            f"evaluate.split is {recipe.evaluate.split}; the data has only {', '.join(parts)}"
        )
    cases = [case for case in parts[recipe.evaluate.split] if case.label is not None]
    return choose(cases, recipe.evaluate.count, recipe.seed)


def _try(
    name: str,
    recipe: "Recipe",
    cases: Sequence[Case],
    folder: Path,
    progress: Progress | None,
    *,
    trained: Path | None,
) -> Tried:
    """Ask a system about the cases, or the plain backbone where none is `trained`."""
    assert recipe.data.root is not None
    generate = recipe.generate
    system = LocalModel(
        name,
        str(recipe.backbone if trained is None else trained),
        adapters=trained is not None,
        recipe=LocalRecipe(max_new_tokens=generate.max_new_tokens, batch_size=generate.batch_size),
        load=one_model_at_a_time(recipe.models),
    )
    asked = [Asked(narrative_question(case, recipe.data.root), case.images) for case in cases]
    show = None if progress is None else partial(progress, f"answers: {name}")
    answers = ask_system(system, asked, folder, show)
    return read_tried(cases, [answers[case.id] for case in cases])


def folder_name(name: str) -> str:
    """The folder of a system's run, below that of the comparison."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "_".join(words)


def read_tried(cases: Sequence[Case], answers: Sequence[Answer]) -> Tried:
    """Compare answers with their labelled cases; other words for a label count as the label."""
    classes = sorted({case.label for case in cases if case.label is not None})
    labels = LabelSet("unseen", cases[0].dataset, "diagnosis", tuple(classes))
    matched = [match_answer(answer, labels) for answer in answers]
    place: dict[str | None, int] = {label: number for number, label in enumerate(classes)}
    said = Predictions(
        tuple(classes),
        np.array([place[case.label] for case in cases]),
        np.array([place.get(found.label, UNMATCHED) for found in matched]),
        [case.group for case in cases],
    )
    unread = [
        found.label is None and not _is_readable(answer.text)
        for found, answer in zip(matched, answers, strict=True)
    ]
    findings = [
        finding_accuracy(answer.text, case.findings) if case.findings else np.nan
        for case, answer in zip(cases, answers, strict=True)
    ]
    return Tried(tuple(answers), said, np.array(unread, np.float64), np.array(findings))


def _is_readable(text: str) -> bool:
    try:
        parse_narrative(text)
    except NarrativeError:
        return False
    return True


def result_rows(table: str, system: str, tried: Tried, boot: Bootstrap) -> list[ResultRow]:
    """The numbers of one system with 95 % intervals, resampled by group."""
    groups = tried.said.groups
    metrics = classification_metrics(tried.said, boot)
    values = {
        ACCURACY: metrics[classification.ACCURACY],
        BALANCED: metrics[BALANCED],
        UNREADABLE: bootstrap_share(tried.unreadable, groups, **boot._asdict()),
    }
    if known := tried.known:
        own = [groups[row] for row in known]
        values[FINDINGS] = bootstrap_mean(tried.findings[known], own, **boot._asdict())
    return [
        found.row(table, system, metric) for metric, found in values.items() if found is not None
    ]


def difference_rows(
    table: str, first: tuple[str, Tried], second: tuple[str, Tried], boot: Bootstrap
) -> list[ResultRow]:
    """How much better one system, with its name, is than another on the same cases, by group.

    Raises:
        RecordError: the systems did not answer the same cases.
    """
    (better, ours), (worse, theirs) = first, second
    if [answer.id for answer in ours.answers] != [answer.id for answer in theirs.answers]:
        raise RecordError(
            f"{better} and {worse} did not answer the same cases; evaluate both on the same split"
        )
    groups, options = ours.said.groups, boot._asdict()
    values = {
        ACCURACY: paired_difference(ours.said.right, theirs.said.right, groups, **options),
        BALANCED: balanced_difference(ours.said, theirs.said, boot),
    }
    if known := ours.known:
        own = [groups[row] for row in known]
        pair = ours.findings[known], theirs.findings[known]
        values[FINDINGS] = paired_difference(*pair, own, **options)
    return [
        found.row(table, f"{better} - {worse}", metric)
        for metric, found in values.items()
        if found is not None
    ]
