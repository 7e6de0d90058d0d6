"""Our own model as a narrator: it is asked as always, and its answer counts when it is right.

The model is handed in loaded. It cannot be told a diagnosis to reason towards: in `reason` it
diagnoses the pictures itself, and when it comes to another diagnosis the answer is that the
observation does not support the gold one (rejection sampling).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from skingpt_r1.dermcot.corpus import REASONS
from skingpt_r1.errors import NarrativeError
from skingpt_r1.llm.ask import NOT_SUPPORTED, Reply, Task
from skingpt_r1.model.placement import ANYWHERE, ModelRecipe
from skingpt_r1.text.narrative import Narrative
from skingpt_r1.text.taxonomy import Closeness, closeness


class Diagnoser(Protocol):
    """What is needed of a model; `model.SkinGPT` has it."""

    def diagnose(
        self, images: Sequence[Path], context: Mapping[str, str] | None = None
    ) -> Narrative:
        """The narrative of one case; raises NarrativeError when the text is not readable."""


class OwnModel:
    """Writes with a loaded model, one case at a time, so that no case changes another's text.

    Args:
        model: greedy decoding, so that a continued run writes the same.
        name: for the provenance.
    """

    def __init__(self, model: Diagnoser, name: str) -> None:
        self._model = model
        self._name = name

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def write(self, tasks: Sequence[Task]) -> Iterator[Reply]:
        """One reply for each task, in order."""
        for task in tasks:
            yield self._write(task)

    def _write(self, task: Task) -> Reply:
        try:
            said = self._model.diagnose(task.case.images, task.case.context)
        except NarrativeError as error:
            problem = error.reason if error.reason in REASONS else "not_readable"
            return Reply("", self._name, problem)
        if task.step == "observe":
            return Reply(said.observation, self._name)
        if closeness(said.diagnosis, task.diagnosis) < Closeness.SYNONYM:
            return Reply(NOT_SUPPORTED, self._name)
        return Reply(_titled(said), self._name)


def load_own_model(where: str, models: ModelRecipe = ANYWHERE) -> OwnModel:
    """A narrator around `nano` or the model of a directory; loads torch.

    Raises:
        CheckpointError: see `model.load.load_model`.
    """
    from skingpt_r1.model.load import load_model

    return OwnModel(load_model(where, **models.model_dump()), f"own:{where}")


def _titled(said: Narrative) -> str:
    lines = [f"Reasoning: {said.reasoning}"]
    if said.differential:
        lines.append(f"Differential: {'; '.join(said.differential)}")
    return "\n".join([*lines, f"Diagnosis: {said.diagnosis}"])
