"""Stages 1 to 4: the texts, and what rules find wrong with them without the picture.

Observe: what can be seen, told by a narrator that does not know the answer. Reason: how the
observation leads to the gold diagnosis, or that it does not. Normalise: both, however they were
laid out, in the one canonical form. Audit: the first problem of a narrative drops it.

What another model wrote stands in a prompt between marks that it cannot close. Structured
annotations are put into words: the dermoscopic criteria of Derm7pt, the concepts of SKINCON. Told
symptoms (itching, growth) stay out: a picture does not show them, and a model that learned to say
them would invent them.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from skingpt_r1.case import Case
from skingpt_r1.dermcot.corpus import (
    WORDING,
    Candidate,
    CaseRecord,
    Problem,
    Provenance,
    StageRecord,
    stage_record,
)
from skingpt_r1.dermcot.recipe import AuditRecipe
from skingpt_r1.errors import NarrativeError
from skingpt_r1.llm.ask import Prompt, Reply, prompt_sha256
from skingpt_r1.runs import picture_paths
from skingpt_r1.text.findings import is_negated, read_findings, statements
from skingpt_r1.text.giveaways import identity_words, invented_history, named_in
from skingpt_r1.text.narrative import Narrative, make_narrative, parse_narrative
from skingpt_r1.text.taxonomy import Closeness, closeness
from skingpt_r1.text.tokens import defused, fence
from skingpt_r1.text.wording import ADVICE, CONTEXT_KEYS, urgency_of

T = TypeVar("T")
Step = Literal["observe", "reason"]
# A narrator sees so many tasks at once; enough for its connections, few enough for any memory.
BLOCK = 256
# What a narrator may answer to `reason` when the diagnosis does not follow; it drops the case.
NOT_SUPPORTED = "not supported by the observation"


@dataclass(frozen=True, slots=True)
class Task(Prompt):
    """One text to write: what a language model is asked, and the facts for other narrators.

    In `observe` neither the prompt nor the case gives the answer away. Pictures are sent in
    `observe` alone: the reasoning is asked from the observation.
    """

    case: Case  # blind, see `write.blind`
    step: Step
    observation: str = ""  # the text to reason from; `reason` only
    diagnosis: str = ""  # the gold diagnosis to reason towards; `reason` only


# Writes texts: replies in the order of the tasks, each as soon as it and all before it are there.
# That of a language model is `ask` of its `llm.models.ChatModel`.
Narrator = Callable[[Sequence[Task]], Iterator[Reply]]


def _ask(
    candidates: Iterable[Candidate],
    narrator: Narrator,
    make_task: Callable[[Candidate], Task],
    check: Callable[[CaseRecord, str], Problem | None],
) -> Iterator[StageRecord]:
    """One record for each candidate, in order; each as soon as the narrator hands over its reply.

    A reply that is of no use is dropped for its own problem, an empty one as `empty`.
    """
    for block in blocks(candidates, BLOCK):
        tasks = [make_task(candidate) for candidate in block]
        for candidate, task, reply in zip(block, tasks, narrator(tasks), strict=True):
            text, problem = reply.text.strip(), None
            if task.step == "observe":
                text = " ".join(text.split())
            if reply.problem is not None:
                text, problem = reply.unused_text, (reply.problem, "")
            else:
                problem = check(candidate.case, text) if text else ("empty", "")
            of_reply = {k: v for k, v in reply._asdict().items() if k in Provenance.model_fields}
            origin = Provenance(prompt_sha256=prompt_sha256(task.text), seed=task.seed, **of_reply)
            yield stage_record(candidate.case.id, task.step, problem, text=text, provenance=origin)


def blocks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`; the last may be shorter."""
    rest = iter(items)
    while block := list(islice(rest, size)):
        yield block


def _seed_of(seed: int, case: CaseRecord, step: Step) -> int:
    """The seed of one text: 31 bits that depend on no other case."""
    name = f"{seed}:{case.dataset}:{case.id}:{step}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1


_CRITERIA: Mapping[str, Mapping[str, str]] = WORDING["criteria"]
_CONCEPT_FINDINGS: Mapping[str, Sequence[str]] = WORDING["concept_findings"]
_CONCEPT_WORDS: Mapping[str, str] = WORDING["concept_words"]
_CONCEPTS = "concepts"

# Attributes that describe what is seen; a narrator that does not know the answer may read them.
VISIBLE = frozenset({*_CRITERIA, _CONCEPTS})


