"""Every cell of an ablation trained with every seed and tried on the same unseen cases.

    folder/
      seed_<n>/<corpus>/   a comparison: one run for each cell, answers/, features/
      published_<corpus>/  the corpora, where the recipe names one
      results.json         the table, with intervals over seeds and cases
      ablation.json        the same, each cell with its runs and the mean of each seed
      ablation.md          the same to be read

The same call continues what was stopped.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skingpt_r1.dermbench.ablation.ablation_corpora import published_corpora
from skingpt_r1.dermbench.ablation.ablation_recipe import BASE, AblationRecipe, Cell, Corpus
from skingpt_r1.dermbench.ablation.table import (
    AblationRow,
    Measured,
    ablation_markdown,
    ablation_rows,
    difference,
    measure,
)
from skingpt_r1.errors import RecipeError
from skingpt_r1.records import write_bytes_atomic, write_json_atomic, write_results
from skingpt_r1.runs import own_run
from skingpt_r1.stats.draw import Draw

if TYPE_CHECKING:
    from skingpt_r1.distill.compare import System
    from skingpt_r1.distill.evaluate import Answer

Progress = Callable[[str, int, int], None]
Answers = Mapping[str, Sequence[Sequence["Answer"]]]
BASE_ANSWERS = Path("answers") / "base.jsonl"


class _Trained(NamedTuple):
    """What all comparisons gave."""

    answers: dict[str, list[Sequence["Answer"]]]
    runs: dict[str, list[str]]


def run_ablation(
    recipe: AblationRecipe, recipes: Path, folder: Path, progress: Progress | None = None
) -> list[AblationRow]:
    """Train, try and compare.

    Args:
        recipe: cells and seeds.
        recipes: folder of the cells' recipe files.
        folder: where everything goes.
        progress: told about long stages.

    Returns:
        One row for `base`, each cell and each difference.

    Raises:
        RecipeError: a recipe of a cell cannot be read, or the cells are not tried on equal cases.
        SkinGPTError: see `distill.compare.compare`.
    """
    # All recipes are read before anything is trained.
    planned = {seed: _plan(recipe, recipes, seed) for seed in recipe.seeds}
    with own_run(folder):
        return _run_planned(recipe, planned, folder, progress)


def _run_planned(
    recipe: AblationRecipe,
    planned: Mapping[int, dict[Corpus, list[tuple[Cell, "System"]]]],
    folder: Path,
    progress: Progress | None,
) -> list[AblationRow]:
    corpora: dict[Corpus, Path] = {}
    if recipe.corpus is not None:
        wanted = [cell.corpus for cell in recipe.cells]
        corpora = published_corpora(recipe.corpus, folder, ["filtered", *wanted])
    trained = _Trained({}, {})
    for seed, systems in planned.items():
        for corpus in dict.fromkeys(cell.corpus for cell in recipe.cells):
            chosen = [_taught(system, corpora.get(corpus)) for system in systems[corpus]]
            place = Path(f"seed_{seed}") / corpus
            _compare(chosen, folder, place, trained, _named(progress, seed, corpus))
    rows = _rows(recipe, trained)
    _write(rows, folder)
    return rows


def _plan(
    recipe: AblationRecipe, recipes: Path, seed: int
) -> dict[Corpus, list[tuple[Cell, "System"]]]:
    from skingpt_r1.distill.compare import System
    from skingpt_r1.distill.recipe_files import load_recipe

    where = [f"models.{key}={value}" for key, value in recipe.models.model_dump().items()]
    planned: dict[Corpus, list[tuple[Cell, System]]] = {}
    for cell in recipe.cells:
        settings = [*recipe.settings, *cell.settings, *where]
        settings += [f"seed={seed}", "evaluate.count=null", "start=null"]
        read = load_recipe(recipes / cell.recipe, settings)
        system = System(cell.name, read, cell.features, cell.start)
        planned.setdefault(cell.corpus, []).append((cell, system))
    return planned


def _taught(planned: tuple[Cell, "System"], root: Path | None) -> "System":
    """The system, learning from a published corpus where there is one."""
    _, system = planned
    if root is None:
        return system
    # The recipe is checked once more, as the corpus's own parts must be kept.
    from skingpt_r1.distill.recipe_files import make_recipe

    values = system.recipe.model_dump(mode="json")
    values["data"] |= {
        "dataset": "dermcot", "root": str(root), "split": "official", "narratives": "given",
    }  # fmt: skip
    return system._replace(recipe=make_recipe(values, system.name))


def _compare(
    systems: Sequence["System"],
    folder: Path,
    place: Path,
    trained: _Trained,
    progress: Progress | None,
) -> None:
    from skingpt_r1.distill.compare import compare, folder_name

    # The plain backbone says the same whatever the seed, so that it is asked once.
    first = trained.runs.get(BASE)
    target = folder / place / BASE_ANSWERS
    if first and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / first[0] / BASE_ANSWERS, target)
    found = compare(systems, folder / place, table="comparison", differences=(), progress=progress)
    for name, answers in found.answers.items():
        if name == BASE and first:
            continue
        trained.answers.setdefault(name, []).append(answers)
        run = place if name == BASE else place / folder_name(name)
        trained.runs.setdefault(name, []).append(run.as_posix())


def _rows(recipe: AblationRecipe, trained: _Trained) -> list[AblationRow]:
    _refuse_other_cases(trained.answers)
    draw = Draw(seed=recipe.seeds[0], resamples=recipe.resamples)
    count = len(recipe.seeds)
    measured = {name: _measured(runs, count) for name, runs in trained.answers.items()}
    groups = _groups(trained.answers[BASE][0])
    rows = [
        measure(
            name,
            measured[name],
            groups,
            trained.runs[name],
            recipe.seeds if name != BASE else recipe.seeds[:1],
            draw,
        )
        for name in (BASE, *(cell.name for cell in recipe.cells))
    ]
    for better, worse in recipe.differences:
        pairs = {
            metric: difference(measured[better][metric], measured[worse][metric])
            for metric in measured[better]
        }
        rows.append(measure(f"{better} - {worse}", pairs, groups, (), recipe.seeds, draw))
    return rows


def _measured(runs: Sequence[Sequence["Answer"]], count: int) -> dict[str, Measured]:
    """Metric -> values; the one run of the plain backbone stands for every seed."""
    from skingpt_r1.distill.evaluate import ACCURACY, BALANCED, FINDINGS, UNREADABLE

    all_runs = list(runs) if len(runs) == count else [runs[0]] * count
    first = all_runs[0]
    right = np.array([[answer.right for answer in run] for run in all_runs], np.float64)
    unreadable = np.array(
        [[answer.unreadable is not None for answer in run] for run in all_runs], np.float64
    )
    _, classes = np.unique([answer.label for answer in first], return_inverse=True)
    whole = np.zeros(len(first), np.int64)
    found = {
        ACCURACY: Measured(right, whole),
        BALANCED: Measured(right, classes.astype(np.int64)),
        UNREADABLE: Measured(unreadable, whole),
    }
    known = [row for row, answer in enumerate(first) if answer.findings is not None]
    if known:
        values = [[run[row].findings for row in known] for run in all_runs]
        found[FINDINGS] = Measured(np.array(values, np.float64), whole[known])
    return found


def _groups(answers: Sequence["Answer"]) -> dict[str, list[str]]:
    from skingpt_r1.distill.evaluate import ACCURACY, BALANCED, FINDINGS, UNREADABLE

    groups = [answer.group for answer in answers]
    known = [answer.group for answer in answers if answer.findings is not None]
    return {ACCURACY: groups, BALANCED: groups, UNREADABLE: groups, FINDINGS: known}


def _refuse_other_cases(answers: Answers) -> None:
    wanted = [answer.case for answer in answers[BASE][0]]
    for name, runs in answers.items():
        for run in runs:
            if [answer.case for answer in run] != wanted:
                raise RecipeError(
                    f"cell {name!r} was tried on {len(run)} cases that are not the {len(wanted)} "
                    f"of {BASE!r}; give all cells the same data.seed, data.split and evaluate.split"
                )


def _write(rows: Sequence[AblationRow], folder: Path) -> None:
    write_results(folder, ablation_rows(rows))
    write_json_atomic(folder / "ablation.json", [row._asdict() for row in rows])
    write_bytes_atomic(folder / "ablation.md", ablation_markdown(rows).encode())


def _named(progress: Progress | None, seed: int, corpus: str) -> Progress | None:
    if progress is None:
        return None
    return partial(_tell, progress, f"seed {seed}, {corpus}")


def _tell(progress: Progress, prefix: str, stage: str, done: int, total: int) -> None:
    progress(f"{prefix}: {stage}", done, total)
