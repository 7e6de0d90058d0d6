"""Narrators by name: the offline one, our own model, or any model that inspect-ai can name."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from skingpt_r1.dermcot import corpus_part as corpus
from skingpt_r1.dermcot.cases import planned_candidates
from skingpt_r1.dermcot.corpus import CaseRecord, Stage, StageRecord
from skingpt_r1.dermcot.offline import CONTRADICTED_FROM, OfflineNarrator, likeness_of
from skingpt_r1.dermcot.own_model import load_own_model
from skingpt_r1.dermcot.pipeline import Narrators
from skingpt_r1.dermcot.recipe import OFFLINE, SYNTHETIC, CorpusRecipe
from skingpt_r1.dermcot.stages.reason import reason_task
from skingpt_r1.dermcot.stages.write import observe_task
from skingpt_r1.errors import RecipeError
from skingpt_r1.llm.ask import Narrator, Task
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.llm.estimate import estimate
from skingpt_r1.llm.open_model import open_model_narrator
from skingpt_r1.records import iterate_records

OWN = "own:"
LEDGER = "ledger.jsonl"


def make_narrators(
    recipe: CorpusRecipe, folder: Path, *, max_cost: float | None = None
) -> Narrators:
    """The narrators of a recipe; one that is named for both texts is made once.

    Args:
        recipe: names them.
        folder: of the corpus, whose cases are gathered.
        max_cost: most to pay for language models, in US dollars.

    Raises:
        RecipeError: a name that means no narrator.
        NarratorError: a language model that cannot be asked.
        CostError: a cost limit over calls without a price.
    """
    observe, reason = recipe.narrators.observe, recipe.narrators.reason
    ledger = open_ledger(folder, max_cost)
    made: dict[str, Narrator] = {}
    for name in (observe, reason):
        if name not in made:
            made[name] = _make(name, recipe, folder, ledger)
    return Narrators(made[observe], made[reason])


def check_name(name: str) -> None:
    """Refuse a name that means no narrator.

    Raises:
        RecipeError: see `make_narrators`.
    """
    if name != OFFLINE and not name.startswith(OWN) and "/" not in name:
        raise RecipeError(
            f"no narrator is called {name!r}; give {OFFLINE!r}, 'own:nano', 'own:<directory>', or "
            "a model as inspect-ai names it, for example 'openai/gpt-5', or '<URL>#<model>'"
        )


def check_models(recipe: CorpusRecipe, folder: Path, *, max_cost: float | None = None) -> None:
    """Open the language models of a recipe before any work, as far as that goes without a call.

    Raises:
        NarratorError: one is not known, its package is not installed or its key is missing.
        CostError: a cost limit over calls without a price.
    """
    ledger = open_ledger(folder, max_cost)
    for name in {recipe.narrators.observe, recipe.narrators.reason}:
        if is_called(name):
            _open_model(name, recipe, ledger)


def open_ledger(folder: Path, max_cost: float | None = None) -> Ledger:
    """The ledger of a corpus; one for both texts and for every time that the run is taken up."""
    return Ledger(folder / LEDGER, max_cost)


def is_called(name: str) -> bool:
    """Whether a narrator is a language model that is called and may cost."""
    return name != OFFLINE and not name.startswith(OWN)


def _open_model(name: str, recipe: CorpusRecipe, ledger: Ledger) -> Narrator:
    wanted = recipe.narrators
    return open_model_narrator(name, api=wanted.api, calls=wanted.calls, ledger=ledger)


def _make(name: str, recipe: CorpusRecipe, folder: Path, ledger: Ledger) -> Narrator:
    check_name(name)
    if name == OFFLINE:
        return _offline(recipe, folder)
    if name.startswith(OWN):
        return load_own_model(name.removeprefix(OWN), recipe.models)
    return _open_model(name, recipe, ledger)


def _offline(recipe: CorpusRecipe, folder: Path) -> OfflineNarrator:
    cases = iterate_records(corpus.cases_path(folder), CaseRecord)
    is_synthetic = recipe.cases.dataset == SYNTHETIC
    return OfflineNarrator(
        likeness_of(cases),
        slips=recipe.narrators.slips,
        seed=recipe.seed,
        contradicted_from=CONTRADICTED_FROM if is_synthetic else None,
    )


def estimate_lines(recipe: CorpusRecipe, folder: Path) -> Iterator[str]:
    """What each narrator would still be asked and could cost at most, one line for each text.

    Every case is counted, as if none were dropped on the way.
    """
    tasks: dict[Stage, Callable[..., Task]] = {"observe": observe_task, "reason": reason_task}
    names = {"observe": recipe.narrators.observe, "reason": recipe.narrators.reason}
    for step, make_task in tasks.items():
        path = corpus.stage_path(folder, step)
        done = sum(1 for _ in iterate_records(path, StageRecord)) if path.is_file() else 0
        planned = islice(planned_candidates(recipe.cases, folder), done, None)
        wanted = (make_task(found, folder=folder, seed=recipe.seed) for found in planned)
        name = names[step]
        if not is_called(name):
            yield f"{step}: {name}: {sum(1 for _ in wanted):,} texts, no cost"
        else:
            api, calls = recipe.narrators.api, recipe.narrators.calls
            yield f"{step}: {estimate(wanted, name, api=api, calls=calls)}"
