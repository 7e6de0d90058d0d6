"""How a stage asks a narrator: tasks in blocks, replies in order, provenance beside each."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from skingpt_r1.dermcot.corpus import Candidate, Provenance, Stage, StageRecord
from skingpt_r1.llm.ask import Narrator, Reply, Task
from skingpt_r1.llm.prompts import prompt_sha256

T = TypeVar("T")
# A narrator sees so many tasks at once; enough for its connections, few enough for any memory.
BLOCK = 256


class Answer(NamedTuple):
    """A reply, with the case it is about and where it comes from."""

    candidate: Candidate
    reply: Reply
    provenance: Provenance

    def record(
        self, stage: Stage, text: str, dropped: str | None = None, detail: str = ""
    ) -> StageRecord:
        """The record of this answer."""
        return StageRecord(
            id=self.candidate.case.id,
            stage=stage,
            text=text,
            provenance=self.provenance,
            dropped=dropped,
            detail=detail,
        )


def ask_narrator(
    candidates: Iterable[Candidate], narrator: Narrator, make_task: Callable[[Candidate], Task]
) -> Iterator[Answer]:
    """One answer for each candidate, in order; each as soon as the narrator hands it over."""
    for block in blocks(candidates, BLOCK):
        tasks = [make_task(candidate) for candidate in block]
        for candidate, task, reply in zip(block, tasks, narrator.write(tasks), strict=True):
            yield Answer(candidate, reply, _provenance(task, reply))


def blocks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`; the last may be shorter."""
    rest = iter(items)
    while block := list(islice(rest, size)):
        yield block


def seed_of(seed: int, candidate: Candidate, stage: Stage) -> int:
    """The seed of one text: 31 bits that depend on no other case."""
    case = candidate.case
    name = f"{seed}:{case.dataset}:{case.id}:{stage}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1


def _provenance(task: Task, reply: Reply) -> Provenance:
    return Provenance(
        narrator=reply.narrator,
        prompt_sha256=prompt_sha256(task.prompt),
        seed=task.seed,
        cost_usd=reply.cost_usd,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        simulated_slip=reply.simulated_slip,
    )
