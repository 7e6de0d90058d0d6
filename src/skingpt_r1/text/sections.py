"""The parts of a narrative by its tags and titles; used by the reader and by certification.

Every word of a text is in exactly one section: what stands under a title that is not known, before
the first title or behind the diagnosis is a section too.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from skingpt_r1.text.narrative_list import could_be_listed, end_of_list, is_advice

Kind = Literal["before", "observation", "reasoning", "differential", "diagnosis", "other"]


class Section(NamedTuple):
    """One section.

    Attributes:
        kind: what it tells; `before` stands in front of the first title.
        title: as written, without marks; empty where none stands.
        text: what stands under the title.
    """

    kind: Kind
    title: str
    text: str


TAG = re.compile(
    r"<\s?(/?)\s?(think(?:ing)?|thought|reasoning|(?:final[\s_]?)?answer)"
    r"(?:\s[^<>=\n]{0,40}=[^<>\n]{0,60})?\s?>",
    re.IGNORECASE,
)
_MARKS = r"^[\s#>*_\-•|]{0,12}(?:\(?\d+[.)]\s*)?[*_]{0,3}"
_COLON = r"(?:[*_]{0,3}\s?[:=][*_]{0,3}(?:\s|$)|[*_]{0,3}\s?(?:[–—]|\s-{1,2})\s?[*_]{0,3})"
_SEEN = r"observations?|findings|description"
_THOUGHT = r"(?:clinical\s|diagnostic\s)?(?:reasoning|analysis)|rationale|explanation"
_LISTED = r"(?:the\s)?differentials?(?:\s(?:diagnos[ie]s|considerations?|list))?|dd\.?x\.?|dd|d/d"
_NAMED = (
    r"(?:(?:the|my)\s)?(?:(?:final|primary|most\slikely|leading|main|presumptive|working"
    r"|provisional|clinical|likely|probable|correct|predicted)\s){0,2}(?:answer|diagnos[ie]s"
    r"|impression|dx)"
)
_KNOWN = re.compile(
    rf"{_MARKS}(?:(?P<observation>{_SEEN})|(?P<reasoning>{_THOUGHT})|(?P<differential>{_LISTED})"
    rf"|(?P<diagnosis>{_NAMED}))(?:{_COLON}|[*_]*\s*$)",
    re.IGNORECASE,
)
_OTHER = re.compile(
    rf"{_MARKS}(?P<title>[A-Za-z][\w'’/&,-]{{0,30}}(?:\s[\w'’/&,()-]{{1,30}}){{0,5}}?)"
    r"[*_]{0,3}\s?:[*_]{0,3}(?:\s|$)"
)
_HEADING = re.compile(
    r"^\s*(?:#{1,6}\s+(?P<hash>[^\n]{1,80})|\*\*(?P<bold>[^*\n]{1,60})\*\*:?)\s*$"
)
_IN_LINE = re.compile(
    r"[ \t](?=(?:Observation|Reasoning|Differential):\s)"
    rf"|(?<=[.;!?)*_])[ \t](?=[*_]{{0,3}}[A-Z])(?=[*_]{{0,3}}(?i:{_LISTED}|{_NAMED})[*_]{{0,3}}:)"
)
# Words that stand in front of a title and belong to it, as in `Clinical Reasoning:`.
_PART_OF_TITLE = re.compile(r"(?:^|\n)[\s#>*_]*(?:\w+\s){0,2}\w+$")


_OBSERVES = re.compile(
    r"\b(?:observ\w+|description|described|image|photo\w*|picture|presents?|shows|visible|features)\b",
    re.IGNORECASE,
)
_AROUND_TITLE = " \t#>*_-•|:=–—"


def sections(text: str) -> list[Section]:
    """The sections of a text, in order; see `Section`."""
    found: list[Section] = []
    for kind, piece in _pieces(text):
        _read_lines(piece, kind, found)
    return [section for section in found if section.title or section.text]


def texts_of(found: list[Section], kind: Kind) -> str:
    """What stands in all sections of a kind, one line each."""
    return "\n".join(part.text for part in found if part.kind == kind and part.text)


def observation_and_reasoning(text: str) -> tuple[str, str]:
    """Observation and reasoning: by their titles, else the first block and the blocks between."""
    found = sections(text)
    seen, thought = texts_of(found, "observation"), texts_of(found, "reasoning")
    if seen or thought:
        return seen, thought
    blocks = _blocks(text)
    middle = blocks[:-1] if len(blocks) > 1 else blocks
    if len(blocks) > 1 and _OBSERVES.search(blocks[0][:600]):
        return blocks[0], "\n\n".join(middle[1:])
    return "", "\n\n".join(middle)


def is_answer(tag: re.Match[str]) -> bool:
    """Whether a tag is of the answer, not of the thinking."""
    return tag[2].lower().endswith("answer")


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Beginning and end of what stands between the tags."""
    begin = 0
    for tag in TAG.finditer(text):
        yield begin, tag.start()
        begin = tag.end()
    yield begin, len(text)


