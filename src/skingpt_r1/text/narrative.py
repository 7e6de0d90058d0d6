"""The one reader and writer of narratives.

Our models write the canonical form, on one line; the differential may be absent:

    <think> Observation: ... Reasoning: ... Differential: a; b </think> <answer> diagnosis </answer>

What others write is cut into sentences. An explicit answer (an answer tag, `Final Answer:`, a
heading) counts most; else the last concluding sentence that names a disease. What stays open is a
`NarrativeError` with a reason; the diagnosis is never guessed. Every pattern looks at one bounded
sentence, so the time is linear in the length of the text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, NoReturn

from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.claims import Claim, read_claims
from skingpt_r1.text.conclusions import (
    Conclusion,
    bare_phrase,
    conclusion,
    could_be_name,
    goes_on,
    has_alternatives,
    is_clause,
    is_english,
    is_finished,
    names_disease,
)
from skingpt_r1.text.sections import (
    TAG,
    between_answer_tags,
    is_answer,
    items,
    observation_and_reasoning,
    sections,
    spans,
    texts_of,
)
from skingpt_r1.text.taxonomy import canonical
from skingpt_r1.text.tokens import VOCABULARY, control_token, patterns, readings

# reason code -> what it means; every NarrativeError carries one of these.
REASONS: Mapping[str, str] = VOCABULARY["narrative_reasons"]
MARKS = ("<think>", "</think>", "<answer>", "</answer>")
_TITLES = ("Observation:", "Reasoning:", "Differential:")


@dataclass(frozen=True, slots=True)
class Narrative:
    """An explicit chain of reasoning and where it ends."""

    observation: str  # what is seen; empty when the text does not set it apart
    reasoning: str  # how the observation leads to the diagnosis; empty when there is none
    diagnosis: str  # the conclusion, as the text names it
    differential: tuple[str, ...]  # the other diagnoses considered, in order
    text: str  # as given; the canonical text when made by `make_narrative`

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the text states, denies, supposes, or says of other diagnoses; with places in it."""
        return read_claims(self.text)


def make_narrative(
    observation: str, reasoning: str, diagnosis: str, differential: Sequence[str] = ()
) -> Narrative:
    """A narrative with its canonical text; white space in the fields becomes single spaces.

    Raises:
        NarrativeError: reason `not_canonical`: a field is empty where it must not be, or holds a
            tag, a section title, a control token or, in the differential, a semicolon.
    """
    others = tuple(_field("differential", item, forbidden=(";",)) for item in differential)
    seen, thought = _field("observation", observation), _field("reasoning", reasoning)
    named = _field("diagnosis", diagnosis)
    listed = f" Differential: {'; '.join(others)}" if others else ""
    text = (
        f"<think> Observation: {seen} Reasoning: {thought}{listed} </think>"
        f" <answer> {named} </answer>"
    )
    return Narrative(seen, thought, named, others, text)


def _field(name: str, value: str, forbidden: tuple[str, ...] = ()) -> str:
    words = " ".join(value.split())
    mark = next((mark for mark in (*MARKS, *_TITLES, *forbidden) if mark in words), None)
    if not words:
        problem = "is empty; every field needs words"
    elif mark:
        problem = f"contains {mark!r}, which separates the fields"
    elif token := control_token(words):
        problem = f"contains the control token {token!r}; remove it"
    else:
        return words
    raise NarrativeError("not_canonical", f"the {name} {problem}")


def parse_narrative(text: str) -> Narrative:
    """Read a model text: the canonical form exactly, other forms by their own conclusion.

    What a model wrote after the end of its turn counts only where the turn has no conclusion.

    Raises:
        NarrativeError: the text has no diagnosis that it clearly means; `.reason` is in `REASONS`.
    """
    if found := _read_canonical(text):
        return found
    turn, *whole = readings(text)
    try:
        return replace(_read(turn), text=text)
    except NarrativeError as error:
        if not whole or error.reason not in ("no_diagnosis", "truncated"):
            raise
    return replace(_read(whole[0]), text=text)


