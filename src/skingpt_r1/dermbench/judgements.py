"""Every answer to every judge, each judgement written down as soon as it is there.

    folder/judgements/<judge>/
      judge.json       what the scores depend on
      <system>.jsonl   one record for each answer, repeat and attempt

The same call continues what was stopped. Of one answer and repeat the first record with scores
counts, else the last; a record of another text than the answer that counts now does not count, so
that an answer that has changed is judged again. Unreadable verdicts are asked for again, up to the
judge's number of attempts; calls that failed for a passing reason are asked again by the next
start.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermbench.answers import read_answers, system_names
from skingpt_r1.dermbench.judges.judge import Judge, JudgeTask, record_verdict
from skingpt_r1.dermbench.questions import Asked, data_root, read_questions, with_pictures
from skingpt_r1.dermbench.records import JUDGEMENTS, Answer, Judgement, file_stem
from skingpt_r1.errors import RecordError, TrainingError
from skingpt_r1.llm.budget import PASSING
from skingpt_r1.records import append_record, read_json, resume_records, write_json_atomic
from skingpt_r1.runs import Count, Progress, own_run
from skingpt_r1.text.rubric import Protocol, Unscored

JUDGE_CARD = "judge.json"
NO_REFERENCE = "no_reference"

_Key = tuple[str, int]  # question, repeat


class JudgedSystem(NamedTuple):
    """What became of one system's answers under one judge."""

    system: str
    asked: int  # questions times repeats
    scored: int
    unscored: Counter[str]  # reason -> number of those without scores
    not_answered: int  # questions that the system was not asked yet


@dataclass
class _History:
    """The records of one answer and repeat so far."""

    scored: bool = False
    last: str | None = None  # why the last record is unscored
    unreadable: int = 0  # verdicts that came and could not be read
    asked_now: bool = False

    def add(self, record: Judgement) -> None:
        self.scored = self.scored or record.scores is not None
        self.last = record.unscored
        self.unreadable += record.scores is None and record.unscored not in PASSING

    def is_open(self, answer: Answer, judge: Judge) -> bool:
        """Whether the answer is to be judged, for the first time or again."""
        if self.scored:
            return False
        if answer.problem is not None or self.last == NO_REFERENCE:
            return self.last is None
        if self.last in PASSING:
            return not self.asked_now
        return self.unreadable < judge.most_attempts


def judge_folder(folder: Path, judge: str, protocol: str) -> Path:
    """The folder of a judge's judgements; each scale has its own."""
    whole = protocol == Protocol.INTEGER_1_5.value
    return folder / JUDGEMENTS / file_stem(f"{judge} {protocol}" if whole else judge)


def run_judge(
    folder: Path,
    judge: Judge,
    *,
    systems: Sequence[str] | None = None,
    repeats: int = 1,
    progress: Progress | None = None,
) -> list[JudgedSystem]:
    """Judge the answers of a run, or go on where an earlier call was stopped.

    All systems are judged unless some are named, each answer `repeats` times; more may be added.

    Raises:
        RecordError: the folder holds no run, or no answers of a system.
        TrainingError: the folder of this judge was begun with other settings, or another process
            writes the run.
        CostError: the limit was reached; what was judged is kept.
        NarratorError: a language model cannot be asked; what was judged is kept.
    """
    asked = with_pictures(
        [question for question in read_questions(folder) if question.form == "narrative"],
        data_root(folder),
    )
    if not asked:
        raise RecordError(
            f"{folder} has no questions that ask for a narrative; labels and candidates are not "
            "judged, see `skingpt bench report`"
        )
    chosen = _chosen(folder, systems)
    place = judge_folder(folder, judge.name, judge.protocol)
    tallies = []
    with own_run(folder):
        _begin(place, judge)
        for system in chosen:
            path = place / f"{file_stem(system)}.jsonl"
            show = None if progress is None else partial(progress, f"{judge.name}: {system}")
            answers = read_answers(folder, system)
            tallies.append(_judge_system(path, judge, system, asked, answers, repeats, show))
    return tallies


