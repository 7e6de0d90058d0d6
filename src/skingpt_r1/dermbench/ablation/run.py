"""Every cell of an ablation trained with every seed and tried on the same unseen cases.

    folder/
      seed_<n>/<corpus>/   a comparison: one run for each cell, answers/, features/
      published_<corpus>/  the corpora, where the recipe names one
      results.json         the table, with intervals over seeds and cases
      ablation.json        the same, each cell with its runs and the mean of each seed
      ablation.md          the same to be read

The same call continues what was stopped. The unfiltered corpus has as many narratives as the
filtered one, chosen by chance. Each resample draws seeds and groups of cases anew, so that an
interval holds for other cases and for training again; with one seed for other cases alone.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from skingpt_r1.dermbench.ablation.compare import (
    ACCURACY,
    BALANCED,
    BASE,
    FINDINGS,
    UNREADABLE,
    TrainedSystem,
    Tried,
    compare,
    folder_name,
)
from skingpt_r1.dermcot.corpus import corpus_path, read_corpus
from skingpt_r1.dermcot.pipeline import SELECTION, read_selection, select_corpus
from skingpt_r1.dermcot.publish import Options, publish
from skingpt_r1.dermcot.recipe import SelectRecipe
from skingpt_r1.errors import RecipeError
from skingpt_r1.model.config import ModelRecipe
from skingpt_r1.recipes import Section, read_recipe
from skingpt_r1.records import ResultRow, write_bytes_atomic, write_json_atomic, write_results
from skingpt_r1.runs import LOCK, Progress, own_run
from skingpt_r1.stats.intervals import (
    Bootstrap,
    Floats,
    Integers,
    Interval,
    bootstrap_weights,
    per_cent,
    percentile_interval,
    ratio,
)
from skingpt_r1.text.tokens import table

Corpus = Literal["filtered", "unfiltered"]


class Cell(Section):
    """One row of the table: a recipe of distillation, and how it differs from its file.

    Attributes:
        corpus: which narratives it learns from; `unfiltered` takes as many by chance.
    """

    name: str = Field(min_length=1)  # the plain backbone is `base` and needs no cell
    recipe: str  # a file beside the ablation's
    settings: tuple[str, ...] = ()  # changes `a.b=c` to it
    features: str  # name of the feature store; cells that read the same features share one
    start: str | None = None  # an earlier cell whose adapters are the first values of this one's
    corpus: Corpus = "filtered"


class AblationRecipe(Section):
    """One ablation.

    Attributes:
        seeds: every cell is trained once with each.
        corpus: folder of a finished corpus with certified cases, which every cell then learns from
            and is tried on; None takes the data of the recipes.
        models: device and number format of the frozen backbone, for all cells.
        differences: pairs (better, worse) of names, `base` among them.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    corpus: Path | None = None
    settings: tuple[str, ...] = ()  # changes to the recipes of all cells
    models: ModelRecipe = ModelRecipe()
    cells: tuple[Cell, ...] = Field(min_length=1)  # in the order of training
    differences: tuple[tuple[str, str], ...] = ()
    resamples: PositiveInt = 2000  # of the intervals

    @model_validator(mode="after")
    def _check(self) -> Self:
        repeated = [seed for seed, count in Counter(self.seeds).items() if count > 1]
        if repeated:
            raise ValueError(f"seeds: {repeated[0]} stands there twice; name each seed once")
        seen: dict[str, Cell] = {}
        for cell in self.cells:
            _check_cell(cell, seen)
            seen[cell.name] = cell
        known = {BASE, *seen}
        for name in (name for pair in self.differences for name in pair):
            if name not in known:
                raise ValueError(
                    f"differences: no cell is called {name!r}; known: {', '.join(sorted(known))}"
                )
        if self.corpus is None and any(cell.corpus == "unfiltered" for cell in self.cells):
            raise ValueError(
                "corpus is missing: a cell learns from the unfiltered narratives of a corpus; name "
                "the folder of a finished one (`make demo` leaves runs/demo/corpus)"
            )
        return self


