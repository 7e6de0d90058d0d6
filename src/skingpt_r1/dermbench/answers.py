"""The answers of a run: where they are, which of them count, and which are asked for again.

A file holds one record for each question in the order of the questions. While a run repeats what
failed, an id may stand there twice: the record that needs no repetition counts, else the last.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from skingpt_r1.dermbench.records import Answer
from skingpt_r1.errors import RecordError
from skingpt_r1.llm.failures import PASSING
from skingpt_r1.records import (
    append_records,
    iterate_records,
    read_records,
    resume_records,
    write_bytes_atomic,
)

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


def file_stem(system: str) -> str:
    """The name of a system as the name of a file."""
    return re.sub(r"[^\w.+-]+", "-", system).strip("-.")


def read_answers(folder: Path, system: str) -> dict[str, Answer]:
    """Question id -> the answer that counts; what was never asked is not there.

    Raises:
        RecordError: the file breaks its schema.
    """
    path = answers_path(folder, system)
    return _counted(read_records(path, Answer)) if path.exists() else {}


def system_names(folder: Path) -> list[str]:
    """The systems that have answers in a run's folder, by name."""
    found = []
    for path in sorted((folder / "answers").glob("*.jsonl")):
        found += [answer.system for answer in islice(iterate_records(path, Answer), 1)]
    return found


def settle_answers(folder: Path, system: str, order: Sequence[str]) -> dict[str, Answer]:
    """The answers that count, with the file brought into order: one record for each id.

    Args:
        folder: of the run.
        system: whose answers.
        order: the ids of the questions.

    Raises:
        RecordError: the file breaks its schema, or is of another system or other questions.
    """
    path = answers_path(folder, system)
    known = set(order)
    records: list[Answer] = resume_records(path, Answer).records
    strangers = [item for item in records if item.system != system or item.id not in known]
    if strangers:
        raise RecordError(
            f"{path} holds {len(strangers)} answers of another system or to other questions "
            f"({strangers[0].system!r}, question {strangers[0].id!r}); choose a new folder, or "
            "delete this file"
        )
    counted = _counted(records)
    settled = [counted[name] for name in order if name in counted]
    if settled != records:
        # As `append_records` writes them: a run that was stopped ends with the same bytes.
        plain = (answer.model_dump(mode="json") for answer in settled)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in plain)
        write_bytes_atomic(path, lines.encode())
    return counted


def keep_answer(folder: Path, answer: Answer) -> None:
    """Append an answer to its system's file."""
    append_records(answers_path(folder, answer.system), [answer])


def is_open(answer: Answer | None) -> bool:
    """Whether a question is to be asked, for the first time or again."""
    return answer is None or answer.problem in REPEATED


def _counted(records: Iterable[Answer]) -> dict[str, Answer]:
    counted: dict[str, Answer] = {}
    for answer in records:
        if is_open(counted.get(answer.id)):
            counted[answer.id] = answer
    return counted
