"""Recipes of distillation trained and tried on the same unseen cases, beside the plain backbone.

Every narrative is generated, none is chosen. An answer that cannot be read is wrong; it stays in
every denominator, and is counted and shown.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skingpt_r1.case import Case
from skingpt_r1.errors import DatasetError, NarrativeError, RecipeError, RecordError
from skingpt_r1.records import Record, ResultRow, append_records, resume_records, write_results
from skingpt_r1.runs import Count, Progress, own_run
from skingpt_r1.stats.intervals import (
    Bootstrap,
    Floats,
    Integers,
    bootstrap_mean,
    bootstrap_share,
    bootstrap_statistic,
    paired_difference,
)
from skingpt_r1.text.findings import finding_accuracy
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.taxonomy import match_label

if TYPE_CHECKING:
    from skingpt_r1.distill.data import Parts
    from skingpt_r1.distill.recipe import Recipe
    from skingpt_r1.model.generation import Decoding
    from skingpt_r1.model.skingpt import SkinGPT

BASE = "base"
ACCURACY = "diagnosis accuracy"
BALANCED = "balanced accuracy"
FINDINGS = "finding accuracy"
UNREADABLE = "unreadable answers"


class Diagnosed(Record):
    """What a model wrote about one case, and how it compares with what is known.

    Attributes:
        group: patient, lesion or file series, for intervals.
        label: the truth.
        diagnosis: the name that was read from the text; None when it cannot be read.
        named: the one label that the diagnosis means; None when there is none.
        unreadable: why it cannot be read; None when it can.
        findings: share of known findings that the text names rightly; None where none is known.
    """

    case: str
    group: str
    label: str
    text: str
    diagnosis: str | None
    named: str | None
    unreadable: str | None
    right: bool
    findings: float | None


class TrainedSystem(NamedTuple):
    """One row of the table: how it is made, and the feature store that it may share with others.

    `start` names an earlier system whose adapters are the first values of this one's.
    """

    name: str
    recipe: "Recipe"
    features: str
    start: str | None = None


class ComparedSystems(NamedTuple):
    """Rows of systems and differences, the unseen cases, and system -> answers in their order."""

    rows: list[ResultRow]
    cases: Sequence[Case]
    answers: Mapping[str, Sequence[Diagnosed]]


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
    with own_run(folder):
        placed = [_placed(system, folder) for system in systems]
        return _compare(placed, folder, table, differences, progress)


def _compare(
    systems: Sequence[TrainedSystem],
    folder: Path,
    table: str,
    differences: Sequence[tuple[str, str]],
    progress: Progress | None,
) -> ComparedSystems:
    from skingpt_r1.distill.data import load_parts
    from skingpt_r1.distill.run import run_recipe

    first = systems[0].recipe
    for name, recipe, *_ in systems:
        if (recipe.data, recipe.seed, recipe.evaluate) != (first.data, first.seed, first.evaluate):
            raise RecipeError(
                f"{name} differs from {systems[0].name} in data, seed or evaluate; a table needs "
                "the same cases for all its rows"
            )
    measuring = None if progress is None else partial(progress, "measuring")
    parts = load_parts(first.data, folder / "pictures", measuring)
    cases = _unseen(first, parts)
    answers = {BASE: _answer(BASE, first, cases, folder, progress, trained=None)}
    for name, recipe, features, _ in systems:
        own, store = folder / folder_name(name), folder / "features" / features
        run_recipe(recipe, own, features=store, parts=parts, progress=progress)
        answers[name] = _answer(name, recipe, cases, folder, progress, trained=own / "adapter")
    boot = Bootstrap(first.seed, first.evaluate.resamples)
    rows = [row for name, given in answers.items() for row in result_rows(table, name, given, boot)]
    for better, worse in differences:
        pair = (better, answers[better]), (worse, answers[worse])
        rows += difference_rows(table, *pair, boot)
    write_results(folder, rows)
    return ComparedSystems(rows, cases, answers)


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


def _answer(
    name: str,
    recipe: "Recipe",
    cases: Sequence[Case],
    folder: Path,
    progress: Progress | None,
    *,
    trained: Path | None,
) -> list[Diagnosed]:
    from skingpt_r1.model.adapters.text import merge_lora
    from skingpt_r1.model.generation import Decoding
    from skingpt_r1.model.load import load_model

    source = recipe.backbone if trained is None else trained
    model = load_model(source, **recipe.models.model_dump())
    if trained is not None:
        merge_lora(model.backbone)
    return answer_cases(
        model,
        cases,
        folder / "answers" / f"{folder_name(name)}.jsonl",
        decoding=Decoding(max_new_tokens=recipe.generate.max_new_tokens),
        batch_size=recipe.generate.batch_size,
        adapters=trained is not None,
        progress=None if progress is None else partial(progress, f"answers: {name}"),
    )


def folder_name(name: str) -> str:
    """The folder of a system's run, below that of the comparison."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "_".join(words)


