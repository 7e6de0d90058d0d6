"""A benchmark run gone through once: what counts for the tables stays in memory, no text does.

Texts are read again by the place of their record in its file.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from skingpt_r1.dermbench.answers import answers_path, is_open, system_names
from skingpt_r1.dermbench.classification.labels import LABEL_SETS, LabelSet
from skingpt_r1.dermbench.classification.match import (
    LabelMatch,
    MatchedLabel,
    judge_label,
    likeliest,
    match_answer,
)
from skingpt_r1.dermbench.judgements import refuse_stranger
from skingpt_r1.dermbench.questions import read_questions
from skingpt_r1.dermbench.records import JUDGEMENTS, Answer, Judgement, ProtocolName, Question
from skingpt_r1.dermbench.systems.card import SystemCard, card_path, read_card
from skingpt_r1.errors import RecordError
from skingpt_r1.records import counting, iterate_places, record_at
from skingpt_r1.stats.intervals import Floats
from skingpt_r1.text.rubric import DIMENSIONS

NOT_ASKED = "not asked yet"
NOT_JUDGED = "not judged yet"

Scale = tuple[str, ProtocolName]


class Said(NamedTuple):
    """What counts of one answer, whose record is at a place of the file."""

    place: int
    sha256: str  # of the text; a judgement of another text does not count
    problem: str | None
    words: int  # how many the text has
    matched: MatchedLabel | None = None  # the label that the text names, for classification
    weighed: MatchedLabel | None = None  # the likeliest candidate, where candidates are weighed
    chances: tuple[float, ...] | None = None  # probabilities in the order of the label set
    verdict: LabelMatch | None = None  # how the diagnosis stands to the label, for narratives


@dataclass
class Judged:
    """What one judge said on one scale of one system.

    Attributes:
        places: question id -> places in the file of the judgements that count, by repeat.
        scores: question id -> the six scores of each repeat that has them.
        reasons: question id -> why the last repeat is unscored.
    """

    path: Path
    places: dict[str, list[int]] = field(default_factory=dict)
    scores: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)  # questions whose judged text was cut
    days: set[str] = field(default_factory=set)

    @property
    def means(self) -> dict[str, tuple[float, ...]]:
        """Question id -> the mean of the repeats, dimension by dimension."""
        return {
            name: tuple(sum(column) / len(column) for column in zip(*given, strict=True))
            for name, given in self.scores.items()
        }


@dataclass(frozen=True)
class RunReading:
    """A run: `said` is by system and question id, `judged` by judge and scale, then by system.

    `place` is the number of a question by its id; `systems` are in the order of the tables. A scale
    of which no judgement counts any more has no system.
    """

    folder: Path
    questions: list[Question]
    place: dict[str, int]
    systems: tuple[str, ...]
    said: dict[str, dict[str, Said]]
    judged: dict[Scale, dict[str, Judged]]
    cards: dict[str, SystemCard]

    def scores(self, scale: Scale, system: str) -> Floats:
        """`[questions, 6]`: mean over the repeats; NaN where unscored."""
        found = np.full((len(self.questions), len(DIMENSIONS)), np.nan)
        for name, values in self.judged[scale][system].means.items():
            found[self.place[name]] = values
        return found

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
    asked = {question.id: question for question in questions}
    said = {name: _read_answers(answers_path(folder, name), asked, sets) for name in systems}
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


def count_reasons(reading: RunReading, scale: Scale, system: str) -> Counter[str]:
    """Why questions have no score, the overlap with the training apart."""
    judged = reading.judged[scale].get(system, Judged(reading.folder))
    reasons: Counter[str] = Counter()
    for question in reading.questions:
        said = reading.said[system].get(question.id)
        if said is None:
            reasons[NOT_ASKED] += 1
        elif question.id not in judged.scores:
            reasons[judged.reasons.get(question.id, said.problem or NOT_JUDGED)] += 1
    return reasons


def _read_answers(
    path: Path, questions: Mapping[str, Question], sets: Mapping[str, LabelSet]
) -> dict[str, Said]:
    def read() -> Iterator[tuple[str, bool, Said]]:
        for where, answer in iterate_places(path, Answer):
            question = questions.get(answer.id)
            if question is None:
                raise RecordError(
                    f"{path} answers question {answer.id!r}, which the run does not have"
                )
            said = _said(where, question, answer, sets.get(question.benchmark))
            yield answer.id, is_open(answer), said

    kept = counting(read(), itemgetter(0), lambda item: not item[1])
    return {name: said for name, (_, _, said) in kept.items()}


def _said(where: int, question: Question, answer: Answer, labels: LabelSet | None) -> Said:
    first = Said(where, answer.sha256, answer.problem, len(answer.text.split()))
    if labels is None:
        return first._replace(verdict=judge_label(question, answer).match)
    weighed, chances = None, None
    if question.form == "candidates":
        weighed = likeliest(answer, labels)
        if answer.probabilities is not None:
            chances = tuple(answer.probabilities[label] for label in labels.labels)
    matched = match_answer(answer, labels)
    return first._replace(matched=matched, weighed=weighed, chances=chances)


Item = TypeVar("Item")
# system, question, judge, scale, repeat
JudgementKey = tuple[str, str, str, ProtocolName, int]


def judgements_that_count(
    records: Iterable[tuple[Item, Judgement]], answers: Mapping[tuple[str, str], str]
) -> dict[JudgementKey, Item]:
    """The first record with scores, else the last, for each answer, judge, scale and repeat.

    Args:
        records: in the order of their files, each with what is to be kept of it.
        answers: (system, question) -> hash of the text that counts now; a judgement of another
            text does not count.
    """
    current = (
        ((record.system, record.id, record.judge, record.protocol, record.repeat), item, record)
        for item, record in records
        if record.answer_sha256 == answers.get((record.system, record.id))
    )
    light = ((key, item, record.scores is not None) for key, item, record in current)
    kept = counting(light, itemgetter(0), itemgetter(2))
    return {key: item for key, (_, item, _) in kept.items()}


def _read_judgements(
    folder: Path, questions: Collection[str], said: dict[str, dict[str, Said]]
) -> dict[Scale, dict[str, Judged]]:
    answers = {
        (system, identity): answer.sha256
        for system, answered in said.items()
        for identity, answer in answered.items()
    }
    judged: dict[Scale, dict[str, Judged]] = {}

    def own(path: Path) -> Iterator[tuple[int, Judgement]]:
        for where, record in iterate_places(path, Judgement):
            refuse_stranger(path, record, said, questions)
            judged.setdefault((record.judge, record.protocol), {})
            yield where, record

    for path in sorted((folder / JUDGEMENTS).glob("*/*.jsonl")):
        with path.open("rb") as file:
            for where in judgements_that_count(own(path), answers).values():
                record = record_at(file, where, Judgement)
                systems = judged[record.judge, record.protocol]
                _add(systems.setdefault(record.system, Judged(path)), where, record)
    return judged


def _add(judged: Judged, where: int, record: Judgement) -> None:
    judged.places.setdefault(record.id, []).append(where)
    if record.judged_on is not None:
        judged.days.add(record.judged_on)
    if record.cut:
        judged.cut.add(record.id)
    if record.scores is None:
        judged.reasons[record.id] = record.unscored or "no reason given"
        return
    missing = [name for name in DIMENSIONS if name not in record.scores]
    if missing:
        raise RecordError(
            f"the judgement of {record.system!r} on {record.id!r} by {record.judge!r} lacks "
            f"{', '.join(missing)}; a verdict has all six, or none and a reason"
        )
    values = tuple(record.scores[name] for name in DIMENSIONS)
    judged.scores.setdefault(record.id, []).append(values)
