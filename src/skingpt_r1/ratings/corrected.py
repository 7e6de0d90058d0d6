"""A corrected text of a dermatologist in canonical form: every word is kept, or the text refused.

What the canonical form has no place for, such as advice behind the diagnosis, a section with a
title of its own or a remark on a differential, goes to the end of the reasoning, in its order.
"""

import re
from collections import Counter
from typing import NamedTuple

from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.conclusions import bare_phrase
from skingpt_r1.text.narrative import Narrative, make_narrative, parse_narrative
from skingpt_r1.text.sections import (
    JOINT_WORDS,
    MOST_CHARACTERS,
    NUMBER,
    SHARE,
    TAG,
    ListedName,
    TextSection,
    items,
    sections,
)
from skingpt_r1.text.tokens import control_token, with_plain_marks

_WORD = re.compile(r"[^\W_]+")
_MARK_OF_CANONICAL = re.compile(r"(</?(?:think|answer)>)")
_CLOSED = re.compile(r"[.!?:;][\"”’)\]*]*$")
_NUMBERING = re.compile(rf"(?:^|(?<=[\s>*_#])){NUMBER}", re.IGNORECASE | re.MULTILINE)


class _Fields(NamedTuple):
    """The pieces of the canonical fields, in order; `extra` goes to the end of the reasoning."""

    seen: list[str]
    thought: list[str]
    others: list[str]
    extra: list[str]


def canonical_text(text: str) -> str:
    """A corrected text in canonical form; line breaks and spaces around tags do not matter.

    Raises:
        NarrativeError: the text is no narrative, lacks an observation or a reasoning, holds a
            control token, or has a line that finds no place; the message gives its number.
    """
    if token := control_token(text):
        raise NarrativeError("not_canonical", f"it holds the control token {token!r}; remove it")
    text = with_plain_marks(text)
    one_line = " ".join(_MARK_OF_CANONICAL.sub(r" \1 ", text).split())
    if _is_canonical(one_line):
        return one_line
    read = parse_narrative(text)
    found = sections(text)
    titled = {part.kind for part in found} & {"observation", "reasoning"}
    fields = _by_titles(found, read.diagnosis) if titled else _by_blocks(found, read)
    for name, pieces in (("Observation", fields.seen), ("Reasoning", fields.thought)):
        if not any(pieces):
            raise NarrativeError(
                "not_canonical", f"no {name.lower()} stands apart; begin it with '{name}:'"
            )
    seen, thought = _joined(fields.seen), _joined([*fields.thought, *fields.extra])
    made = make_narrative(seen, thought, read.diagnosis, fields.others).text
    _refuse_loss(text, made, found, read.diagnosis)
    return made


def _is_canonical(text: str) -> bool:
    if not text.startswith("<think> Observation: "):
        return False
    read = parse_narrative(text)
    try:
        made = make_narrative(
            read.observation, read.reasoning, read.diagnosis, read.differential
        ).text
    except NarrativeError:
        return False
    return made == text


def _by_titles(found: list[TextSection], diagnosis: str) -> _Fields:
    fields = _Fields([], [], [], [])
    begun = False  # something behind the observation stood already
    for part in found:
        begun = begun or part.kind in ("reasoning", "differential", "diagnosis")
        if part.kind == "observation" or (part.kind in ("before", "other") and not begun):
            fields.seen.append(_with_title(part))
        elif part.kind == "reasoning":
            fields.thought.append(part.text)
        else:
            _add_rest(part, diagnosis, fields)
    titled = any(part.kind == "observation" and part.text for part in found)
    return fields if titled else fields._replace(seen=[])


def _by_blocks(found: list[TextSection], read: Narrative) -> _Fields:
    """Without titles the observation is the first block, and the reasoning all that follows."""
    fields = _Fields([], [], [], [])
    told = [_with_title(part) for part in found if part.kind in ("before", "other")]
    words, seen = " ".join(" ".join(told).split()), " ".join(read.observation.split())
    if seen and words.startswith(seen):
        fields.seen.append(seen)
        fields.thought.append(words.removeprefix(seen).strip())
    for part in found:
        if part.kind not in ("before", "other"):
            _add_rest(part, read.diagnosis, fields)
    return fields


