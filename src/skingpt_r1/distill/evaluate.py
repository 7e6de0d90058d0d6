"""Diagnosing the cases that were not trained on: every narrative is generated, none is chosen.

An answer that cannot be read is wrong; it stays in every denominator and is counted and shown.

Several recipes on the same unseen cases, beside the plain backbone: the table of an ablation.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from skingpt_r1.case import Case
from skingpt_r1.distill.data import Parts, choose, load_parts
from skingpt_r1.distill.recipe import Recipe
from skingpt_r1.distill.run import run_recipe
from skingpt_r1.errors import DatasetError, NarrativeError, RecipeError, RecordError
from skingpt_r1.model.adapters.text import merge_lora
from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.load import load_model
from skingpt_r1.model.prompt import Request
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.records import ResultRow, append_records, resume_records, write_results
from skingpt_r1.runs import Count, Progress, own_run
from skingpt_r1.stats.intervals import (
    Bootstrap,
    bootstrap_mean,
    bootstrap_share,
    bootstrap_statistic,
    paired_difference,
)
from skingpt_r1.text.findings import finding_accuracy
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.taxonomy import match_label

ACCURACY = "diagnosis accuracy"
BALANCED = "balanced accuracy"
FINDINGS = "finding accuracy"
UNREADABLE = "unreadable answers"


class Answer(BaseModel):
    """What a model wrote about one case, and how it compares with what is known.

    Attributes:
        case: id.
        group: patient, lesion or file series, for intervals.
        label: the truth.
        text: what was generated.
        diagnosis: the name that was read from it; None when it cannot be read.
        named: the one label that the diagnosis means; None when there is none.
        unreadable: why it cannot be read; None when it can.
        right: whether `named` is the label.
        findings: share of known findings that the text names rightly; None where none is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    case: str
    group: str
    label: str
    text: str
    diagnosis: str | None
    named: str | None
    unreadable: str | None
    right: bool
    findings: float | None


class Scored(NamedTuple):
    """The numbers of one system.

    Attributes:
        name: of the system.
        answers: one for each case, in the order of the cases.
    """

    name: str
    answers: Sequence[Answer]