def load_ablation(path: Path | str, settings: Sequence[str] = ()) -> AblationRecipe:
    """Read a recipe of an ablation; see `recipes.read_recipe`."""
    return read_recipe(AblationRecipe, path, settings)


def _check_cell(cell: Cell, seen: dict[str, Cell]) -> None:
    if cell.name == BASE:
        raise ValueError(f"cells: {BASE!r} is the plain backbone and always there")
    if cell.name in seen:
        raise ValueError(f"cells: {cell.name!r} stands there twice; names must differ")
    if cell.start is None:
        return
    if cell.start not in seen:
        raise ValueError(
            f"cells: {cell.name!r} starts from {cell.start!r}, which is no cell before it"
        )
    if seen[cell.start].corpus != cell.corpus:
        raise ValueError(
            f"cells: {cell.name!r} learns from the {cell.corpus} narratives and starts from "
            f"{cell.start!r}, which does not"
        )


_RENEWED = (SELECTION, "corpus.jsonl", "held_out.jsonl", "stages/6_select.jsonl")


def published_corpora(corpus: Path, folder: Path, wanted: Iterable[Corpus]) -> dict[Corpus, Path]:
    """Publish the wanted ones of a finished corpus, which is not changed.

    Both have the same certified cases and the same number of narratives.

    Raises:
        RecordError: the corpus is not finished.
    """
    found: dict[Corpus, Path] = {}
    for name in dict.fromkeys(wanted):
        source = corpus if name == "filtered" else by_chance(corpus, folder / "by_chance")
        found[name] = folder / f"published_{name}"
        publish(source, found[name], Options(name=f"{name} corpus", workers=2))
    return found


def by_chance(corpus: Path, folder: Path) -> Path:
    """A copy of a corpus whose selection leaves everything to chance; of the same size.

    Raises:
        RecordError: the candidates of the corpus were never selected.
    """
    settings = SelectRecipe(**read_selection(corpus)).model_dump()
    keep = sum(1 for _ in read_corpus(corpus))
    if not corpus_path(folder).exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(corpus, folder, copy_function=_link, ignore=shutil.ignore_patterns(LOCK))
        for name in _RENEWED:
            (folder / name).unlink(missing_ok=True)
    chance = {"order": "random", "keep": keep, "minimum_mean": 0.0, "minimum": 0.0}
    select_corpus(folder, SelectRecipe(**{**settings, **chance}))
    return folder


def _link(source: str, target: str) -> None:
    """Pictures are shared; files that are appended to must be copies."""
    if source.endswith((".jsonl", ".json")):
        shutil.copy2(source, target)
        return
    try:
        Path(target).hardlink_to(source)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


BASE_ANSWERS = Path("answers") / "base.jsonl"
TABLE = "ablation"


class AblationRow(NamedTuple):
    """One cell, or the difference of two, whose name is `better - worse`."""

    name: str
    runs: tuple[str, ...]  # the folders that its numbers are from, one for each of the seeds
    seeds: tuple[int, ...]
    cases: int  # number of unseen cases
    metrics: Mapping[str, Interval]  # metric -> mean over seeds and cases
    by_seed: Mapping[str, tuple[float, ...]]  # metric -> the mean of each seed


class Measured(NamedTuple):
    """One metric of a cell: `[seeds, n]`, and the class and the group of each of the n cases.

    The mean is taken within each class first; all classes are 0 for a plain mean.
    """

    values: Floats
    classes: Integers
    groups: Sequence[str]

    def __sub__(self, other: Self) -> Self:
        """Paired by seed and case."""
        return self._replace(values=self.values - other.values)

    def means(self, sums: Floats, weights: Floats) -> Floats:
        """The mean of each row of `[rows, n]` sums and weights."""
        member = np.eye(int(self.classes.max()) + 1)[self.classes]
        found: Floats = np.nanmean(ratio(sums @ member, weights @ member), axis=1)
        return found


