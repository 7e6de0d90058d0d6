"""What writes the texts of a corpus: the task it is given, and the reply with its provenance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from skingpt_r1.case import Case

Step = Literal["observe", "reason"]
# What a narrator may answer to `reason` when the diagnosis does not follow; it drops the case.
NOT_SUPPORTED = "not supported by the observation"


@dataclass(frozen=True, slots=True)
class Task:
    """One text to write.

    Attributes:
        case: pictures and facts; in `observe` without label and narrative, so that nothing the
            narrator reads can give the answer away.
        step: which of the two texts.
        prompt: what a language model is told; in `observe` it does not name the diagnosis.
        seed: of the wording or the sampling.
        observation: the text to reason from; `reason` only.
        diagnosis: the gold diagnosis to reason towards; `reason` only.
    """

    case: Case
    step: Step
    prompt: str
    seed: int
    observation: str = ""
    diagnosis: str = ""


class Reply(NamedTuple):
    """What came back.

    Attributes:
        text: as written; empty when `problem` is set.
        narrator: name and version of what wrote it.
        problem: a short code why there is no usable text (`refusal`, `empty`, `truncated`,
            `timeout`, `connection`, `server_error`, `rate_limited`, `too_long`); None when fine.
        input_tokens: read, where the narrator counts them.
        output_tokens: written, where the narrator counts them.
        cost_usd: paid for this text; 0 for what runs here, None when the price is not known.
        simulated_slip: the mistake that a narrator was told to make; None from real narrators.
        unused_text: what came back where `problem` says that it is of no use.
        thoughts: what the model wrote as its thinking, which inspect-ai takes out of the text.
    """

    text: str
    narrator: str
    problem: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    simulated_slip: str | None = None
    unused_text: str = ""
    thoughts: str = ""


class Narrator(Protocol):
    """Writes texts; one reply per task, in order."""

    @property
    def name(self) -> str:
        """Name that goes into every record's provenance."""

    def write(self, tasks: Sequence[Task]) -> Iterator[Reply]:
        """Replies in the order of the tasks; each as soon as it and all before it are there."""