def _chosen(folder: Path, systems: Sequence[str] | None) -> list[str]:
    known = system_names(folder)
    if not known:
        raise RecordError(f"{folder} has no answers yet; ask with `skingpt bench run` first")
    unknown = [name for name in systems or () if name not in known]
    if unknown:
        raise RecordError(
            f"{folder} has no answers of {unknown[0]!r}; systems with answers: {', '.join(known)}"
        )
    return list(systems) if systems else known


def _begin(place: Path, judge: Judge) -> None:
    card = {"judge": judge.name, "protocol": judge.protocol, "settings": judge.settings}
    path = place / JUDGE_CARD
    if path.exists() and read_json(path) != card:
        raise TrainingError(
            f"{place} was begun with other settings of judge {judge.name!r}; give the old "
            "settings, or delete the folder to judge anew"
        )
    write_json_atomic(path, card)


def _judge_system(
    path: Path,
    judge: Judge,
    system: str,
    asked: Sequence[Asked],
    answers: dict[str, Answer],
    repeats: int,
    progress: Count | None,
) -> JudgedSystem:
    histories = _read_histories(path, system, {item.question.id for item in asked}, answers)
    tasks = [
        (
            JudgeTask(question, answers[question.id], repeat, pictures),
            histories[question.id, repeat],
        )
        for question, pictures in asked
        if question.id in answers
        for repeat in range(repeats)
    ]
    show = progress or (lambda done, total: None)
    while waiting := [
        task._replace(attempt=history.unreadable)
        for task, history in tasks
        if history.is_open(task.answer, judge)
    ]:
        done = len(tasks) - len(waiting)
        for number, record in enumerate(_judgements(judge, waiting), done + 1):
            append_record(path, record)
            history = histories[record.id, record.repeat]
            history.add(record)
            history.asked_now = True
            show(number, len(tasks))
    show(len(tasks), len(tasks))
    judged = [history for _, history in tasks]
    return JudgedSystem(
        system,
        asked=len(asked) * repeats,
        scored=sum(history.scored for history in judged),
        unscored=Counter(str(history.last) for history in judged if not history.scored),
        not_answered=len(asked) - sum(item.question.id in answers for item in asked),
    )


def _read_histories(
    path: Path, system: str, questions: Collection[str], answers: Mapping[str, Answer]
) -> dict[_Key, _History]:
    histories: dict[_Key, _History] = defaultdict(_History)
    for record in resume_records(path, Judgement).records:
        refuse_stranger(path, record, (system,), questions, ", which belongs to another run")
        if record.id in answers and record.answer_sha256 == answers[record.id].sha256:
            histories[record.id, record.repeat].add(record)
    return histories


def _judgements(judge: Judge, tasks: Sequence[JudgeTask]) -> Iterator[Judgement]:
    """One judgement for each task, in order; what cannot be judged is unscored with its reason."""
    judged = judge.judge([task for task in tasks if _lack(judge, task) is None])
    for task in tasks:
        lack = _lack(judge, task)
        if lack is None:
            yield next(judged)
        else:
            yield record_verdict(judge, task, Unscored(lack))


def _lack(judge: Judge, task: JudgeTask) -> str | None:
    """Why there is nothing to judge; None when there is."""
    if task.answer.problem is not None:
        return task.answer.problem
    no_reference = judge.needs_reference and task.question.reference is None
    return NO_REFERENCE if no_reference else None


def refuse_stranger(
    path: Path,
    record: Judgement,
    systems: Collection[str],
    questions: Collection[str],
    problem: str = "; the run has no such answer",
) -> None:
    """Stop at a judgement of an answer that the run does not have.

    Raises:
        RecordError: it is one; `problem` says why.
    """
    if record.system not in systems or record.id not in questions:
        raise RecordError(
            f"{path} judges {record.system!r} on {record.id!r}{problem}; delete this file"
        )