def findings_in(attributes: Mapping[str, str]) -> dict[str, str]:
    """Findings that the SKINCON concepts of a case are; of several in one slot, the first."""
    findings: dict[str, str] = {}
    for concept in _concepts(attributes):
        if concept in _CONCEPT_FINDINGS:
            slot, value = _CONCEPT_FINDINGS[concept]
            findings.setdefault(slot, value)
    return findings


def describe_attributes(attributes: Mapping[str, str]) -> list[str]:
    """Sentences for what is seen beyond the findings; values without words stay out."""
    sentences = [
        words[value]
        for column, words in _CRITERIA.items()
        if (value := attributes.get(column, "").strip().lower()) in words
    ]
    seen = [_CONCEPT_WORDS[name] for name in _concepts(attributes) if name in _CONCEPT_WORDS]
    if seen:
        joined = " and ".join([", ".join(seen[:-1]), seen[-1]] if seen[:-1] else seen)
        sentences.append(f"Also seen: {joined}.")
    return sentences


def _concepts(attributes: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in attributes.get(_CONCEPTS, "").split(";") if name.strip()]


def observe(
    candidates: Iterable[Candidate], narrator: Narrator, *, folder: Path, seed: int
) -> Iterator[StageRecord]:
    """Descriptions; a text that names the diagnosis is dropped, and so is a reply without a text.

    The narrator sees the blind case alone; `folder` is where the pictures' paths begin.
    """

    def check(case: CaseRecord, text: str) -> Problem | None:
        name = named_in(text, case.label)
        return None if name is None else ("names_diagnosis", f"it names {name!r}")

    yield from _ask(candidates, narrator, partial(observe_task, folder=folder, seed=seed), check)


def observe_task(candidate: Candidate, *, folder: Path, seed: int) -> Task:
    """The blind case, and a prompt that does not name the answer.

    Site and age are told where known, and no more.
    """
    case, asked = blind(candidate.case, folder), str(WORDING["observe_prompt"])
    told = [f"{key} {defused(case.context[key])}" for key in CONTEXT_KEYS if case.context.get(key)]
    text = f"{asked} Told: {', '.join(told)}." if told else asked
    return Task(text, case.images, _seed_of(seed, candidate.case, "observe"), case, "observe")


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
    """Reasonings; `not supported by the observation` drops the case."""

    def check(_: CaseRecord, text: str) -> Problem | None:
        return ("not_supported", "") if says_not_supported(text) else None

    yield from _ask(candidates, narrator, partial(reason_task, folder=folder, seed=seed), check)


def reason_task(candidate: Candidate, *, folder: Path, seed: int) -> Task:
    """The observation between marks, the gold diagnosis, and no other fact."""
    case, records = candidate.case, candidate.records
    seen = records["observe"].text if "observe" in records else ""
    text = str(WORDING["reason_prompt"]).format(
        diagnosis=defused(case.label), not_supported=NOT_SUPPORTED, description=fence(seen)
    )
    seed = _seed_of(seed, case, "reason")
    return Task(text, (), seed, blind(case, folder), "reason", seen, case.label)


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
        text, problem = "", None
        try:
            text = _canonical(candidate, read_reasoning(candidate.text("reason")), seed)
        except NarrativeError as error:
            code = error.reason if error.reason == "no_diagnosis" else "not_readable"
            problem = (code, error.reason)
        yield stage_record(candidate.case.id, "normalise", problem, text=text)


def read_reasoning(text: str) -> Reasoning:
    """Read a reply: titled lines as asked for, or anything that `parse_narrative` reads.

    Raises:
        NarrativeError: no reasoning or no conclusion can be told apart.
    """
    parts = _parts(text)
    if not parts:
        found = parse_narrative(text)
        if closeness(found.reasoning, found.diagnosis) is Closeness.EXACT or not found.reasoning:
            raise NarrativeError("not_canonical", "the text sets no reasoning apart")
        return Reasoning(found.reasoning, found.diagnosis, found.differential)
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


