"""Every question to every system: the answers of a run, and which of them count.

    folder/
      run.json               the recipe without its systems, seed, versions, data manifest
      questions.jsonl        what is asked
      systems/<system>.json  what answered: its weights, and what it was trained on of the questions
      answers/<system>.jsonl one record for each question, in their order
      ledger.jsonl           calls to language models, failed ones included

The same call continues what was stopped. What failed for a passing reason is asked again; meanwhile
an id may stand twice in a file: the record that needs no repetition counts, else the last. A run
that nothing is left of asks nobody and loads nothing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from skingpt_r1.dermbench.questions import (
    Asked,
    data_root,
    prepare_questions,
    refuse_changed_pictures,
    with_pictures,
)
from skingpt_r1.dermbench.recipe import BenchRecipe
from skingpt_r1.dermbench.records import LEDGER, Answer, file_stem
from skingpt_r1.dermbench.systems.card import SystemCard, check_systems
from skingpt_r1.dermbench.systems.named import System, Workbench, choose_systems, open_system
from skingpt_r1.dermbench.systems.own import one_model_at_a_time
from skingpt_r1.errors import CostError, NarratorError, RecordError
from skingpt_r1.llm.budget import PASSING, Ledger
from skingpt_r1.records import (
    append_record,
    counting,
    iterate_records,
    read_records,
    resume_records,
    write_bytes_atomic,
)
from skingpt_r1.runs import Count, Progress, own_run

# problem code -> what it means; every answer without text carries one of these.
PROBLEMS: Mapping[str, str] = MappingProxyType(
    {
        "refusal": "the system declines to answer",
        "empty": "the reply has no words",
        "too_long": "the reply is longer than any answer",
        "timeout": "no reply came in time",
        "connection": "the connection broke",
        "server_error": "the server failed",
        "rate_limited": "the server turned the request away",
        "no_picture": "the question has no picture, and the system must look at one",
        "no_reference": "the question has no reference to repeat",
    }
)
# Asked again by the next start; everything else is what the system has to say.
REPEATED = PASSING


def answers_path(folder: Path, system: str) -> Path:
    """The file of a system's answers."""
    return folder / "answers" / f"{file_stem(system)}.jsonl"


def read_answers(folder: Path, system: str) -> dict[str, Answer]:
    """Question id -> the answer that counts; what was never asked is not there.

    Raises:
        RecordError: the file breaks its schema.
    """
    path = answers_path(folder, system)
    return _counting(read_records(path, Answer)) if path.exists() else {}


def system_names(folder: Path) -> list[str]:
    """The systems that have answers in a run's folder, by name."""
    found = []
    for path in sorted((folder / "answers").glob("*.jsonl")):
        found += [answer.system for answer in islice(iterate_records(path, Answer), 1)]
    return found


def settle_answers(folder: Path, system: str, order: Sequence[str]) -> dict[str, Answer]:
    """The answers that count; their file then has one record for each id, in the order of `order`.

    Raises:
        RecordError: the file breaks its schema, or is of another system or other questions.
    """
    path = answers_path(folder, system)
    places = set(order)
    records: list[Answer] = resume_records(path, Answer).records
    strangers = [item for item in records if item.system != system or item.id not in places]
    if strangers:
        raise RecordError(
            f"{path} holds {len(strangers)} answers of another system or to other questions "
            f"({strangers[0].system!r}, question {strangers[0].id!r}); choose a new folder, or "
            "delete this file"
        )
    answers = _counting(records)
    settled = [answers[name] for name in order if name in answers]
    if settled != records:
        # As `append_records` writes them: a run that was stopped ends with the same bytes.
        plain = (answer.model_dump(mode="json") for answer in settled)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in plain)
        write_bytes_atomic(path, lines.encode())
    return answers


def is_open(answer: Answer | None) -> bool:
    """Whether a question is to be asked, for the first time or again."""
    return answer is None or answer.problem in REPEATED


def _counting(records: Iterable[Answer]) -> dict[str, Answer]:
    return counting(records, lambda item: item.id, lambda item: not is_open(item))


class SystemTally(NamedTuple):
    """What became of the questions to one system."""

    card: SystemCard
    asked: int
    answered: int  # number of questions with a text
    problems: Counter[str]  # code -> number of the others
    cut: int  # number of answers that were cut at the longest length


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

    `systems` (`MODEL` or `NAME=MODEL`) are asked beside those of the recipe, for at most `max_cost`
    US dollars; with `allow_overlap` systems that were trained on questions are asked and marked.

    Raises:
        DatasetError: bad data, or a system that was trained on questions.
        RecipeError: a name that means no system.
        NarratorError: a language model cannot be asked; the other systems were asked.
        CostError: the limit was reached; the other systems were asked.
        TrainingError: the folder belongs to another recipe, or to another process.
    """
    with own_run(folder):
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
        cards = check_systems(
            choices, opened, bench, allow_overlap=allow_overlap, progress=progress
        )
        asked = with_pictures(questions, data_root(folder))
        if opened:
            refuse_changed_pictures(asked)
        kept |= _ask_all(opened.values(), asked, folder, progress)
        return [_tally(cards[name], len(questions), answers) for name, answers in kept.items()]


def _ask_all(
    systems: Iterable[System], asked: Sequence[Asked], folder: Path, progress: Progress | None
) -> dict[str, dict[str, Answer]]:
    """A system that fails does not keep the others from being asked."""
    answers: dict[str, dict[str, Answer]] = {}
    failures: list[NarratorError | CostError] = []
    for system in systems:
        show = None if progress is None else partial(progress, f"answers: {system.name}")
        try:
            answers[system.name] = ask_system(system, asked, folder, show)
        except (NarratorError, CostError) as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise NarratorError("\n".join(str(error) for error in failures))
    return answers


def ask_system(
    system: System, asked: Sequence[Asked], folder: Path, count: Count | None = None
) -> dict[str, Answer]:
    """Ask one system what it has not answered yet; its file then has the questions' order.

    Returns:
        Question id -> the answer that counts.
    """
    order = [item.question.id for item in asked]
    kept = settle_answers(folder, system.name, order)
    done = {name for name, answer in kept.items() if not is_open(answer)}
    try:
        for number, answer in enumerate(system.answer(asked, done), len(done) + 1):
            append_record(answers_path(folder, answer.system), answer)
            if count is not None:
                count(number, len(asked))
    finally:
        kept = settle_answers(folder, system.name, order)
    return kept


def _tally(card: SystemCard, asked: int, answers: Mapping[str, Answer]) -> SystemTally:
    return SystemTally(
        card,
        asked=asked,
        answered=sum(answer.problem is None for answer in answers.values()),
        problems=Counter(answer.problem for answer in answers.values() if answer.problem),
        cut=sum(answer.stop_reason == "length" for answer in answers.values()),
    )