# System -> the folder of its run and what it said, for each seed.
Runs = dict[str, list[tuple[str, Tried]]]


def run_ablation(
    recipe: AblationRecipe, recipes: Path, folder: Path, progress: Progress | None = None
) -> list[AblationRow]:
    """Train, try and compare: one row for `base`, each cell and each difference.

    Raises:
        RecipeError: a recipe of a cell (in `recipes`) cannot be read, or the cells are not tried
            on equal cases.
    """
    # All recipes are read before anything is trained.
    planned = {seed: _plan(recipe, recipes, seed) for seed in recipe.seeds}
    corpora: dict[Corpus, Path] = {}
    runs: Runs = {}
    with own_run(folder):
        if recipe.corpus is not None:
            wanted = [cell.corpus for cell in recipe.cells]
            corpora = published_corpora(recipe.corpus, folder, ["filtered", *wanted])
        for seed, systems in planned.items():
            for corpus, cells in systems.items():
                chosen = [_taught(system, corpora.get(corpus)) for system in cells]
                place = Path(f"seed_{seed}") / corpus
                show = progress and partial(_show, progress, f"seed {seed}, {corpus}")
                _compare(chosen, folder, place, runs, show)
        rows = _rows(recipe, runs)
        write_results(folder, ablation_rows(rows))
        write_json_atomic(folder / "ablation.json", [row._asdict() for row in rows])
        write_bytes_atomic(folder / "ablation.md", ablation_markdown(rows).encode())
    return rows


def _plan(recipe: AblationRecipe, recipes: Path, seed: int) -> dict[Corpus, list[TrainedSystem]]:
    from skingpt_r1.distill.recipe import load_recipe

    where = [f"models.{key}={value}" for key, value in recipe.models.model_dump().items()]
    planned: dict[Corpus, list[TrainedSystem]] = {}
    for cell in recipe.cells:
        settings = [*recipe.settings, *cell.settings, *where]
        settings += [f"seed={seed}", "evaluate.count=null", "start=null"]
        read = load_recipe(recipes / cell.recipe, settings)
        system = TrainedSystem(cell.name, read, cell.features, cell.start)
        planned.setdefault(cell.corpus, []).append(system)
    return planned


def _taught(system: TrainedSystem, root: Path | None) -> TrainedSystem:
    """The system, learning from a published corpus where there is one."""
    if root is None:
        return system
    # The recipe is checked once more, as the corpus's own parts must be kept.
    from skingpt_r1.distill.recipe import make_recipe

    values = system.recipe.model_dump(mode="json")
    values["data"] |= {
        "dataset": "dermcot", "root": str(root), "split": "official", "narratives": "given",
    }  # fmt: skip
    return system._replace(recipe=make_recipe(values, system.name))


def _compare(
    systems: Sequence[TrainedSystem],
    folder: Path,
    place: Path,
    runs: Runs,
    progress: Progress | None,
) -> None:
    # The plain backbone says the same whatever the seed, so that it is asked once.
    asked = BASE in runs
    target = folder / place / BASE_ANSWERS
    if asked and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / runs[BASE][0][0] / BASE_ANSWERS, target)
    found = compare(systems, folder / place, table="comparison", differences=(), progress=progress)
    for name, tried in found.tried.items():
        if name != BASE:
            runs.setdefault(name, []).append(((place / folder_name(name)).as_posix(), tried))
        elif not asked:
            runs[BASE] = [(place.as_posix(), tried)]


def _rows(recipe: AblationRecipe, runs: Runs) -> list[AblationRow]:
    _refuse_other_cases(runs)
    boot = Bootstrap(seed=recipe.seeds[0], resamples=recipe.resamples)
    # The one run of the plain backbone stands for every seed.
    same = {BASE: runs[BASE] * len(recipe.seeds)}
    measured = {name: _measured([tried for _, tried in of]) for name, of in (runs | same).items()}
    rows = []
    for name in (BASE, *(cell.name for cell in recipe.cells)):
        folders = [folder for folder, _ in runs[name]]
        seeds = recipe.seeds[: len(folders)]
        rows.append(_row(name, measured[name], folders, seeds, boot))
    for better, worse in recipe.differences:
        other = measured[worse]
        pairs = {metric: item - other[metric] for metric, item in measured[better].items()}
        rows.append(_row(f"{better} - {worse}", pairs, (), recipe.seeds, boot))
    return rows


