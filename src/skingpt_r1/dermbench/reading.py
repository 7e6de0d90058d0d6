"""A benchmark run gone through once: what counts for the tables stays in memory, no text does.

Texts are read again by the place of their record in its file.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from skingpt_r1.dermbench.answers import answers_path, is_open, system_names
from skingpt_r1.dermbench.classification.labels import LABEL_SETS, LabelSet
from skingpt_r1.dermbench.classification.match import (
    LabelVerdict,
    MatchedLabel,
    judge_label,
    likeliest,
    match_answer,
)
from skingpt_r1.dermbench.judgements import judgements_of, judgements_that_count
from skingpt_r1.dermbench.questions import read_questions
from skingpt_r1.dermbench.records import JUDGEMENTS, Answer, Judgement, ProtocolName, Question
from skingpt_r1.dermbench.systems.card import SystemCard, card_path, read_card
from skingpt_r1.errors import RecordError
from skingpt_r1.stats.intervals import Floats
from skingpt_r1.text.rubric import DIMENSIONS

RecordT = TypeVar("RecordT", bound=BaseModel)


class RecordIndex(Generic[RecordT]):
    """A JSON Lines file that is gone through once and read again record by record."""

    def __init__(self, path: Path, record_type: type[RecordT]) -> None:
        self._path = path
        self._type = record_type
        self._file: BinaryIO | None = None

    def __iter__(self) -> Iterator[tuple[int, RecordT]]:
        """Place and record, in the order of the file; a torn last line is left out.

        Raises:
            RecordError: the file cannot be read, or a line breaks the schema.
        """
        place = 0
        try:
            with self._path.open("rb") as file:
                for row, line in enumerate(file, 1):
                    try:
                        record = self._read(line, f"line {row}")
                    except RecordError:
                        if line.endswith(b"\n"):
                            raise
                        return
                    yield place, record
                    place += len(line)
        except OSError as error:
            raise RecordError(f"cannot read {self._path}: {error.strerror or error}") from error

    def at(self, place: int) -> RecordT:
        """The record at a place that going through the file gave."""
        if self._file is None:
            self._file = self._path.open("rb")
        self._file.seek(place)
        return self._read(self._file.readline(), f"byte {place}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, line: bytes, where: str) -> RecordT:
        try:
            return self._type.model_validate_json(line)
        except ValidationError as error:
            # The value stays out of the message: it may be patient data.
            problem = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, problem["loc"]))
            raise RecordError(f"{self._path}, {where}: field {field}: {problem['msg']}") from error


NOT_ASKED = "not asked yet"
NOT_JUDGED = "not judged yet"

Scale = tuple[str, ProtocolName]


class Said(NamedTuple):
    """What counts of one answer, whose record is at a place of the file.

    Attributes:
        sha256: of the text; a judgement of another text does not count.
        matched: the label that the text names, for classification.
        weighed: the likeliest candidate, where candidates are weighed.
        chances: probabilities in the order of the label set.
        verdict: the diagnosis beside the label, for narratives.
    """

    place: int
    sha256: str
    problem: str | None
    matched: MatchedLabel | None = None
    weighed: MatchedLabel | None = None
    chances: tuple[float, ...] | None = None
    verdict: LabelVerdict | None = None


@dataclass
class Judged:
    """What one judge said on one scale of one system.

    Attributes:
        places: question id -> places in the file of the judgements that count, by repeat.
        sums: `[n, 7]`: sums of the scores over the repeats, and how many there are.
        reasons: question id -> why the last repeat is unscored.
        cut: questions whose judged text was cut.
    """

    path: Path
    places: dict[str, list[int]]
    sums: Floats
    reasons: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    days: set[str] = field(default_factory=set)

    @property
    def scores(self) -> Floats:
        """`[n, 6]`: mean over the repeats; NaN where unscored."""
        counts = self.sums[:, -1:]
        means = np.full((len(counts), len(DIMENSIONS)), np.nan)
        np.divide(self.sums[:, :-1], counts, out=means, where=counts > 0)
        return means


@dataclass(frozen=True)
class RunReading:
    """A run: `said` is by system and question id, `judged` by judge and scale, then by system.

    `place` is the number of a question by its id; `systems` are in the order of the tables.
    """

    folder: Path
    questions: list[Question]
    place: dict[str, int]
    systems: tuple[str, ...]
    said: dict[str, dict[str, Said]]
    judged: dict[Scale, dict[str, Judged]]
    cards: dict[str, SystemCard]

    def overlapping(self, system: str) -> frozenset[str]:
        """Questions that a system was trained on."""
        card = self.cards.get(system)
        return frozenset(card.overlapping if card else ())


def read_run(folder: Path) -> RunReading:
    """Go through a run's folder.

    Raises:
        RecordError: a file breaks its schema, or speaks of other questions.
    """
    questions = read_questions(folder)
    place = {question.id: number for number, question in enumerate(questions)}
    if len(place) < len(questions):
        raise RecordError(f"{folder}: question ids appear twice; they must be unique in a run")
    systems = tuple(system_names(folder))
    sets = label_sets_of(questions)
    said = {system: _read_answers(folder, system, questions, place, sets) for system in systems}
    judged = _read_judgements(folder, place, said)
    cards = {name: read_card(folder, name) for name in systems if card_path(folder, name).exists()}
    return RunReading(folder, questions, place, systems, said, judged, cards)


def label_sets_of(questions: list[Question]) -> dict[str, LabelSet]:
    """Benchmark -> its label set; one of other names is made of the candidates and labels."""
    sets: dict[str, LabelSet] = {}
    seen: dict[str, set[str]] = {}
    for question in questions:
        if question.benchmark in LABEL_SETS:
            sets[question.benchmark] = LABEL_SETS[question.benchmark]
        elif question.form != "narrative":
            known = seen.setdefault(question.benchmark, set())
            known |= {question.label, *question.candidates}
    for name, labels in seen.items():
        sets[name] = LabelSet(name, name, "diagnosis", tuple(sorted(labels)))
    return sets


def answer_files(reading: RunReading) -> dict[str, RecordIndex[Answer]]:
    """System -> its answers, to be read again by place."""
    return {
        name: RecordIndex(answers_path(reading.folder, name), Answer) for name in reading.systems
    }


def count_reasons(reading: RunReading, scale: Scale, system: str) -> Counter[str]:
    """Why questions have no score, the overlap with the training apart."""
    judged = reading.judged[scale].get(system)
    reasons: Counter[str] = Counter()
    for question in reading.questions:
        if judged is not None and judged.sums[reading.place[question.id], -1] > 0:
            continue
        reasons[_reason(reading.said[system].get(question.id), judged, question.id)] += 1
    return reasons


def _reason(said: Said | None, judged: Judged | None, identity: str) -> str:
    if said is None:
        return NOT_ASKED
    if judged is not None and identity in judged.reasons:
        return judged.reasons[identity]
    return said.problem or NOT_JUDGED


def _read_answers(
    folder: Path,
    system: str,
    questions: list[Question],
    place: dict[str, int],
    sets: dict[str, LabelSet],
) -> dict[str, Said]:
    path = answers_path(folder, system)
    said: dict[str, Said] = {}
    problems: dict[str, Answer] = {}
    for where, answer in RecordIndex(path, Answer):
        if answer.id not in place:
            raise RecordError(f"{path} answers question {answer.id!r}, which the run does not have")
        # As `answers.py` counts: what needs no repetition stays, else the last record counts.
        if answer.id in said and not is_open(problems.get(answer.id)):
            continue
        problems[answer.id] = answer.model_copy(update={"text": "", "probabilities": None})
        question = questions[place[answer.id]]
        said[answer.id] = _said(where, question, answer, sets.get(question.benchmark))
    return said


def _said(where: int, question: Question, answer: Answer, labels: LabelSet | None) -> Said:
    if labels is None:
        return Said(where, answer.sha256, answer.problem, verdict=judge_label(question, answer))
    weighed, chances = None, None
    if question.form == "candidates":
        weighed = likeliest(answer, labels)
        if answer.probabilities is not None:
            chances = tuple(answer.probabilities[label] for label in labels.labels)
    matched = match_answer(answer, labels)
    return Said(where, answer.sha256, answer.problem, matched, weighed, chances)


def _read_judgements(
    folder: Path, place: dict[str, int], said: dict[str, dict[str, Said]]
) -> dict[Scale, dict[str, Judged]]:
    answers = {
        (system, identity): answer.sha256
        for system, answered in said.items()
        for identity, answer in answered.items()
    }
    judged: dict[Scale, dict[str, Judged]] = {}
    for path in sorted((folder / JUDGEMENTS).glob("*/*.jsonl")):
        index = RecordIndex(path, Judgement)
        places = judgements_that_count(judgements_of(path, index, said, place), answers)
        with index:
            for where in places.values():
                _add(judged, path, place, where, index.at(where))
    return judged


def _add(
    judged: dict[Scale, dict[str, Judged]],
    path: Path,
    place: dict[str, int],
    where: int,
    record: Judgement,
) -> None:
    systems = judged.setdefault((record.judge, record.protocol), {})
    if record.system not in systems:
        systems[record.system] = Judged(path, {}, np.zeros((len(place), len(DIMENSIONS) + 1)))
    here = systems[record.system]
    here.places.setdefault(record.id, []).append(where)
    if record.judged_on is not None:
        here.days.add(record.judged_on)
    if record.cut:
        here.cut.add(record.id)
    if record.scores is None:
        here.reasons[record.id] = record.unscored or "no reason given"
        return
    missing = [name for name in DIMENSIONS if name not in record.scores]
    if missing:
        raise RecordError(
            f"the judgement of {record.system!r} on {record.id!r} by {record.judge!r} lacks "
            f"{', '.join(missing)}; a verdict has all six, or none and a reason"
        )
    here.sums[place[record.id]] += [*(record.scores[name] for name in DIMENSIONS), 1.0]
