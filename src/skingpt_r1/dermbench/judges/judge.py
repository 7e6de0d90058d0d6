"""What every judge is: a name, a scale, and one judgement for each task, in order."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from skingpt_r1.dermbench.records import Answer, Judgement, ProtocolName, Question
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored


class JudgeTask(NamedTuple):
    """An answer to be judged once.

    Attributes:
        question: what was asked, with reference and label.
        answer: what came back.
        repeat: 0, 1, ...
        images: the question's picture files, as they lie on this machine.
        attempt: how often this text was judged before without a readable verdict.
    """

    question: Question
    answer: Answer
    repeat: int = 0
    images: tuple[Path, ...] = ()
    attempt: int = 0


class Judge(Protocol):
    """Scores answers."""

    @property
    def name(self) -> str:
        """Name and version; stands in every judgement and names its folder."""

    @property
    def protocol(self) -> ProtocolName:
        """The scale of its scores."""

    @property
    def needs_reference(self) -> bool:
        """Whether a question without a reference cannot be judged."""

    @property
    def most_attempts(self) -> int:
        """How often an answer is judged until there is a verdict; 1 for deterministic judges."""

    @property
    def settings(self) -> dict[str, object]:
        """What its scores depend on, as it goes into `judge.json`."""

    def judge(self, tasks: Sequence[JudgeTask]) -> Iterator[Judgement]:
        """Judgements in the order of the tasks; each as soon as it and all before it are there."""


def record_verdict(
    judge: Judge,
    task: JudgeTask,
    verdict: Scores | Unscored,
    *,
    judged_on: str | None = None,
    reply: str = "",
    cut: bool = False,
) -> Judgement:
    """The record of what a judge said.

    Args:
        judge: who.
        task: of what.
        verdict: the scores, or why there are none.
        judged_on: day, ISO 8601; None for deterministic judges.
        reply: as it was read.
        cut: whether the judged text was cut.
    """
    scores = verdict if isinstance(verdict, Scores) else None
    return Judgement(
        system=task.answer.system,
        id=task.question.id,
        answer_sha256=task.answer.sha256,
        judge=judge.name,
        judged_on=judged_on,
        repeat=task.repeat,
        protocol=judge.protocol,
        scores=None if scores is None else dict(zip(DIMENSIONS, scores.values, strict=True)),
        unscored=verdict.reason if isinstance(verdict, Unscored) else None,
        rationales={} if scores is None else dict(scores.rationales),
        reply=reply,
        cut=cut,
        flags=() if scores is None else scores.flags,
    )
