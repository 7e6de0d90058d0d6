"""The parts of a narrative by its tags and titles, and the names of a differential.

Every word of a text is in exactly one section: what stands under an unknown title, before the
first title or behind the diagnosis is a section too. A differential is listed on one line or over
several, with bullets, numbers or letters, with semicolons, commas, `and` or `vs`, in bold, with
percentages and with remarks; every item is kept, known or not.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from skingpt_r1.text.conclusions import bare_phrase, is_clause, is_known, names_disease
from skingpt_r1.text.taxonomy import canonical
from skingpt_r1.text.tokens import patterns

MOST_CHARACTERS = 4000  # of a list that are read; no differential is longer


class ListedName(NamedTuple):
    """One item of a differential: a name as written, and what is said about it."""

    name: str
    remark: str = ""


_RE = patterns("sections")
TAG, SHARE = _RE["tag"], _RE["share"]
NUMBER = r"\(?(\d{1,2}|[a-h]|[ivx]{1,4})(?:\)[.:]?|(?<=\d)[.:](?!\d))"
_FIRST_NUMBER = re.compile(rf"^[\s>*_#]*{NUMBER}[\s*_]*", re.IGNORECASE)
_NEXT_NUMBER = re.compile(rf"[;,.]?\s(?:and\s)?{NUMBER}(?=[\s*a-z])", re.IGNORECASE)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
JOINT_WORDS = frozenset(("and", "or", "vs", "versus"))
_MOST_WORDS = 8


def items(text: str) -> tuple[ListedName, ...]:
    """The items of a list of diagnoses, in order; of prose, what names a disease."""
    lines = _RE["bullet_in_line"].sub("\n", text[:MOST_CHARACTERS]).split("\n")
    found = [item for line in lines if line.strip() for item in _line(line)]
    found = [item for item in found if could_be_listed(item.name) or not _is_no_name(item.name)]
    are_short = all(_is_short(item.name) for item in found)
    return tuple(item for item in found if are_short or _is_name(item.name))


def could_be_listed(name: str) -> bool:
    """Whether a phrase names a disease or a kind of disease, or is a short form such as BCC."""
    return names_disease(name) or is_known(name) or _RE["short_form"].fullmatch(name) is not None


def _is_no_name(text: str) -> bool:
    return _RE["advice"].search(text) is not None or _RE["nothing"].fullmatch(text) is not None


def is_advice(text: str) -> bool:
    """Whether what stands in a list of diagnoses says what to do, or is a sentence."""
    if _FIRST_NUMBER.match(text) or _RE["bullet"].match(text):
        return False
    bare = bare_phrase(text[:MOST_CHARACTERS])
    says = is_clause(bare) or text.rstrip().endswith((".", "!")) or bool(_RE["advice"].search(bare))
    return says and not could_be_listed(bare) and not all(map(_is_name, _names(bare)))


def end_of_list(line: str) -> int:
    """Where the names of a line end and a sentence of advice begins; its length where none does."""
    for gap in _RE["sentence"].finditer(line[:MOST_CHARACTERS]):
        if is_advice(_RE["sentence"].split(line[gap.end() :], maxsplit=1)[0]):
            return gap.end()
    return len(line)


def _line(line: str) -> list[ListedName]:
    bullet = _RE["bullet"].match(line)
    rest = line[bullet.end() :] if bullet else line
    if _FIRST_NUMBER.match(rest):
        return [item for piece in _numbered(rest) for item in _marked(piece)]
    if not _RE["bold_list"].match(rest) and (bullet or _RE["bold"].match(rest)):
        return _marked(rest)
    halves = [_RE["lead_in"].sub("", half.strip()) for half in _RE["semicolon"].split(rest)]
    found = [_item(piece) for half in halves for piece in _names(half)]
    return [item for item in found if item.name]


def _numbered(text: str) -> list[str]:
    """The pieces behind `1)`, `2)` and so on; a number out of order is part of a piece."""
    mark = _FIRST_NUMBER.match(text)
    pieces = []
    while mark is not None:
        begin, wanted = mark.end(), _successors(mark[1].lower())
        later = _NEXT_NUMBER.finditer(text, begin)
        mark = next((found for found in later if found[1].lower() in wanted), None)
        pieces.append(text[begin : mark.start() if mark else len(text)])
    return pieces


def _successors(label: str) -> set[str]:
    if label.isdigit():
        return {str(int(label) + 1)}
    roman = _ROMAN[_ROMAN.index(label) + 1 :][:1] if label in _ROMAN else ()
    return {chr(ord(label[0]) + 1), *roman}


def _marked(text: str) -> list[ListedName]:
    """The item behind a bullet or a number; several where the line lists several names."""
    item = _item(text)
    names = [
        name for half in _RE["semicolon"].split(item.name) for name in _RE["comma"].split(half)
    ]
    if not item.remark and len(names) > 1 and all(_is_name(name) for name in names):
        return [ListedName(bare_phrase(name)) for name in names]
    return [item] if item.name else []


def _item(text: str) -> ListedName:
    text = _RE["leading_joint"].sub("", text.strip())
    bold = _RE["bold"].match(text)
    dash = _RE["remark"].search(text)
    name, remark = text, ""
    if bold:
        name, remark = bold[1], text[bold.end() :]
    elif dash and bare_phrase(text[: dash.start()]):
        name, remark = text[: dash.start()], text[dash.end() :]
    share = SHARE.search(name)
    if share and bare_phrase(name.replace(share[0], " ")):
        name, remark = name.replace(share[0], " "), f"{share[0].strip('[]() ')} {remark}"
    return ListedName(bare_phrase(name), bare_phrase(remark))


def _names(text: str) -> Iterator[str]:
    """The names between commas and joints; a name that holds one stays whole."""
    for part in _joined([part for part in _RE["comma"].split(text) if part.strip()]):
        yield from _at_joints(_RE["leading_joint"].sub("", part))


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """Neighbours that only together are a name, such as `hand, foot and mouth disease`."""
    at = 0
    while at < len(parts):
        *_, last = (0, *(joint.end() for joint in _RE["joint"].finditer(parts[at])))
        before, tail = parts[at][:last], parts[at][last:]
        ends = () if _is_name(tail) else (at + 3, at + 2)
        groups = (", ".join((tail, *parts[at + 1 : end])) for end in ends)
        name = next((group for group in groups if canonical(group)), None)
        if name is None:
            yield parts[at]
        else:
            yield from filter(None, (_RE["trailing_joint"].sub("", before), name))
        at += 1 + (0 if name is None else name.count(", ") - tail.count(", "))


def _at_joints(text: str) -> list[str]:
    """The names on both sides of `and`, `vs` and strokes, where each side is a name alone."""
    parts = _RE["joint"].split(text)
    whole = canonical(text)
    is_one = whole is not None and whole != canonical(parts[0])
    return [text] if is_one or not all(map(_is_name, parts)) else parts


def _is_name(text: str) -> bool:
    name = bare_phrase(SHARE.sub(" ", text))
    return _is_short(name) and could_be_listed(name)


def _is_short(name: str) -> bool:
    return len(name.split()) <= _MOST_WORDS and not is_clause(name)


Kind = Literal["before", "observation", "reasoning", "differential", "diagnosis", "other"]


class TextSection(NamedTuple):
    """One section; `before` stands in front of the first title, which is as written."""

    kind: Kind
    title: str
    text: str


_AROUND_TITLE = " \t#>*_-•|:=–—"


def sections(text: str) -> list[TextSection]:
    """The sections of a text, in order."""
    found = (section for kind, piece in _pieces(text) for section in _read_lines(piece, kind))
    return [section for section in found if section.title or section.text]


def texts_of(found: list[TextSection], kind: Kind) -> str:
    """What stands in all sections of a kind, one line each."""
    return "\n".join(part.text for part in found if part.kind == kind and part.text)


def observation_and_reasoning(text: str) -> tuple[str, str]:
    """Observation and reasoning: by their titles, else the first block and the blocks between."""
    found = sections(text)
    seen, thought = texts_of(found, "observation"), texts_of(found, "reasoning")
    if seen or thought:
        return seen, thought
    pieces = (text[begin:end].split("\n\n") for begin, end in spans(text))
    blocks = [block.strip() for piece in pieces for block in piece if block.strip()]
    middle = blocks[:-1] if len(blocks) > 1 else blocks
    if len(blocks) > 1 and _RE["observes"].search(blocks[0][:600]):
        return blocks[0], "\n\n".join(middle[1:])
    return "", "\n\n".join(middle)


def is_answer(tag: re.Match[str]) -> bool:
    """Whether a tag is of the answer, not of the thinking."""
    return tag[2].lower().endswith("answer")


def between_answer_tags(text: str) -> tuple[list[str], str | None]:
    """What stands between answer tags, and behind one that is not closed, if there is one."""
    opened: int | None = None
    found = []
    for tag in filter(is_answer, TAG.finditer(text)):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            found.append(text[opened : tag.start()])
            opened = None
    return found, None if opened is None else text[opened:]


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Beginning and end of what stands between the tags."""
    places = [0, *(place for tag in TAG.finditer(text) for place in tag.span()), len(text)]
    return zip(places[::2], places[1::2], strict=True)


