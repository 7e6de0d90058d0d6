"""Stages 1 to 3: the texts.

Observe: what can be seen, told by a narrator that does not know the answer. Reason: how the
observation leads to the gold diagnosis, or that it does not. Normalise: both, however they were
laid out, in the one canonical form.
"""

import hashlib
import random
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.case import Case
from skingpt_r1.dermcot.corpus import Candidate, CaseRecord, StageRecord, drop, picture_paths
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
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.giveaways import named_in
from skingpt_r1.text.narrative import make_narrative, parse_narrative
from skingpt_r1.text.taxonomy import Closeness, closeness
from skingpt_r1.text.wording import ADVICE, urgency_of


def observe(
    candidates: Iterable[Candidate], narrator: Narrator, *, folder: Path, seed: int
) -> Iterator[StageRecord]:
    """Descriptions; a text that names the diagnosis is dropped, and so is a reply without one.

    Args:
        candidates: every case, in order.
        narrator: sees the blind case alone; see `blind`.
        folder: where the pictures' paths begin.
        seed: of the run.
    """
    make_task = partial(observe_task, folder=folder, seed=seed)
    for answer in ask_narrator(candidates, narrator, make_task):
        text = " ".join(answer.reply.text.split())
        name = named_in(text, answer.candidate.case.label)
        if not text or name is None:
            yield answer.record("observe", text)
        else:
            yield answer.record("observe", text, "names_diagnosis", f"it names {name!r}")


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
    """Reasonings; `not supported by the observation` drops the case. Arguments as in `observe`."""
    make_task = partial(reason_task, folder=folder, seed=seed)
    for answer in ask_narrator(candidates, narrator, make_task):
        text = answer.reply.text.strip()
        yield answer.record("reason", text, "not_supported" if says_not_supported(text) else None)


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


_TITLE = re.compile(
    r"^[ \t>#*_\-]*(reasoning|differential(?: diagnos[ie]s)?|(?:final )?diagnosis|advice)"
    r"[ \t*_]*:[ \t*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_MARKUP = re.compile(r"[*`#]+|^[ \t]*[-•>]+[ \t]+", re.MULTILINE)
_LEADING_TITLE = re.compile(r"^\W*(?:observation|description|findings)\W*:\s*", re.IGNORECASE)
_ADVISES = re.compile(
    r"\b(?:doctors?|dermatologists?|physicians?|clinicians?|specialists?|biops\w+|refer\w*)\b",
    re.IGNORECASE,
)
_NUMBERING = re.compile(r"^\W*(?:\(?\d{1,2}[.)]\s*)?\W*")


class Reasoning(NamedTuple):
    """What a reply to the second task says; `advice` is empty when the reply gives none."""

    reasoning: str
    diagnosis: str
    differential: tuple[str, ...] = ()
    advice: str = ""


def normalise(candidates: Iterable[Candidate], *, seed: int) -> Iterator[StageRecord]:
    """Canonical narratives; what cannot be told apart is dropped with the reason.

    A diagnosis that is a synonym of the label becomes the label; a reply without any word
    of a doctor gets the sentence of its urgency.
    """
    for candidate in candidates:
        try:
            said = read_reasoning(candidate.text("reason"))
            text = _canonical(candidate, said, seed)
        except NarrativeError as error:
            reason = "no_diagnosis" if error.reason == "no_diagnosis" else "not_readable"
            yield drop(candidate, "normalise", reason, error.reason)
        else:
            yield StageRecord(id=candidate.case.id, stage="normalise", text=text)


def read_reasoning(text: str) -> Reasoning:
    """Read a reply: titled lines as asked for, or anything that `parse_narrative` reads.

    Raises:
        NarrativeError: no reasoning or no conclusion can be told apart.
    """
    titles = list(_TITLE.finditer(text))
    if not titles:
        found = parse_narrative(text)
        if closeness(found.reasoning, found.diagnosis) is Closeness.EXACT or not found.reasoning:
            raise NarrativeError("not_canonical", "the text sets no reasoning apart")
        return Reasoning(found.reasoning, found.diagnosis, found.differential)
    parts = _parts(text, titles)
    if not parts.get("diagnosis"):
        raise NarrativeError("no_diagnosis", "the reply has no line `Diagnosis:`")
    if not parts.get("reasoning"):
        raise NarrativeError("not_canonical", "the reply has no reasoning")
    return Reasoning(
        _one_line(parts["reasoning"]),
        _one_line(parts["diagnosis"].split("\n")[0]).rstrip("."),
        _names(parts.get("differential", "")),
        _one_line(parts.get("advice", "")),
    )


def _parts(text: str, titles: list[re.Match[str]]) -> dict[str, str]:
    """What stands under each title; what stands before the first one is reasoning."""
    parts = {"reasoning": text[: titles[0].start()].strip()}
    ends = [title.start() for title in titles[1:]] + [len(text)]
    for title, end in zip(titles, ends, strict=True):
        name = title[1].lower()
        key = "differential" if name.startswith("diff") else name.split()[-1]
        words = text[title.end() : end].strip()
        if words:
            parts[key] = words
    return parts


def _names(text: str) -> tuple[str, ...]:
    """Names of a list in a line or in several; each once."""
    mark = ";" if ";" in text else "\n" if "\n" in text.strip() else ","
    names = (_one_line(_NUMBERING.sub("", name)).rstrip(".") for name in text.split(mark))
    return tuple(dict.fromkeys(name for name in names if name))


def _one_line(text: str) -> str:
    return " ".join(_MARKUP.sub(" ", text).split())


def _canonical(candidate: Candidate, said: Reasoning, seed: int) -> str:
    label = candidate.case.label
    agrees = closeness(said.diagnosis, label) >= Closeness.SYNONYM
    diagnosis = label if agrees else said.diagnosis
    others = (name for name in said.differential if closeness(name, diagnosis) < Closeness.SYNONYM)
    reasoning = said.reasoning if said.advice == "" else f"{said.reasoning} {said.advice}"
    if not said.advice and not _ADVISES.search(reasoning):
        reasoning = f"{reasoning} {_advice(candidate, seed)}"
    observation = _LEADING_TITLE.sub("", _one_line(candidate.text("observe")))
    return make_narrative(observation, reasoning, diagnosis, [*others]).text


def _advice(candidate: Candidate, seed: int) -> str:
    rng = random.Random(f"{seed}:{candidate.case.id}:advice")
    return rng.choice(ADVICE[urgency_of(candidate.case.label)])
