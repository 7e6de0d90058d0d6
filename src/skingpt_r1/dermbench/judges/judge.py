"""What every judge is: a name, a scale, and one judgement for each task, in order.

A judge of another package is an entry point of the group `skingpt_r1.judges`: its name, and a
function `(name, options, ledger) -> Judge` (`Opener`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from skingpt_r1.dermbench.records import Answer, Judgement, ProtocolName, Question
from skingpt_r1.llm.budget import Ledger, Price
from skingpt_r1.model.config import ModelRecipe
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored
from skingpt_r1.text.rubric import Protocol as Scale


class JudgeTask(NamedTuple):
    """An answer to be judged once."""

    question: Question
    answer: Answer
    repeat: int = 0  # 0, 1,
    images: tuple[Path, ...] = ()  # the question's picture files, as they lie on this machine
    attempt: int = 0  # how often this text was judged before without a readable verdict


class JudgeOptions(NamedTuple):
    """How judges are opened."""

    protocol: Scale = Scale.DECIMAL_0_5  # the scale; only language models know both
    candidate_first: bool = False  # language models see the candidate before the reference
    brief: bool = False  # DermEval writes scores alone
    prices: Mapping[str, Price] = {}  # name of a model -> price
    models: ModelRecipe = ModelRecipe()  # device and number format of DermEval


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
    """The record of what a judge said; the last three are fields of `Judgement`."""
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


# Opens a judge by its whole name. The ledger is the run's own, so that judges share a cost limit.
Opener = Callable[[str, JudgeOptions, Ledger], Judge]
