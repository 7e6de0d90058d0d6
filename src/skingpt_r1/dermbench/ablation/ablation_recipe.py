"""What an ablation is made of: cells, seeds, and the differences that are asked for."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from skingpt_r1.dermbench.recipe import Section
from skingpt_r1.model.placement import ModelRecipe
from skingpt_r1.recipes import read_recipe

BASE = "base"
Corpus = Literal["filtered", "unfiltered"]


class Cell(Section):
    """One row of the table: a recipe of distillation, and how it differs from its file.

    Attributes:
        name: as printed; the plain backbone is `base` and needs no cell.
        recipe: a file beside the ablation's.
        settings: changes `a.b=c` to it.
        features: name of the feature store; cells that read the same features share one.
        start: an earlier cell whose adapters are the first values of this one's.
        corpus: which narratives it learns from; `unfiltered` takes as many by chance.
    """

    name: str = Field(min_length=1)
    recipe: str
    settings: tuple[str, ...] = ()
    features: str
    start: str | None = None
    corpus: Corpus = "filtered"


class AblationRecipe(Section):
    """One ablation.

    Attributes:
        name: of the ablation; letters, digits, `_`, `-` and `.`.
        seeds: every cell is trained once with each.
        corpus: folder of a finished corpus with certified cases, which every cell then learns from
            and is tried on; None takes the data of the recipes.
        settings: changes to the recipes of all cells.
        models: device and number format of the frozen backbone, for all cells.
        cells: in the order of training.
        differences: pairs (better, worse) of names, `base` among them.
        resamples: of the intervals.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    corpus: Path | None = None
    settings: tuple[str, ...] = ()
    models: ModelRecipe = ModelRecipe()
    cells: tuple[Cell, ...] = Field(min_length=1)
    differences: tuple[tuple[str, str], ...] = ()
    resamples: PositiveInt = 2000

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
    """Read a recipe of an ablation; see `distill.recipe_values.read_recipe`."""
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