def _read_canonical(text: str) -> Narrative | None:
    begin, middle, end = "<think> Observation: ", " </think> <answer> ", " </answer>"
    body, answered, answer = text.partition(middle)
    head, _, tail = body.partition(" Reasoning: ")
    if not (answered and head.startswith(begin) and answer.endswith(end)):
        return None
    reasoning, listed, others = tail.partition(" Differential: ")
    differential = others.split("; ") if listed else ()
    observation, diagnosis = head.removeprefix(begin), answer.removesuffix(end)
    try:
        found = make_narrative(observation, reasoning, diagnosis, differential)
    except NarrativeError:
        return None
    return found if found.text == text else None


def _read(text: str) -> Narrative:
    if not re.search(r"[^\W\d_]", TAG.sub("", text)):
        _fail("empty")
    told = _read_json(text)
    if told is not None:
        return _from_json(told, text)
    answer = _answer_tag(text)
    pieces = _pieces(text)
    diagnosis = _from_answer(answer) if answer is not None else _conclusion(pieces, text)
    end = pieces[-1].start + 1 if pieces else len(text)
    differential = _differential(text, end, diagnosis)
    return Narrative(*observation_and_reasoning(text), diagnosis, differential, text)


def _fail(reason: str) -> NoReturn:
    raise NarrativeError(reason, f"{REASONS[reason]} ({reason}); no diagnosis was read")


# What a key of a narrative that is written as a JSON object tells.
_ROLE = {name: role for role, names in VOCABULARY["roles"].items() for name in names.split()}
_NAMES_OF_A_NAME = ("name", "diagnosis", "label", "condition", "disease")
_MOST_FAILURES = 20  # braces that open no object; behind so many there is none


def _read_json(text: str) -> dict[str, tuple[str, ...]] | None:
    """Role -> texts of the last JSON object with a diagnosis; None when the text has none."""
    decoder = json.JSONDecoder()
    told = None
    failures, place = 0, text.find("{")
    while place >= 0 and failures < _MOST_FAILURES:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            failures, end = failures + 1, place + 1
        else:
            keys = {key: re.sub(r"[\s-]+", "_", key.strip().lower()) for key in value}
            roles = {_ROLE[name]: value[key] for key, name in keys.items() if name in _ROLE}
            if "diagnosis" in roles:
                told = {role: _names(item) for role, item in roles.items()}
        place = text.find("{", end)
    return told


def _names(value: Any) -> tuple[str, ...]:
    """The texts of a value: a text, an object with a name, or a list of these."""
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    if isinstance(value, list):
        return tuple(name for item in value for name in _names(item))
    if isinstance(value, dict):
        found = {key.strip().lower(): item for key, item in value.items()}
        return next((_names(found[key]) for key in _NAMES_OF_A_NAME if key in found), ())
    return ()


def _from_json(told: Mapping[str, tuple[str, ...]], text: str) -> Narrative:
    if len(told["diagnosis"]) > 1:
        _fail("several_diagnoses")
    diagnosis = _from_answer("".join(told["diagnosis"]))
    seen, thought = (" ".join(told.get(role, ())) for role in ("observation", "reasoning"))
    named = (item.name for listed in told.get("differential", ()) for item in items(listed))
    return Narrative(seen, thought, diagnosis, _others(named, diagnosis), text)


def _others(names: Iterable[str], diagnosis: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name.lower() != diagnosis.lower()))


def _differential(text: str, end: int, diagnosis: str) -> tuple[str, ...]:
    """The names that stand under a title; else those of a list that is announced before the end."""
    listed = texts_of(sections(text), "differential")
    named = [item.name for item in items(listed)]
    mention = None if named else _RE["mentions_others"].search(text, 0, end)
    if mention:
        bold = (
            bare_phrase(match[1]) for match in _RE["listed"].finditer(text, mention.start(), end)
        )
        named = [name for name in bold if names_disease(name)]
    return _others(named, diagnosis)


_RE = patterns("narrative")
_ABSENCES = {
    "no_diagnosis": _RE["none"],
    "normal_skin": _RE["normal"],
    "insufficient_information": _RE["unknown"],
}
_LONGEST_SENTENCE = 3000
_NUM_CLOSING = 100  # a conclusion stands in the last sentences; this bounds the work
_SHORT_LINE = 6  # words; a line of so few is a phrase, whether a full stop ends it or not


