"""DermEval as a judge of benchmark answers: the picture and the text alone, without a reference."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skingpt_r1.dermbench.judges.judge import JudgeOptions, JudgeTask, record_verdict
from skingpt_r1.dermbench.questions import Asked, refuse_changed_pictures
from skingpt_r1.dermbench.records import Judgement, ProtocolName
from skingpt_r1.dermbench.systems.own import NO_PICTURE, short_name
from skingpt_r1.text.rubric import Unscored

if TYPE_CHECKING:
    from skingpt_r1.model.skingpt import SkinGPT

DERMEVAL = "dermeval"
NANO = "nano"
BATCH_SIZE = 32


class EvaluatorJudge:
    """Scores with a trained evaluator; greedy, so the same answers get the same scores.

    `weights` is the hash of its weights; `brief` asks for scores alone, which is faster.
    """

    protocol: ProtocolName = "decimals 0-5"
    needs_reference = False
    most_attempts = 1  # an unreadable reply is asked for again in the other form, by itself

    def __init__(self, name: str, model: "SkinGPT", weights: str, *, brief: bool = False) -> None:
        self.name = name
        self._model = model
        self._weights = weights
        self._brief = brief

    @property
    def settings(self) -> dict[str, object]:
        """The weights, the form and the number format."""
        dtype = str(self._model.backbone.dtype).removeprefix("torch.")
        return {"weights": self._weights, "brief": self._brief, "dtype": dtype}

    def judge(self, tasks: Sequence[JudgeTask]) -> Iterator[Judgement]:
        """Judgements in the order of the tasks; one without a picture is unscored."""
        from skingpt_r1.dermeval.scoring import judge

        refuse_changed_pictures(
            [Asked(task.question, task.images) for task in tasks if task.images]
        )
        for start in range(0, len(tasks), BATCH_SIZE):
            batch = tasks[start : start + BATCH_SIZE]
            items = [(task.images, task.answer.text) for task in batch if task.images]
            replies = iter(judge(self._model, items, brief=self._brief) if items else [])
            for task in batch:
                if task.images:
                    said = next(replies)
                    yield record_verdict(self, task, said.verdict, reply=said.text)
                else:
                    yield record_verdict(self, task, Unscored(NO_PICTURE))


def open_evaluator_judge(name: str, options: JudgeOptions, _ledger: object) -> EvaluatorJudge:
    """A trained evaluator as judge: `dermeval` (the embedded one), or `dermeval:DIR`.

    Raises:
        CheckpointError: there is no evaluator, or it belongs to another backbone.
    """
    from skingpt_r1.dermeval.report import NANO_EVALUATOR, load_evaluator
    from skingpt_r1.model.checkpoint import WEIGHTS_FILE
    from skingpt_r1.records import sha256_file

    model = name.partition(":")[2] or NANO
    folder = NANO_EVALUATOR if model == NANO else Path(model)
    evaluator = load_evaluator(model, **options.models.model_dump())
    shown = f"{DERMEVAL}:{model if model == NANO else short_name(model)}"
    weights = sha256_file(folder / WEIGHTS_FILE)
    return EvaluatorJudge(shown, evaluator, weights, brief=options.brief)