def _add_rest(part: TextSection, diagnosis: str, fields: _Fields) -> None:
    if part.kind == "differential":
        is_list = len(part.text) <= MOST_CHARACTERS
        for line in part.text.split("\n") if is_list else [part.text]:
            _add_listed(line, fields)
    elif part.kind == "diagnosis":
        fields.extra.append(_beyond(part.text, diagnosis))
    else:
        fields.extra.append(_with_title(part))


def _add_listed(line: str, fields: _Fields) -> None:
    """The names of a line to the differential; a line that is more than names to the reasoning."""
    found = [_listed(item) for item in items(line)]
    kept = Counter(word for pair in found for text in pair for word in _WORD.findall(text))
    if Counter(_words_of_list(line)) - kept:
        fields.extra.append(line if fields.others else f"Differential diagnosis: {line}")
        return
    fields.others.extend(name for name, _ in found)
    fields.extra.extend(remark for _, remark in found)


def _words_of_list(text: str) -> list[str]:
    """The words of a list but its numbers and joints."""
    words = _WORD.findall(_NUMBERING.sub(" ", text))
    return [word for word in words if word not in JOINT_WORDS]


def _with_title(part: TextSection) -> str:
    """A section with its title, where the canonical form has none for it."""
    return f"{part.title}: {part.text}" if part.kind == "other" and part.title else part.text


def _listed(item: ListedName) -> tuple[str, str]:
    """An item as it is listed, and what is said about it; a share stays beside the name."""
    if SHARE.fullmatch(item.remark):
        return f"{item.name} ({item.remark})", ""
    return item.name, f"{item.name}: {item.remark}" if item.remark else ""


def _beyond(text: str, diagnosis: str) -> str:
    """What a section of the diagnosis says beyond the name."""
    if bare_phrase(text) == diagnosis:
        return ""
    sentence, _, rest = text.partition("\n")
    first = re.match(r"(.*?[.!?;])\s+(.*)", sentence)
    name, more = (first[1], first[2]) if first else (sentence, "")
    return f"{more} {rest}".strip() if bare_phrase(name) == diagnosis else text


def _joined(pieces: list[str]) -> str:
    """Pieces as one text, each closed, so that two do not run into one sentence."""
    kept = [" ".join(piece.split()) for piece in pieces if piece.split()]
    if len(kept) < 2:
        return "".join(kept)
    return " ".join(piece if _CLOSED.search(piece) else f"{piece}." for piece in kept)


def _refuse_loss(text: str, made: str, found: list[TextSection], diagnosis: str) -> None:
    """Raises NarrativeError when a word of the text is not in what was made of it."""
    lost = Counter(_WORD.findall(TAG.sub(" ", text)))
    lost.subtract(_WORD.findall(TAG.sub(" ", made)))
    for part in found:
        lost.subtract(_WORD.findall("" if part.kind == "other" else part.title))
        if part.kind == "differential":
            lost.subtract(Counter(_WORD.findall(part.text)) - Counter(_words_of_list(part.text)))
    named = sum(part.kind == "diagnosis" and bool(part.text) for part in found)
    for _ in range(1, named):  # named again, as in a line and in a tag
        lost.subtract(_WORD.findall(diagnosis))
    missing = {word for word, count in lost.items() if count > 0}
    if missing:
        lines = text.split("\n")
        number = next(n for n, line in enumerate(lines, 1) if missing & set(_WORD.findall(line)))
        raise NarrativeError(
            "not_canonical",
            f"line {number} would be lost in part: it finds no place in the form; list the "
            "differential as names with semicolons, and write the rest under 'Reasoning:'",
        )
