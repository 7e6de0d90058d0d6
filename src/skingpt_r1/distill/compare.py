"""Several recipes on the same unseen cases, beside the plain backbone: the table of an ablation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.case import Case
from skingpt_r1.distill.data import Parts, choose, load_parts
from skingpt_r1.distill.evaluate import Answer, Scored, answer_cases, difference_rows, result_rows
from skingpt_r1.distill.recipe import Recipe
from skingpt_r1.distill.run import run_recipe
from skingpt_r1.errors import RecipeError
from skingpt_r1.model.adapters.lora import merge_lora
from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.load import load_model
from skingpt_r1.records import ResultRow, write_results
from skingpt_r1.runs import own_run

BASE = "base"
Progress = Callable[[str, int, int], None]


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
    draw = {"seed": first.seed, "resamples": first.evaluate.resamples}
    rows = [row for system in scored.values() for row in result_rows(table, system, **draw)]
    for better, worse in differences:
        rows += difference_rows(table, scored[better], scored[worse], **draw)
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
        bias=trained is not None,
        progress=None if progress is None else lambda n, of: progress(f"answers: {name}", n, of),
    )
    return Scored(name, answers)


def folder_name(name: str) -> str:
    """The folder of a system's run, below that of the comparison."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "_".join(words)
