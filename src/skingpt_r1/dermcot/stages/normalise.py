"""Stage 3: observation and reasoning, however they were laid out, in the one canonical form."""

import random
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from skingpt_r1.dermcot.corpus import Candidate, StageRecord, drop
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import make_narrative, parse_narrative
from skingpt_r1.text.taxonomy import Closeness, closeness
from skingpt_r1.text.wording import ADVICE, urgency_of

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
    """What a reply to the second task says.

    Attributes:
        reasoning: the steps.
        diagnosis: what it concludes.
        differential: the other diagnoses, in order.
        advice: who should see it; empty when the reply gives none.
    """

    reasoning: str
    diagnosis: str
    differential: tuple[str, ...] = ()
    advice: str = ""


def normalise(candidates: Iterable[Candidate], *, seed: int) -> Iterator[StageRecord]:
    """Canonical narratives; what cannot be told apart is dropped with the reason.

    A diagnosis that is a synonym of the label becomes the label; a reply without any word
    of a doctor gets the sentence of its urgency.

    Args:
        candidates: with observation and reasoning.
        seed: of the run, for the wording of a missing advice.
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
        _plain(parts["reasoning"]),
        _plain(parts["diagnosis"].split("\n")[0]).rstrip("."),
        _names(parts.get("differential", "")),
        _plain(parts.get("advice", "")),
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
    names = (_plain(_NUMBERING.sub("", name)).rstrip(".") for name in text.split(mark))
    return tuple(dict.fromkeys(name for name in names if name))


def _plain(text: str) -> str:
    return " ".join(_MARKUP.sub(" ", text).split())


def _canonical(candidate: Candidate, said: Reasoning, seed: int) -> str:
    label = candidate.case.label
    agrees = closeness(said.diagnosis, label) >= Closeness.SYNONYM
    diagnosis = label if agrees else said.diagnosis
    others = (name for name in said.differential if closeness(name, diagnosis) < Closeness.SYNONYM)
    reasoning = said.reasoning if said.advice == "" else f"{said.reasoning} {said.advice}"
    if not said.advice and not _ADVISES.search(reasoning):
        reasoning = f"{reasoning} {_advice(candidate, seed)}"
    observation = _LEADING_TITLE.sub("", _plain(candidate.text("observe")))
    return make_narrative(observation, reasoning, diagnosis, [*others]).text


def _advice(candidate: Candidate, seed: int) -> str:
    rng = random.Random(f"{seed}:{candidate.case.id}:advice")
    return rng.choice(ADVICE[urgency_of(candidate.case.label)])
