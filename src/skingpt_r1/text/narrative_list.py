"""The names of a differential, however they are listed; used by the reader of narratives.

On one line or over several, with bullets, numbers or letters, with semicolons, commas, `and` or
`vs`, in bold, with percentages and with remarks. Every item of a list is kept, known or not.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from skingpt_r1.text.narrative_words import is_known, names_disease
from skingpt_r1.text.phrase import is_clause, plain
from skingpt_r1.text.taxonomy import canonical

MOST_CHARACTERS = 4000  # of a list that are read; no differential is longer


class Item(NamedTuple):
    """One item of a differential.

    Attributes:
        name: of a diagnosis, as written.
        remark: what is said about it; empty for most.
    """

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
_LEAD_IN = re.compile(
    r"^(?:the\s)?(?:differential(?:\sdiagnos[ie]s)?\s|alternatives\s)?"
    r"(?:includes?|considered(?:\sare)?|considers?):?\s",
    re.IGNORECASE,
)
# A short form such as BCC, AKs, PLEVA or HHV8.
_SHORT_FORM = re.compile(r"[A-Z][A-Za-z]{0,3}[A-Z]{1,3}s?(?:-?\d)?")
_MOST_WORDS = 8
_ADVICE = re.compile(
    r"\b(?:biops\w*|refer\w*|excis\w+|urgent\w*|follow\w*|recommend\w*|treat\w*|review\w*|monitor\w*"
    r"|advi[sc]e\w*|consult\w*|dermoscop\w*|histolog\w*|patients?|must|please|asap|surg\w+|therapy"
    r"|doctors?|dermatologists?|see|watch|avoid|return|needed|required)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=\w\w\w[.!])\s+(?=[A-Z])")
_NOTHING = re.compile(r"none|n/?a|nil|-|no\sothers?|others?|etc", re.IGNORECASE)


def items(text: str) -> tuple[Item, ...]:
    """The items of a list of diagnoses, in order.

    Args:
        text: what stands under the title of a differential; of prose, what names a disease.
    """
    lines = _BULLET_IN_LINE.sub("\n", text[:MOST_CHARACTERS]).split("\n")
    found = [item for line in lines if line.strip() for item in _line(line)]
    found = [item for item in found if could_be_listed(item.name) or not _is_no_name(item.name)]
    if all(_is_short(item.name) for item in found):
        return tuple(found)
    return tuple(item for item in found if _is_name(item.name))


def could_be_listed(name: str) -> bool:
    """Whether a phrase names a disease or a kind of disease, or is a short form such as BCC."""
    return names_disease(name) or is_known(name) or _SHORT_FORM.fullmatch(name) is not None


def _is_no_name(text: str) -> bool:
    return _ADVICE.search(text) is not None or _NOTHING.fullmatch(text) is not None


def is_advice(text: str) -> bool:
    """Whether what stands in a list of diagnoses says what to do, or is a sentence."""
    if _FIRST_NUMBER.match(text) or _BULLET.match(text):
        return False
    bare = plain(text[:MOST_CHARACTERS])
    says = is_clause(bare) or text.rstrip().endswith((".", "!")) or bool(_ADVICE.search(bare))
    return says and not could_be_listed(bare) and not all(map(_is_name, _names(bare)))


def end_of_list(line: str) -> int:
    """Where the names of a line end and a sentence of advice begins; its length where none does."""
    for gap in _SENTENCE.finditer(line[:MOST_CHARACTERS]):
        if is_advice(_SENTENCE.split(line[gap.end() :], maxsplit=1)[0]):
            return gap.end()
    return len(line)


def _line(line: str) -> list[Item]:
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


def _marked(text: str) -> list[Item]:
    """The item behind a bullet or a number; several where the line lists several names."""
    item = _item(text)
    names = [name for half in _SEMICOLON.split(item.name) for name in _COMMA.split(half)]
    if not item.remark and len(names) > 1 and all(_is_name(name) for name in names):
        return [Item(plain(name)) for name in names]
    return [item] if item.name else []


def _item(text: str) -> Item:
    text = _LEADING_JOINT.sub("", text.strip())
    bold = _BOLD.match(text)
    dash = _REMARK.search(text)
    name, remark = text, ""
    if bold:
        name, remark = bold[1], text[bold.end() :]
    elif dash and plain(text[: dash.start()]):
        name, remark = text[: dash.start()], text[dash.end() :]
    share = SHARE.search(name)
    if share and plain(name.replace(share[0], " ")):
        name, remark = name.replace(share[0], " "), f"{share[0].strip('[]() ')} {remark}"
    return Item(plain(name), plain(remark))


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
    known = whole is not None and whole != canonical(parts[0])
    return [text] if known or not all(_is_name(part) for part in parts) else parts


def _is_name(text: str) -> bool:
    name = plain(SHARE.sub(" ", text))
    return _is_short(name) and could_be_listed(name)


def _is_short(name: str) -> bool:
    return len(name.split()) <= _MOST_WORDS and not is_clause(name)