def answer_cases(
    model: SkinGPT,
    cases: Sequence[Case],
    path: Path,
    *,
    decoding: Decoding,
    batch_size: int,
    adapters: bool = True,
    progress: Count | None = None,
) -> list[Answer]:
    """Diagnose cases, one record for each; what is already in the file is not done again.

    Args:
        model: with a processor.
        cases: labelled.
        path: the JSON Lines file.
        decoding: how text is generated.
        batch_size: cases decoded together.
        adapters: False asks the frozen backbone.
        progress: told how many cases of how many are answered.

    Returns:
        The answers in the order of the cases.

    Raises:
        DatasetError: a case has no label.
        RecordError: the file holds answers to other cases.
    """
    unlabelled = [case.id for case in cases if case.label is None]
    if unlabelled:
        raise DatasetError(f"{len(unlabelled)} cases have no label to compare with", unlabelled)
    done: dict[str, Answer] = {
        answer.case: answer for answer in resume_records(path, Answer).records
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
        texts = model.generate_batch(
            [Request.of_case(case) for case in batch], decoding=decoding, adapters=adapters
        )
        answers = [judge(case, text, labels) for case, text in zip(batch, texts, strict=True)]
        append_records(path, answers)
        done |= {answer.case: answer for answer in answers}
        if progress is not None:
            progress(len(done), len(cases))
    return [done[case.id] for case in cases]


def judge(case: Case, text: str, labels: Iterable[str]) -> Answer:
    """Compare a generated text with what is known of its case.

    Args:
        case: labelled.
        text: as generated.
        labels: the label set; a diagnosis in other words counts as the label that it means.
    """
    assert case.label is not None
    diagnosis, named, unreadable = None, None, None
    try:
        diagnosis = parse_narrative(text).diagnosis
        named = match_label(diagnosis, labels)
    except NarrativeError as error:
        unreadable = error.reason
    return Answer(
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


def result_rows(table: str, system: Scored, *, seed: int, resamples: int) -> list[ResultRow]:
    """The numbers of one system with 95 % intervals, resampled by group.

    Args:
        table: name of the table.
        system: the answers.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    answers = system.answers
    groups = [answer.group for answer in answers]
    boot = Bootstrap(seed, resamples)._asdict()
    unreadable = [float(answer.unreadable is not None) for answer in answers]
    known = [answer for answer in answers if answer.findings is not None]
    values = {
        ACCURACY: bootstrap_share([float(answer.right) for answer in answers], groups, **boot),
        BALANCED: bootstrap_statistic(_mean_recall(answers), len(answers), groups, **boot),
        UNREADABLE: bootstrap_share(unreadable, groups, **boot),
    }
    if known:
        values[FINDINGS] = bootstrap_mean(
            np.array([answer.findings for answer in known], float),
            [answer.group for answer in known],
            **boot,
        )
    return [interval.row(table, system.name, metric) for metric, interval in values.items()]


def difference_rows(
    table: str, better: Scored, worse: Scored, *, seed: int, resamples: int
) -> list[ResultRow]:
    """How much better one system is than another on the same cases, paired, by group.

    Args:
        table: name of the table.
        better: named first in the row, `better - worse`.
        worse: the other.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        RecordError: the systems did not answer the same cases.
    """
    ours, theirs = better.answers, worse.answers
    if [answer.case for answer in ours] != [answer.case for answer in theirs]:
        raise RecordError(
            f"{better.name} and {worse.name} did not answer the same cases; evaluate both on the "
            "same split"
        )
    boot = Bootstrap(seed, resamples)._asdict()
    groups = [answer.group for answer in ours]
    recall, other = _mean_recall(ours), _mean_recall(theirs)
    values = {
        ACCURACY: paired_difference(_right(ours), _right(theirs), groups, **boot),
        BALANCED: bootstrap_statistic(
            lambda rows: recall(rows) - other(rows), len(ours), groups, **boot
        ),
    }
    known = [row for row, answer in enumerate(ours) if answer.findings is not None]
    if known:
        values[FINDINGS] = paired_difference(
            np.array([ours[row].findings for row in known], float),
            np.array([theirs[row].findings for row in known], float),
            [groups[row] for row in known],
            **boot,
        )
    name = f"{better.name} - {worse.name}"
    return [interval.row(table, name, metric) for metric, interval in values.items()]


def unreadable_reasons(answers: Sequence[Answer]) -> dict[str, int]:
    """How many answers could not be read, by reason, the commonest first."""
    reasons = Counter(answer.unreadable for answer in answers if answer.unreadable is not None)
    return dict(reasons.most_common())


def _right(answers: Sequence[Answer]) -> NDArray[np.float64]:
    return np.array([answer.right for answer in answers], np.float64)


def _mean_recall(answers: Sequence[Answer]) -> Callable[[NDArray[np.int64]], float]:
    """Balanced accuracy of the answers with the given indices, over the labels among them."""
    right = _right(answers)
    _, codes = np.unique([answer.label for answer in answers], return_inverse=True)

    def recall(rows: NDArray[np.int64]) -> float:
        counts = np.bincount(codes[rows])
        hits = np.bincount(codes[rows], right[rows])
        return float((hits[counts > 0] / counts[counts > 0]).mean())

    return recall


BASE = "base"


class System(NamedTuple):
    """One row of the table.

    Attributes:
        name: as printed.
        recipe: how it is made.
        features: name of the feature store; systems that read the same features share one.
        start: name of an earlier system whose adapters are the first values of this one's.
    """

    name: str
    recipe: Recipe
    features: str
    start: str | None = None


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        rows: one per system and metric, and one per difference and metric.
        cases: the unseen cases, in the order of the answers.
        answers: system name -> its answers.
    """

    rows: list[ResultRow]
    cases: Sequence[Case]
    answers: dict[str, Sequence[Answer]]


def compare(
    systems: Sequence[System],
    folder: Path,
    *,
    table: str,
    differences: Sequence[tuple[str, str]],
    progress: Progress | None = None,
) -> Comparison:
    """Train every system, let it and the plain backbone diagnose the same cases, and compare.

    Everything is kept under `folder`; a killed comparison continues where it stopped.

    Args:
        systems: the rows, trained in order; all recipes must have the same data.
        folder: gets one folder for each system, `answers/` and `results.json`.
        table: its name in `results.json`.
        differences: pairs (better, worse) of names, `base` among them, to be compared case by case.
        progress: told about long stages.

    Raises:
        RecipeError: the recipes differ in data, seed or evaluation.
    """
    with own_run(folder):
        return _compare(
            [_placed(system, folder) for system in systems], folder, table, differences, progress
        )


def _compare(
    systems: Sequence[System],
    folder: Path,
    table: str,
    differences: Sequence[tuple[str, str]],
    progress: Progress | None,
) -> Comparison:
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
    scored = {BASE: _answer(BASE, first, cases, folder, progress, trained=None)}
    for name, recipe, features, _ in systems:
        store = folder / "features" / features
        run_recipe(
            recipe, folder / folder_name(name), features=store, parts=parts, progress=progress
        )
        scored[name] = _answer(
            name, recipe, cases, folder, progress, trained=folder / folder_name(name) / "adapter"
        )
    boot = {"seed": first.seed, "resamples": first.evaluate.resamples}
    rows = [row for system in scored.values() for row in result_rows(table, system, **boot)]
    for better, worse in differences:
        rows += difference_rows(table, scored[better], scored[worse], **boot)
    write_results(folder, rows)
    return Comparison(rows, cases, {name: system.answers for name, system in scored.items()})


def _placed(system: System, folder: Path) -> System:
    """Drawn pictures lie beside the runs, so that all systems read the same files."""
    recipe = system.recipe
    data = recipe.data
    if data.root is None:
        data = data.model_copy(update={"root": folder / "pictures"})
    start = recipe.start if system.start is None else folder / folder_name(system.start) / "adapter"
    return system._replace(recipe=recipe.model_copy(update={"data": data, "start": start}))


def _unseen(recipe: Recipe, parts: Parts) -> list[Case]:
    if recipe.evaluate.split not in parts:
        raise RecipeError(
            f"evaluate.split is {recipe.evaluate.split}; the data has only {', '.join(parts)}"
        )
    cases = [case for case in parts[recipe.evaluate.split] if case.label is not None]
    return choose(cases, recipe.evaluate.count, recipe.seed)


def _answer(
    name: str,
    recipe: Recipe,
    cases: Sequence[Case],
    folder: Path,
    progress: Progress | None,
    *,
    trained: Path | None,
) -> Scored:
    model = load_model(
        recipe.backbone if trained is None else trained, **recipe.models.model_dump()
    )
    if trained is not None:
        merge_lora(model.backbone)
    answers = answer_cases(
        model,
        cases,
        folder / "answers" / f"{folder_name(name)}.jsonl",
        decoding=Decoding(max_new_tokens=recipe.generate.max_new_tokens),
        batch_size=recipe.generate.batch_size,
        adapters=trained is not None,
        progress=None if progress is None else lambda n, of: progress(f"answers: {name}", n, of),
    )
    return Scored(name, answers)


def folder_name(name: str) -> str:
    """The folder of a system's run, below that of the comparison."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "_".join(words)