class _Sentence(NamedTuple):
    """One sentence; `start` is its place in the text, `block` the number of its block."""

    text: str
    start: int
    block: int
    closed: bool


def _answer_tag(text: str) -> str | None:
    """What stands in the answer tags; None without them."""
    found, rest = between_answer_tags(text)
    found = [answer.strip() for answer in found]
    if rest is not None:
        if rest.strip() and rest.strip()[-1] not in ".!":
            _fail("truncated")
        found.append(rest.strip())
    if len({bare_phrase(answer).lower() for answer in found if answer}) > 1:
        _fail("contradictory")
    return next(filter(None, found), "") if found else None


def _from_answer(answer: str) -> str:
    if not re.search(r"[^\W\d_]", answer):
        _fail("no_diagnosis")
    explicit = _RE["explicit"].sub("", answer.split("\n")[0] if len(answer) > 200 else answer)
    return _short_answer(explicit) or _conclusion(_pieces(f"{answer}."), answer)


def _short_answer(value: str) -> str | None:
    """The value of an explicit answer when it is a name; None when it is a longer sentence."""
    value = value.strip()
    for reason, words in _ABSENCES.items():
        if words.fullmatch(bare_phrase(value[:200])):
            _fail(reason)
    first = next((s.text for s in _pieces(value)), "") if len(value) < 1000 else value[:200]
    bold = (
        _RE["bold_name"].match(value) if value.startswith("**") or first.count("**") % 2 else None
    )
    name = bare_phrase(bold[1] if bold and not goes_on(value[bold.end() :]) else first)
    if not name or is_clause(name) or not could_be_name(name):
        return None
    if _RE["normal_skin"].search(name):
        _fail("normal_skin")
    if _RE["too_little"].search(name):
        _fail("insufficient_information")
    if has_alternatives(name):
        _fail("several_diagnoses")
    return name


def _sentences(text: str) -> Iterator[_Sentence]:
    for block, (begin, end) in enumerate(spans(text)):
        start = begin
        for stop in _RE["end"].finditer(text, begin, end):
            before = max(start, stop.start() - 12), stop.start()
            if stop[0] == "\n" or not _RE["abbreviation"].search(text, *before):
                yield _Sentence(text[start : stop.end()], start, block, closed=True)
                start = stop.end()
        tail = text[start:end].rstrip(' *"”’)]')
        closed = tail.endswith((".", "!", "?", ":"))
        yield _Sentence(text[start:end], start, block, closed)


def _pieces(text: str) -> list[_Sentence]:
    """The sentences of a text with words, with single spaces; what is too long is none."""
    return [
        sentence._replace(text=words)
        for sentence in _sentences(text)
        if len(sentence.text) <= _LONGEST_SENTENCE and (words := " ".join(sentence.text.split()))
    ]


def _conclusion(sentences: list[_Sentence], text: str) -> str:
    if not sentences:
        _fail("no_diagnosis")
    is_cut = _is_cut(sentences[-1], text)
    found = _explicit(sentences, text) or _bare_name(sentences)
    found = found or _concluding(sentences, text, is_cut=is_cut)
    return found if found is not None else _explain(sentences, text, is_cut=is_cut)


def _bare_name(sentences: list[_Sentence]) -> str | None:
    """The name of a disease that stands alone: as the whole text, or after the thinking."""
    last = sentences[-1]
    if len(sentences) > 1 and last.block == sentences[-2].block:
        return None
    name = _short_answer(last.text) or ""
    is_name = len(name.split()) <= 6 and not re.match(r"(?:the|a|an|this)\s", name, re.IGNORECASE)
    if len(sentences) == 1:
        return name if is_name and last.closed and canonical(name) is not None else None
    return name if is_name and names_disease(name) else None