def _kind_behind(tag: re.Match[str]) -> Kind:
    return "other" if tag[1] else "diagnosis" if is_answer(tag) else "before"


def _pieces(text: str) -> Iterator[tuple[Kind, str]]:
    """What stands between the tags, and what it is before a title says more."""
    kinds: list[Kind] = ["before", *map(_kind_behind, TAG.finditer(text))]
    for kind, (begin, end) in zip(kinds, spans(text), strict=True):
        yield kind, text[begin:end]


def _read_lines(piece: str, kind: Kind) -> Iterator[TextSection]:
    title = ""
    lines: list[str] = []
    for line in _lines(piece):
        titled = _title(line, kind)
        if titled is None and kind == "differential" and lines and is_advice(line):
            titled = ("other", "", line)
        if titled is None:
            lines.append(line.strip())
            continue
        yield TextSection(kind, title, "\n".join(lines))
        kind, title, rest = titled
        end = end_of_list(rest) if kind == "differential" else len(rest)
        lines = [rest[:end].strip()] if rest[:end].strip() else []
        if rest[end:]:
            yield TextSection(kind, title, "\n".join(lines))
            kind, title, lines = "other", "", [rest[end:].strip()]
    yield TextSection(kind, title, "\n".join(lines))


def _lines(piece: str) -> list[str]:
    """The lines, cut also where a title of the canonical form stands inside one."""
    cuts = [0]
    for place in _RE["in_line"].finditer(piece):
        if not _RE["part_of_title"].search(piece, max(cuts[-1], place.start() - 60), place.start()):
            cuts.append(place.end())
    ends = [*cuts[1:], len(piece)]
    parts = (piece[begin:end] for begin, end in zip(cuts, ends, strict=True))
    return [line for part in parts for line in part.split("\n") if line.strip()]


def _title(line: str, inside: Kind) -> tuple[Kind, str, str] | None:
    """Kind, title and rest of a line that begins a section; None for any other line."""
    short = line[:200]
    if match := _RE["known"].match(short):
        kind: Kind = match.lastgroup  # type: ignore[assignment]
        return kind, match[0].strip(_AROUND_TITLE), line[match.end() :]
    if heading := _RE["heading"].match(short):
        title = (heading["hash"] or heading["bold"]).strip(" *_:")
        is_item = inside == "differential" and could_be_listed(title)
        return None if is_item else ("other", title, "")
    if inside in ("before", "observation", "reasoning"):
        return None
    match = _RE["other"].match(short)
    if match is None or (inside == "differential" and could_be_listed(match["title"])):
        return None
    return "other", match[0].strip(_AROUND_TITLE), line[match.end() :]