def _parts(text: str) -> dict[str, str]:
    """What stands under each title; what stands before the first one is reasoning."""
    before, *titled = _TITLE.split(text)
    parts = {"reasoning": before.strip()} if titled else {}
    for title, words in zip(titled[::2], titled[1::2], strict=True):
        name = title.lower()
        key = "differential" if name.startswith("diff") else name.split()[-1]
        if words.strip():
            parts[key] = words.strip()
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
        rng = random.Random(f"{seed}:{candidate.case.id}:advice")
        reasoning = f"{reasoning} {rng.choice(ADVICE[urgency_of(label)])}"
    observation = _LEADING_TITLE.sub("", _one_line(candidate.text("observe")))
    return make_narrative(observation, reasoning, diagnosis, [*others]).text


# Counting words are used of findings too (`several findings`).
_NOT_COMPARED = frozenset({"count"})
# A raised plaque need not have a raised border, and a likelihood has no size.
_AMBIGUOUS = re.compile(
    r"\braised(?=\s+(?:lesions?|plaques?|papules?|nodules?|patch(?:es)?|areas?|bumps?|rash))"
    r"|\bmoderate(?=\s+(?:likelihood|probability|confidence|suspicion|certainty))",
    re.IGNORECASE,
)
_CONTRAST = re.compile(
    r"\b(?:lacks?|lacking|unlike|rather than|instead of|against|whereas|versus|differs?"
    r"|unlikely|less likely|ruled? out|excluded?s?)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;.]")


def audit(candidates: Iterable[Candidate], recipe: AuditRecipe) -> Iterator[StageRecord]:
    """Whether each canonical narrative stands; the first problem found drops it."""
    for candidate in candidates:
        problem = find_problem(candidate.case, candidate.text("normalise"), recipe)
        yield stage_record(candidate.case.id, "audit", problem)


def find_problem(case: CaseRecord, text: str, recipe: AuditRecipe) -> Problem | None:
    """The first problem of a narrative, as reason code and detail; None when it stands.

    In this order: identity words, structure, label, contradiction, invented history.
    """
    if (kind := identity_words(text)) is not None:
        return "identity", kind
    try:
        narrative = parse_narrative(text)
    except NarrativeError as error:
        return "structure", error.reason
    return next(chain(_sizes(narrative, recipe), _problems(narrative, case)), None)


def _sizes(narrative: Narrative, recipe: AuditRecipe) -> Iterator[Problem]:
    for name, words in (("observation", narrative.observation), ("reasoning", narrative.reasoning)):
        if (count := len(words.split())) < recipe.least_words:
            yield "structure", f"{name} of {count} words; at least {recipe.least_words}"
    if (length := len(narrative.text)) > recipe.most_characters:
        yield "structure", f"{length} characters; at most {recipe.most_characters}"


def _problems(narrative: Narrative, case: CaseRecord) -> Iterator[Problem]:
    if closeness(narrative.diagnosis, case.label) < Closeness.SYNONYM:
        yield "label_mismatch", f"it concludes with {narrative.diagnosis[:80]!r}"
    if named_in(narrative.observation, case.label) is not None:
        yield "structure", "the observation names the diagnosis"
    for slot, (seen, cited) in contradictions(narrative).items():
        yield "contradiction", f"{slot}: {_list(seen)} seen, {_list(cited)} cited"
    for words in (narrative.observation, narrative.reasoning):
        if (kind := invented_history(words, case.context, case.attributes)) is not None:
            yield "invented_history", kind


def contradictions(narrative: Narrative) -> dict[str, tuple[set[str], set[str]]]:
    """Slots that the reasoning cites otherwise than observed -> values observed, values cited.

    A value counts as cited where it speaks for the conclusion, not against another diagnosis.
    """
    seen = _values(_CLAUSE.split(narrative.observation))
    cited = _values(
        clause
        for sentence in statements(narrative.reasoning)
        if read_findings(sentence)  # asked first, as it costs least
        and not (_CONTRAST.search(sentence) or is_negated(sentence))
        and not any(named_in(sentence, other) for other in narrative.differential)
        for clause in _CLAUSE.split(sentence)
    )
    return {
        slot: (seen[slot], values)
        for slot, values in cited.items()
        if slot in seen and slot not in _NOT_COMPARED and not values <= seen[slot]
    }


def _values(clauses: Iterable[str]) -> dict[str, set[str]]:
    """Every value that is named of each slot, clause by clause."""
    values: dict[str, set[str]] = {}
    for clause in clauses:
        for slot, value in read_findings(_AMBIGUOUS.sub(" ", clause)).items():
            values.setdefault(slot, set()).add(value)
    return values


def _list(values: set[str]) -> str:
    return " and ".join(sorted(values))
