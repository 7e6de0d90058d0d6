"""Stage 2: how the observation leads to the gold diagnosis, or that it does not."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from skingpt_r1.dermcot.asking import ask_narrator, seed_of
from skingpt_r1.dermcot.corpus import Candidate, StageRecord
from skingpt_r1.dermcot.stages.write import blind
from skingpt_r1.llm.ask import NOT_SUPPORTED, Narrator, Task
from skingpt_r1.llm.prompts import reason_prompt

_WORDS_ONLY = re.compile(r"[^a-z ]+")
# A refusal may come with a short apology; a long text that quotes these words is a reasoning.
_LONGEST_REFUSAL = 12


def reason(
    candidates: Iterable[Candidate], narrator: Narrator, *, folder: Path, seed: int
) -> Iterator[StageRecord]:
    """Reasonings; `not supported by the observation` drops the case.

    Args:
        candidates: the cases with an observation, in order.
        narrator: is given the observation and the gold diagnosis.
        folder: of the corpus, where the pictures' paths begin.
        seed: of the run.
    """
    make_task = partial(reason_task, folder=folder, seed=seed)
    for answer in ask_narrator(candidates, narrator, make_task):
        text = answer.reply.text.strip()
        if answer.reply.problem is not None:
            yield answer.record("reason", answer.reply.unused_text, answer.reply.problem)
        elif not text:
            yield answer.record("reason", "", "empty")
        elif says_not_supported(text):
            yield answer.record("reason", text, "not_supported")
        else:
            yield answer.record("reason", text)


def reason_task(candidate: Candidate, *, folder: Path, seed: int) -> Task:
    """What the narrator is given: the observation and the gold diagnosis, and no other fact."""
    records, diagnosis = candidate.records, candidate.case.label
    seen = records["observe"].text if "observe" in records else ""
    return Task(
        blind(candidate.case, folder),
        "reason",
        reason_prompt(seen, diagnosis),
        seed_of(seed, candidate, "reason"),
        observation=seen,
        diagnosis=diagnosis,
    )


def says_not_supported(text: str) -> bool:
    """Whether a reply is the agreed refusal, with or without a few words around it."""
    plain = " ".join(_WORDS_ONLY.sub(" ", text.lower()).split())
    return NOT_SUPPORTED in plain and len(plain.split()) <= _LONGEST_REFUSAL