def _measured(runs: Sequence[Tried]) -> dict[str, Measured]:
    said = runs[0].said
    right = np.array([run.said.right for run in runs])
    whole = np.zeros(len(said.labels), np.int64)
    found = {
        ACCURACY: Measured(right, whole, said.groups),
        BALANCED: Measured(right, said.labels, said.groups),
        UNREADABLE: Measured(np.array([run.unreadable for run in runs]), whole, said.groups),
    }
    if known := runs[0].known:
        values = np.array([run.findings[known] for run in runs])
        found[FINDINGS] = Measured(values, whole[known], [said.groups[row] for row in known])
    return found


def _refuse_other_cases(runs: Runs) -> None:
    wanted = [answer.id for answer in runs[BASE][0][1].answers]
    for name, (_, tried) in ((name, run) for name, of in runs.items() for run in of):
        if [answer.id for answer in tried.answers] != wanted:
            raise RecipeError(
                f"cell {name!r} was tried on {len(tried.answers)} cases that are not the "
                f"{len(wanted)} of {BASE!r}; give all cells the same data.seed, data.split and "
                "evaluate.split"
            )


def _show(progress: Progress, prefix: str, stage: str, done: int, total: int) -> None:
    progress(f"{prefix}: {stage}", done, total)


def _row(
    name: str,
    metrics: Mapping[str, Measured],
    runs: Sequence[str],
    seeds: Sequence[int],
    boot: Bootstrap,
) -> AblationRow:
    found = {metric: over_seeds(item, boot) for metric, item in metrics.items()}
    return AblationRow(
        name,
        tuple(runs),
        tuple(seeds),
        max(item.values.shape[1] for item in metrics.values()),
        {metric: interval for metric, interval in found.items() if interval is not None},
        {
            metric: tuple(item.means(item.values, np.ones_like(item.values)).tolist())
            for metric, item in metrics.items()
        },
    )


def over_seeds(item: Measured, boot: Bootstrap) -> Interval | None:
    """The mean with an interval over seeds and groups of cases."""
    num_seeds, n = item.values.shape
    generator = np.random.default_rng([boot.seed, num_seeds])
    drawn: list[Floats] = []
    for weights in bootstrap_weights(n, item.groups, **boot._asdict()):
        chosen = generator.integers(0, num_seeds, (len(weights), num_seeds))
        share = (chosen[:, :, None] == np.arange(num_seeds)).mean(axis=1)
        drawn.append(item.means((share @ item.values) * weights, weights))
    value = float(item.means(item.values.mean(axis=0)[None], np.ones((1, n)))[0])
    return percentile_interval(value, np.concatenate(drawn), n, len(set(item.groups)))


def ablation_rows(rows: Sequence[AblationRow]) -> list[ResultRow]:
    """As `results.json` has them."""
    return [
        interval.row(TABLE, row.name, metric)
        for row in rows
        for metric, interval in row.metrics.items()
    ]


def ablation_markdown(rows: Sequence[AblationRow]) -> str:
    """The table as Markdown: one line for each cell, with its runs."""
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.metrics))
    head = ["cell", *(f"{metric}, %" for metric in metrics), "runs"]
    lines = [
        [row.name, *(cell_text(row, metric) for metric in metrics), ", ".join(row.runs) or "-"]
        for row in rows
    ]
    return "\n".join(table(head, lines)) + "\n"


def cell_text(row: AblationRow, metric: str) -> str:
    """`51.6 (45.9 to 57.2)`, in per cent; a dash where the metric is not known."""
    found = row.metrics.get(metric)
    return "-" if found is None else per_cent(found.value, *(found.ends or (None, None)))
