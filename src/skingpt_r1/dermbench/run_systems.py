"""Every question to every system, each answer written down as soon as it is there.

    folder/
      run.json               the recipe without its systems, seed, versions, data manifest
      questions.jsonl        what is asked
      systems/<system>.json  what answered: its weights, and what it was trained on of the questions
      answers/<system>.jsonl one record for each question, in their order
      ledger.jsonl           calls to language models, failed ones included

The same call continues what was stopped. What failed for a passing reason is asked again; a run
that nothing is left of asks nobody and loads nothing.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermbench.answers import is_open, keep_answer, settle_answers
from skingpt_r1.dermbench.questions import (
    Asked,
    data_root,
    prepare_questions,
    refuse_changed_pictures,
    with_pictures,
)
from skingpt_r1.dermbench.recipe import BenchRecipe
from skingpt_r1.dermbench.records import LEDGER, Answer, Question
from skingpt_r1.dermbench.systems.card import SystemCard, check_systems
from skingpt_r1.dermbench.systems.named import (
    Choice,
    System,
    Workbench,
    choose_systems,
    open_system,
)
from skingpt_r1.dermbench.systems.own import one_model_at_a_time
from skingpt_r1.errors import CostError, NarratorError
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.runs import Count, Progress, own_run


class SystemTally(NamedTuple):
    """What became of the questions to one system.

    Attributes:
        card: what the system is.
        asked: questions.
        answered: of them, with a text.
        problems: code -> number of the others.
        cut: answers that were cut at the longest length.
    """

    card: SystemCard
    asked: int
    answered: int
    problems: Counter[str]
    cut: int


def run_systems(
    recipe: BenchRecipe,
    folder: Path,
    *,
    systems: Sequence[str] = (),
    max_cost: float | None = None,
    allow_overlap: bool = False,
    progress: Progress | None = None,
) -> list[SystemTally]:
    """Ask every question of every system, or continue where an earlier call was stopped.

    Args:
        recipe: the questions, and how systems are asked.
        folder: of the run.
        systems: asked beside those of the recipe; `MODEL` or `NAME=MODEL`.
        max_cost: most to pay for language models, in US dollars.
        allow_overlap: ask systems that were trained on questions, and mark these.
        progress: told about long stages.

    Returns:
        One tally for each system, in the order of their names in the recipe and in `systems`.

    Raises:
        DatasetError: bad data, or a system that was trained on questions.
        RecipeError: a name that means no system.
        NarratorError: a language model cannot be asked; the other systems were asked.
        CostError: the limit was reached; the other systems were asked.
        TrainingError: the folder belongs to another recipe, or to another process.
    """
    with own_run(folder):
        return _run_systems(recipe, folder, systems, max_cost, allow_overlap, progress)


def _run_systems(
    recipe: BenchRecipe,
    folder: Path,
    systems: Sequence[str],
    max_cost: float | None,
    allow_overlap: bool,
    progress: Progress | None,
) -> list[SystemTally]:
    choices = choose_systems([*recipe.systems, *systems])
    questions = prepare_questions(recipe, folder, progress)
    order = [question.id for question in questions]
    kept = {choice.name: settle_answers(folder, choice.name, order) for choice in choices}
    bench = Workbench(
        recipe,
        folder,
        questions,
        Ledger(folder / LEDGER, max_cost),
        one_model_at_a_time(recipe.models),
    )
    opened = {
        choice: open_system(choice, bench)
        for choice in choices
        if any(is_open(kept[choice.name].get(name)) for name in order)
    }
    cards = check_systems(choices, opened, bench, allow_overlap=allow_overlap, progress=progress)
    asked = with_pictures(questions, data_root(folder))
    if opened:
        refuse_changed_pictures(asked)
    _ask_all(opened, asked, folder, kept, progress)
    return [_tally(cards[choice.name], questions, folder) for choice in choices]


def _ask_all(
    opened: dict[Choice, System],
    asked: Sequence[Asked],
    folder: Path,
    kept: dict[str, dict[str, Answer]],
    progress: Progress | None,
) -> None:
    """A system that fails does not keep the others from being asked."""
    failures: list[NarratorError | CostError] = []
    for choice, system in opened.items():
        done = {name for name, answer in kept[choice.name].items() if not is_open(answer)}
        show = None if progress is None else partial(progress, f"answers: {choice.name}")
        try:
            _ask(system, asked, folder, done, show)
        except (NarratorError, CostError) as error:
            failures.append(error)
        finally:
            settle_answers(folder, choice.name, [item.question.id for item in asked])
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise NarratorError("\n".join(str(error) for error in failures))


def _ask(
    system: System,
    asked: Sequence[Asked],
    folder: Path,
    done: Collection[str],
    progress: Count | None,
) -> None:
    for number, answer in enumerate(system.answer(asked, done), len(done) + 1):
        keep_answer(folder, answer)
        if progress is not None:
            progress(number, len(asked))


def _tally(card: SystemCard, questions: Sequence[Question], folder: Path) -> SystemTally:
    answers = settle_answers(folder, card.system, [item.id for item in questions])
    problems = Counter(answer.problem for answer in answers.values() if answer.problem)
    return SystemTally(
        card,
        asked=len(questions),
        answered=sum(answer.problem is None for answer in answers.values()),
        problems=problems,
        cut=sum(answer.stop_reason == "length" for answer in answers.values()),
    )