def _is_cut(last: _Sentence, text: str) -> bool:
    """Whether the text breaks off: in the middle of a sentence, or inside a thinking block."""
    thinking = [tag[1] for tag in TAG.finditer(text) if not is_answer(tag)]
    if thinking and not thinking[-1]:
        return True
    if last.closed or (thinking and text.rstrip().endswith(">")):
        return False
    bare = bare_phrase(last.text)
    is_bare_name = could_be_name(bare) and names_disease(bare)  # how a longer name may begin
    if len(bare.split()) <= _SHORT_LINE and is_finished(last.text) and not is_bare_name:
        return False
    found = conclusion(last.text)
    name = found.name or found.kind
    return not (name and canonical(name) and bare_phrase(last.text).endswith(name))


def _explicit(sentences: list[_Sentence], text: str) -> str | None:
    boxed = _RE["boxed"].findall(text)
    if boxed:
        return _short_answer(boxed[-1])
    for index in range(len(sentences) - 1, -1, -1):
        sentence = sentences[index]
        value = _explicit_value(sentences, index)
        name = _short_answer(value) if value else None
        if name is None or not (sentence.closed or is_finished(value or "")):
            continue
        if _RE["contrast"].match(sentence.text):
            before = _concluding(sentences[:index], text, is_cut=False)
            if before and before.lower() != name.lower():
                _fail("contradictory")
        return name
    return None


def _explicit_value(sentences: list[_Sentence], index: int) -> str | None:
    text = sentences[index].text
    if _RE["heading"].match(text):
        return sentences[index + 1].text if index + 1 < len(sentences) else None
    match = _RE["explicit"].match(text) or _RE["final_answer"].search(text)
    if match is None:
        return None
    value = _RE["closing_quote"].split(text[match.end() :], maxsplit=1)[0]
    return None if match.groupdict().get("weak") and not names_disease(value[:120]) else value


def _concluding(sentences: list[_Sentence], text: str, *, is_cut: bool) -> str | None:
    """The diagnosis of the last concluding sentence that has one; None when there is none."""
    usable = (sentences[:-1] if is_cut else sentences)[-_NUM_CLOSING:]
    found = Conclusion()
    for index in range(len(usable) - 1, -1, -1):
        # An opened sentence that names nothing is completed by the first one after it that does.
        here = conclusion(usable[index].text)
        found = here if here.name or here.several else found
        if not _is_opened(usable, index, len(text), is_cut=is_cut):
            continue
        if found.several:
            _fail("several_diagnoses")
        if found.name:
            return None if found.hedged else found.name
    return None if is_cut else _last_words(usable)


def _is_opened(sentences: list[_Sentence], index: int, length: int, *, is_cut: bool) -> bool:
    """Whether a sentence concludes: by its own words, or announced by the one before."""
    sentence, behind = sentences[index], len(sentences) - index
    if behind > 8 and sentence.start < 0.5 * length:
        return False
    if _RE["final"].search(sentence.text):
        return True
    if is_cut or behind > 6:
        return False
    before = sentences[index - 1].text if index > 0 else ""
    announced = len(before) < 160 and re.search(r"conclu|diagnos", before, re.IGNORECASE)
    return bool(announced) or _RE["opener"].search(sentence.text) is not None


def _last_words(sentences: list[_Sentence]) -> str | None:
    # Without a concluding word, only the closing sentences count, and they must agree.
    closing = [conclusion(sentence.text) for sentence in sentences[-5:]]
    names = {found.name.lower(): found.name for found in closing if found.name}
    if not names:
        return closing[-1].kind or None
    return next(iter(names.values())) if len(names) == 1 else None


def _explain(sentences: list[_Sentence], text: str, *, is_cut: bool) -> NoReturn:
    closing = " ".join(sentence.text for sentence in sentences[-8:])
    if any(_RE["refusal"].match(sentence.text) for sentence in sentences[:2]):
        _fail("refusal")
    if not is_english(text):
        _fail("other_language")
    if is_cut:
        _fail("truncated")
    if _RE["normal_skin"].search(closing):
        _fail("normal_skin")
    if any(_RE["too_little"].search(sentence.text) for sentence in sentences):
        _fail("insufficient_information")
    _fail("no_diagnosis")