def _pieces(text: str) -> Iterator[tuple[Kind, str]]:
    """What stands between the tags, and what it is before a title says more."""
    begin = 0
    kind: Kind = "before"
    for tag in TAG.finditer(text):
        yield kind, text[begin : tag.start()]
        begin = tag.end()
        kind = "other" if tag[1] else "diagnosis" if is_answer(tag) else "before"
    yield kind, text[begin:]


def _read_lines(piece: str, kind: Kind, found: list[Section]) -> None:
    title = ""
    lines: list[str] = []
    for line in _lines(piece):
        known = _title(line, kind)
        if known is None and kind == "differential" and lines and is_advice(line):
            known = ("other", "", line)
        if known is None:
            lines.append(line.strip())
            continue
        found.append(Section(kind, title, "\n".join(lines)))
        kind, title, rest = known
        end = end_of_list(rest) if kind == "differential" else len(rest)
        lines = [rest[:end].strip()] if rest[:end].strip() else []
        if rest[end:]:
            found.append(Section(kind, title, "\n".join(lines)))
            kind, title, lines = "other", "", [rest[end:].strip()]
    found.append(Section(kind, title, "\n".join(lines)))


def _lines(piece: str) -> list[str]:
    """The lines, cut also where a title of the canonical form stands inside one."""
    cuts = [0]
    for place in _IN_LINE.finditer(piece):
        if not _PART_OF_TITLE.search(piece, max(cuts[-1], place.start() - 60), place.start()):
            cuts.append(place.end())
    ends = [*cuts[1:], len(piece)]
    parts = (piece[begin:end] for begin, end in zip(cuts, ends, strict=True))
    return [line for part in parts for line in part.split("\n") if line.strip()]


def _title(line: str, inside: Kind) -> tuple[Kind, str, str] | None:
    """Kind, title and rest of a line that begins a section; None for any other line."""
    short = line[:200]
    if match := _KNOWN.match(short):
        kind: Kind = match.lastgroup  # type: ignore[assignment]
        return kind, match[0].strip(_AROUND_TITLE), line[match.end() :]
    if heading := _HEADING.match(short):
        title = (heading["hash"] or heading["bold"]).strip(" *_:")
        is_item = inside == "differential" and could_be_listed(title)
        return None if is_item else ("other", title, "")
    if inside in ("before", "observation", "reasoning"):
        return None
    match = _OTHER.match(short)
    if match is None or (inside == "differential" and could_be_listed(match["title"])):
        return None
    return "other", match[0].strip(_AROUND_TITLE), line[match.end() :]


def _blocks(text: str) -> list[str]:
    pieces = [text[begin:end] for begin, end in spans(text)]
    return [part.strip() for piece in pieces for part in piece.split("\n\n") if part.strip()]
