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
from skingpt_r1.text.tokens import pattern

MOST_CHARACTERS = 4000  # of a list that are read; no differential is longer


class ListedName(NamedTuple):
    """One item of a differential: a name as written, and what is said about it."""

    name: str
    remark: str = ""


_BULLET = re.compile(r"^[\s>]*(?:[-•·▪◦–—+]\s|\*(?!\*)\s|[•·▪◦])\s*")
_BULLET_IN_LINE = re.compile(r"[ \t]{1,4}(?=[-•*]\s{1,3}\*\*)")
NUMBER = r"\(?(\d{1,2}|[a-h]|[ivx]{1,4})(?:\)[.:]?|(?<=\d)[.:](?!\d))"
_FIRST_NUMBER = re.compile(rf"^[\s>*_#]*{NUMBER}[\s*_]*", re.IGNORECASE)
_NEXT_NUMBER = re.compile(rf"[;,.]?\s(?:and\s)?{NUMBER}(?=[\s*a-z])", re.IGNORECASE)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_BOLD = re.compile(r"^\W{0,4}\*\*([^*\n]{1,120}?)\s?:?\*\*")
_REMARK = re.compile(r":\s|\s[-–—]{1,2}\s|—")
SHARE = re.compile(r"[\[(]?[~≈<>]?\s?(?<![\d.,])\d{1,3}(?:[.,]\d{1,3})?\s?%[\])]?")
_BOLD_LIST = re.compile(r"^\W{0,4}\*\*[^*\n]{1,120}\*\*\s?(?:[,;/]|(?:and|or|vs)\b)")
_SEMICOLON = re.compile(r";(?![^();]{0,80}\))|\s[•·|>→]\s|(?<=\w\w\w)\.\s+(?=[A-Z])")
_COMMA = re.compile(r",\s(?![^()]{0,80}\))")
_JOINT = re.compile(r"\s(?:and|or|and/or|versus|vs\.?)\s|\s?/\s?|\s&\s", re.IGNORECASE)
JOINT_WORDS = frozenset(("and", "or", "vs", "versus"))
_LEADING_JOINT = re.compile(r"^\s*(?:and|or|and/or|versus|vs\.?|&)\s", re.IGNORECASE)
_TRAILING_JOINT = re.compile(r"\s*(?:and|or|and/or|versus|vs\.?|&|/)\s*$", re.IGNORECASE)
_LEAD_IN = pattern("sections", "lead_in")
# A short form such as BCC, AKs, PLEVA or HHV8.
_SHORT_FORM = re.compile(r"[A-Z][A-Za-z]{0,3}[A-Z]{1,3}s?(?:-?\d)?")
_MOST_WORDS = 8
_ADVICE = pattern("sections", "advice")
_SENTENCE = re.compile(r"(?<=\w\w\w[.!])\s+(?=[A-Z])")
_NOTHING = re.compile(r"none|n/?a|nil|-|no\sothers?|others?|etc", re.IGNORECASE)


def items(text: str) -> tuple[ListedName, ...]:
    """The items of a list of diagnoses, in order; of prose, what names a disease."""
    lines = _BULLET_IN_LINE.sub("\n", text[:MOST_CHARACTERS]).split("\n")
    found = [item for line in lines if line.strip() for item in _line(line)]
    found = [item for item in found if could_be_listed(item.name) or not _is_no_name(item.name)]
    are_short = all(_is_short(item.name) for item in found)
    return tuple(item for item in found if are_short or _is_name(item.name))


def could_be_listed(name: str) -> bool:
    """Whether a phrase names a disease or a kind of disease, or is a short form such as BCC."""
    return names_disease(name) or is_known(name) or _SHORT_FORM.fullmatch(name) is not None


def _is_no_name(text: str) -> bool:
    return _ADVICE.search(text) is not None or _NOTHING.fullmatch(text) is not None


def is_advice(text: str) -> bool:
    """Whether what stands in a list of diagnoses says what to do, or is a sentence."""
    if _FIRST_NUMBER.match(text) or _BULLET.match(text):
        return False
    bare = bare_phrase(text[:MOST_CHARACTERS])
    says = is_clause(bare) or text.rstrip().endswith((".", "!")) or bool(_ADVICE.search(bare))
    return says and not could_be_listed(bare) and not all(map(_is_name, _names(bare)))


def end_of_list(line: str) -> int:
    """Where the names of a line end and a sentence of advice begins; its length where none does."""
    for gap in _SENTENCE.finditer(line[:MOST_CHARACTERS]):
        if is_advice(_SENTENCE.split(line[gap.end() :], maxsplit=1)[0]):
            return gap.end()
    return len(line)


def _line(line: str) -> list[ListedName]:
    bullet = _BULLET.match(line)
    rest = line[bullet.end() :] if bullet else line
    if _FIRST_NUMBER.match(rest):
        return [item for piece in _numbered(rest) for item in _marked(piece)]
    if not _BOLD_LIST.match(rest) and (bullet or _BOLD.match(rest)):
        return _marked(rest)
    halves = [_LEAD_IN.sub("", half.strip()) for half in _SEMICOLON.split(rest)]
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
    names = [name for half in _SEMICOLON.split(item.name) for name in _COMMA.split(half)]
    if not item.remark and len(names) > 1 and all(_is_name(name) for name in names):
        return [ListedName(bare_phrase(name)) for name in names]
    return [item] if item.name else []


def _item(text: str) -> ListedName:
    text = _LEADING_JOINT.sub("", text.strip())
    bold = _BOLD.match(text)
    dash = _REMARK.search(text)
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
    for part in _joined([part for part in _COMMA.split(text) if part.strip()]):
        yield from _at_joints(_LEADING_JOINT.sub("", part))


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """Neighbours that only together are a name, such as `hand, foot and mouth disease`."""
    at = 0
    while at < len(parts):
        *_, last = (0, *(joint.end() for joint in _JOINT.finditer(parts[at])))
        before, tail = parts[at][:last], parts[at][last:]
        ends = () if _is_name(tail) else (at + 3, at + 2)
        groups = (", ".join((tail, *parts[at + 1 : end])) for end in ends)
        name = next((group for group in groups if canonical(group)), None)
        if name is None:
            yield parts[at]
        else:
            yield from filter(None, (_TRAILING_JOINT.sub("", before), name))
        at += 1 + (0 if name is None else name.count(", ") - tail.count(", "))


def _at_joints(text: str) -> list[str]:
    """The names on both sides of `and`, `vs` and strokes, where each side is a name alone."""
    parts = _JOINT.split(text)
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


TAG = pattern("sections", "tag")
_KNOWN = pattern("sections", "known")
_OTHER = pattern("sections", "other")
_HEADING = re.compile(
    r"^\s*(?:#{1,6}\s+(?P<hash>[^\n]{1,80})|\*\*(?P<bold>[^*\n]{1,60})\*\*:?)\s*$"
)
_IN_LINE = pattern("sections", "in_line")
# Words that stand in front of a title and belong to it, as in `Clinical Reasoning:`.
_PART_OF_TITLE = re.compile(r"(?:^|\n)[\s#>*_]*(?:\w+\s){0,2}\w+$")


_OBSERVES = pattern("sections", "observes")
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
    if len(blocks) > 1 and _OBSERVES.search(blocks[0][:600]):
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
