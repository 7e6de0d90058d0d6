"""All judgements of a run as numbers that audits compute with; no text stays but its length."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skingpt_r1.dermbench.answers import read_answers, system_names
from skingpt_r1.dermbench.counted import counted, of_run
from skingpt_r1.dermbench.questions import read_questions
from skingpt_r1.dermbench.records import JUDGEMENTS, Judgement, ProtocolName
from skingpt_r1.errors import RecordError
from skingpt_r1.records import iterate_records
from skingpt_r1.text.rubric import DIMENSIONS

Key = tuple[str, str]  # system, question id
Values = tuple[float, ...]


@dataclass(frozen=True)
class JudgedScores:
    """What one judge said on one scale.

    Attributes:
        judge: its name.
        protocol: the scale.
        repeats: (system, question) -> repeat -> six scores.
    """

    judge: str
    protocol: ProtocolName
    repeats: Mapping[Key, Mapping[int, Values]]

    @property
    def means(self) -> dict[Key, Values]:
        """The mean of the repeats, dimension by dimension."""
        return {
            key: tuple(sum(column) / len(column) for column in zip(*said.values(), strict=True))
            for key, said in self.repeats.items()
        }

    @property
    def overall(self) -> dict[Key, float]:
        """The mean over repeats and dimensions."""
        return {key: sum(values) / len(values) for key, values in self.means.items()}


@dataclass(frozen=True)
class RunScores:
    """A run, as far as audits need it.

    Attributes:
        judges: one entry for each judge and scale.
        groups: question -> what is drawn together.
        lengths: (system, question) -> words of the answer.
        systems: names.
    """

    judges: tuple[JudgedScores, ...]
    groups: Mapping[str, str]
    lengths: Mapping[Key, int]
    systems: tuple[str, ...]


def read_scores(folder: Path) -> RunScores:
    """Go through the judgements of a run.

    Raises:
        RecordError: the folder holds no run, nothing is judged yet, or a judgement is of another
            run.
    """
    groups = {question.id: question.group for question in read_questions(folder)}
    systems = tuple(system_names(folder))
    lengths: dict[Key, int] = {}
    current: dict[Key, str] = {}
    for system in systems:
        for name, answer in read_answers(folder, system).items():
            current[system, name] = answer.sha256
            if answer.problem is None:
                lengths[system, name] = len(answer.text.split())
    found: dict[tuple[str, ProtocolName], dict[Key, dict[int, Values]]] = {}
    kept = counted(_judgements(folder, systems, groups, found), current)
    for (system, name, judge, protocol, repeat), values in kept.items():
        if values is not None:
            found[judge, protocol].setdefault((system, name), {})[repeat] = values
    if not found:
        raise RecordError(
            f"{folder} has no judgements yet; judge with `skingpt bench judge {folder.name}` first"
        )
    judges = tuple(JudgedScores(*scale, repeats) for scale, repeats in sorted(found.items()))
    return RunScores(judges, groups, lengths, systems)


def _judgements(
    folder: Path,
    systems: Collection[str],
    questions: Collection[str],
    found: dict[tuple[str, ProtocolName], dict[Key, dict[int, Values]]],
) -> Iterator[tuple[Values | None, Judgement]]:
    """Values of each record; every judge gets its place in `found`, whether any counts or not."""
    for path in sorted((folder / JUDGEMENTS).glob("*/*.jsonl")):
        records = ((_values(record), record) for record in iterate_records(path, Judgement))
        for values, record in of_run(path, records, systems, questions):
            found.setdefault((record.judge, record.protocol), {})
            yield values, record


def _values(record: Judgement) -> Values | None:
    given = record.scores
    return None if given is None else tuple(given[name] for name in DIMENSIONS)
