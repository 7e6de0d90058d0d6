"""Stage 1: what can be seen, told by a narrator that does not know the answer.

Stage 2: how the observation leads to the gold diagnosis, or that it does not.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.dermcot.corpus import Candidate, CaseRecord, StageRecord, picture_paths
from skingpt_r1.dermcot.tasks import (
    NOT_SUPPORTED,
    VISIBLE,
    Narrator,
    Task,
    ask_narrator,
    observe_prompt,
    reason_prompt,
    seed_of,
)
from skingpt_r1.text.giveaways import named_in


def observe(
    candidates: Iterable[Candidate], narrator: Narrator, *, folder: Path, seed: int
) -> Iterator[StageRecord]:
    """Descriptions; a text that names the diagnosis is dropped, and so is a reply without one.

    Args:
        candidates: every case, in order.
        narrator: sees the blind case alone; see `blind`.
        folder: of the corpus, where the pictures' paths begin.
        seed: of the run.
    """
    make_task = partial(observe_task, folder=folder, seed=seed)
    for answer in ask_narrator(candidates, narrator, make_task):
        text = " ".join(answer.reply.text.split())
        name = named_in(text, answer.candidate.case.label)
        if answer.reply.problem is not None:
            yield answer.record("observe", answer.reply.unused_text, answer.reply.problem)
        elif not text:
            yield answer.record("observe", "", "empty")
        elif name is not None:
            yield answer.record("observe", text, "names_diagnosis", f"it names {name!r}")
        else:
            yield answer.record("observe", text)


def observe_task(candidate: Candidate, *, folder: Path, seed: int) -> Task:
    """What the narrator is given: the blind case, and a prompt that does not name the answer."""
    case = blind(candidate.case, folder)
    seed = seed_of(seed, candidate, "observe")
    return Task(observe_prompt(case.context), case.images, seed, case, "observe")


def blind(case: CaseRecord, folder: Path) -> Case:
    """The case without anything that gives the answer away.

    The label, the narrative and all attributes go but those that describe what is seen; names of
    data sets and series can hold a diagnosis, so that id and group become a hash.
    """
    secret = hashlib.sha256(f"{case.dataset}:{case.id}".encode()).hexdigest()[:16]
    return Case(
        id=secret,
        images=picture_paths(case.images, folder),
        dataset="blind",
        group=secret,
        fitzpatrick=case.fitzpatrick,
        tone=case.tone,
        findings=case.findings,
        context=case.context,
        attributes={key: text for key, text in case.attributes.items() if key in VISIBLE},
    )


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
        reason_prompt(seen, diagnosis),
        (),
        seed_of(seed, candidate, "reason"),
        blind(candidate.case, folder),
        "reason",
        observation=seen,
        diagnosis=diagnosis,
    )


def says_not_supported(text: str) -> bool:
    """Whether a reply is the agreed refusal, with or without a few words around it."""
    plain = " ".join(_WORDS_ONLY.sub(" ", text.lower()).split())
    return NOT_SUPPORTED in plain and len(plain.split()) <= _LONGEST_REFUSAL