def answer_cases(
    model: "SkinGPT",
    cases: Sequence[Case],
    path: Path,
    *,
    decoding: "Decoding",
    batch_size: int,
    adapters: bool = True,
    progress: Count | None = None,
) -> list[Diagnosed]:
    """Diagnose labelled cases, one record for each; what is already in the file is not done again.

    `adapters=False` asks the frozen backbone. The answers come in the order of the cases.

    Raises:
        DatasetError: a case has no label.
        RecordError: the file holds answers to other cases.
    """
    from skingpt_r1.model.prompt import Request

    unlabelled = [case.id for case in cases if case.label is None]
    if unlabelled:
        raise DatasetError(f"{len(unlabelled)} cases have no label to compare with", unlabelled)
    done: dict[str, Diagnosed] = {
        answer.case: answer for answer in resume_records(path, Diagnosed).records
    }
    strangers = done.keys() - {case.id for case in cases}
    if strangers:
        raise RecordError(
            f"{path} holds answers to {len(strangers)} other cases ({sorted(strangers)[0]}, ...); "
            "use another file, or delete this one"
        )
    labels = sorted({case.label for case in cases if case.label is not None})
    waiting = [case for case in cases if case.id not in done]
    for start in range(0, len(waiting), batch_size):
        batch = waiting[start : start + batch_size]
        requests = [Request.of_case(case) for case in batch]
        texts = model.generate_batch(requests, decoding=decoding, adapters=adapters)
        answers = [diagnosed(case, text, labels) for case, text in zip(batch, texts, strict=True)]
        append_records(path, answers)
        done |= {answer.case: answer for answer in answers}
        if progress is not None:
            progress(len(done), len(cases))
    return [done[case.id] for case in cases]


def diagnosed(case: Case, text: str, labels: Iterable[str]) -> Diagnosed:
    """Compare a text with its labelled case; other words for a label count as the label."""
    assert case.label is not None
    diagnosis, named, unreadable = None, None, None
    try:
        diagnosis = parse_narrative(text).diagnosis
        named = match_label(diagnosis, labels)
    except NarrativeError as error:
        unreadable = error.reason
    return Diagnosed(
        case=case.id,
        group=case.group,
        label=case.label,
        text=text,
        diagnosis=diagnosis,
        named=named,
        unreadable=unreadable,
        right=named == case.label,
        findings=finding_accuracy(text, case.findings) if case.findings else None,
    )


def result_rows(
    table: str, system: str, answers: Sequence[Diagnosed], boot: Bootstrap
) -> list[ResultRow]:
    """The numbers of one system with 95 % intervals, resampled by group."""
    groups = [answer.group for answer in answers]
    options = boot._asdict()
    unreadable = [float(answer.unreadable is not None) for answer in answers]
    values = {
        ACCURACY: bootstrap_share(_right(answers), groups, **options),
        BALANCED: bootstrap_statistic(_mean_recall(answers), len(answers), groups, **options),
        UNREADABLE: bootstrap_share(unreadable, groups, **options),
    }
    if known := [answer for answer in answers if answer.findings is not None]:
        shares = np.array([answer.findings for answer in known], float)
        values[FINDINGS] = bootstrap_mean(shares, [answer.group for answer in known], **options)
    return [interval.row(table, system, metric) for metric, interval in values.items()]


def difference_rows(
    table: str,
    first: tuple[str, Sequence[Diagnosed]],
    second: tuple[str, Sequence[Diagnosed]],
    boot: Bootstrap,
) -> list[ResultRow]:
    """How much better one system, with its name, is than another on the same cases, by group.

    Raises:
        RecordError: the systems did not answer the same cases.
    """
    (better, ours), (worse, theirs) = first, second
    if [answer.case for answer in ours] != [answer.case for answer in theirs]:
        raise RecordError(
            f"{better} and {worse} did not answer the same cases; evaluate both on the same split"
        )
    options = boot._asdict()
    groups = [answer.group for answer in ours]
    recall, other = _mean_recall(ours), _mean_recall(theirs)
    values = {
        ACCURACY: paired_difference(_right(ours), _right(theirs), groups, **options),
        BALANCED: bootstrap_statistic(
            lambda rows: recall(rows) - other(rows), len(ours), groups, **options
        ),
    }
    known = [row for row, answer in enumerate(ours) if answer.findings is not None]
    if known:
        one, two = (
            np.array([answers[row].findings for row in known], float) for answers in (ours, theirs)
        )
        values[FINDINGS] = paired_difference(one, two, [groups[row] for row in known], **options)
    return [row.row(table, f"{better} - {worse}", metric) for metric, row in values.items()]


def _right(answers: Sequence[Diagnosed]) -> Floats:
    return np.array([answer.right for answer in answers], np.float64)


def _mean_recall(answers: Sequence[Diagnosed]) -> Callable[[Integers], float]:
    """Balanced accuracy of the answers with the given indices, over the labels among them."""
    right = _right(answers)
    _, codes = np.unique([answer.label for answer in answers], return_inverse=True)

    def recall(rows: Integers) -> float:
        counts = np.bincount(codes[rows])
        hits = np.bincount(codes[rows], right[rows])
        return float((hits[counts > 0] / counts[counts > 0]).mean())

    return recall
