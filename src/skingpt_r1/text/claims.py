"""Claims: what a text states about the picture, one statement at a time, with its place.

A claim is a slot and a value of `claims.yaml`: the findings of the rendered world, the 48 concepts
of SkinCon and the seven-point checklist. Each mention is `stated`, `denied` ("no scale"), `hedged`
("possibly ulcerated", "if it bleeds") or about `other` ("psoriasis usually has silvery scale").
Only stated and denied claims are held against a picture.

The method is that of NegEx and ConText (Chapman et al. 2001, Harkema et al. 2009): cue words in
front of a mention or behind it, each with a reach that ends at certain words.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from skingpt_r1.recipes import package_yaml
from skingpt_r1.text.taxonomy import disease_mentions

Status = Literal["stated", "denied", "hedged", "other"]


class Claim(NamedTuple):
    """One statement of a text.

    Attributes:
        slot: what is described, such as `surface`.
        value: how, such as `scaly`.
        start: first character of its words in the text.
        end: behind its last character.
        status: `stated`, `denied`, `hedged` (supposed) or `other` (of another diagnosis).
    """

    slot: str
    value: str
    start: int
    end: int
    status: Status


_TABLES: Mapping[str, Any] = package_yaml("text/claims.yaml")
# Concept of SkinCon, item of the seven-point checklist -> slot and value.
SKINCON: Mapping[str, tuple[str, str]] = {k: (v[0], v[1]) for k, v in _TABLES["skincon"].items()}
CHECKLIST: Mapping[str, tuple[str, str]] = {
    k: (v[0], v[1]) for k, v in _TABLES["checklist"].items()
}


def claim_values() -> Mapping[str, frozenset[str]]:
    """Slot -> the values that can be claimed."""
    return {slot: frozenset(values) for slot, values in _TABLES["concepts"].items()}


@lru_cache(maxsize=4096)
def read_claims(text: str) -> tuple[Claim, ...]:
    """The claims of a text, in the order in which they stand there."""
    claims: list[Claim] = []
    is_about_others = False
    for found in _SENTENCE.finditer(text):
        start = found.start()
        if _NEW_ITEM.match(found[0]) or "\n" in text[max(0, start - 1) : start]:
            is_about_others = False
        is_about_others = is_about_others or _names_a_topic(found[0])
        claims += [
            claim._replace(start=claim.start + start, end=claim.end + start)
            for claim in _Sentence(found[0], is_about_others).claims()
        ]
    return tuple(claims)


def _expression(text: str) -> str:
    """A regular expression of the file: lines joined, parts put in, a space for any white space."""
    text = "".join(line.strip() for line in text.splitlines())
    while found := re.search(r"@(\w+)@", text):
        part = _TABLES["parts"][found[1]]
        text = text.replace(found[0], "".join(line.strip() for line in part.splitlines()))
    return text.replace(" ?", r"\s*").replace(" ", r"\s+")


def _words(text: str, before: str = r"(?<![\w-])", behind: str = r"(?!\w)") -> re.Pattern[str]:
    return re.compile(f"{before}(?:{_expression(text)}){behind}", re.IGNORECASE)


# These say themselves where they begin and end.
_OPEN = ("stop", "denied_after", "of_disease", "sign_word")
_CUES = {
    name: _words(text, "", "") if name in _OPEN else _words(text)
    for name, text in _TABLES["cues"].items()
}
_OTHER_SENSE = _words(_TABLES["other_sense"], r"\b", r"\b")
# A word may begin behind a hyphen (`blue-grey`) or inside `maculopapular`.
_BEGINS = r"(?:(?<![^\W_])|(?<=maculo)|(?<=papulo))"
_ENDS = r"(?:(?![^\W_]|-like)|(?=papular|pustular))"
_CONCEPTS = [
    (slot, value, _words(text, _BEGINS, _ENDS))
    for slot, values in _TABLES["concepts"].items()
    for value, text in values.items()
]
# A sentence ends at its mark before white space, at the end of a line, and before a list item.
_ITEM = r"(?:[-•*]|\d{1,2}[.)])\s+(?=[*_\"']*[A-Z])"
_MARK = r"(?<!i\.e)(?<!e\.g)(?<!\bvs)(?<!\s\d)[.!?](?=[*_\"')]*(?:\s|$))"
_SENTENCE = re.compile(rf"(?:{_ITEM})?[^\n]+?(?:{_MARK}|(?=\n)|(?=\s{_ITEM})|$)")
_NEW_ITEM = re.compile(rf"\s*{_ITEM}")
_LIST_MARK = re.compile(r"[\s>#*_\-•\d.)(]*")
_HEADING = re.compile(r"(?:[^:.;\n]|\.\w|\.,){0,90}:")
_OTHERS_FOLLOW = re.compile(
    r"[\s#*_•-]*(?:differential|alternatives?|hallmark|typical|classic)\b[^:]{0,30}:", re.I
)
_CONTRAST = re.compile(r"; |,? \b(?:but|yet|however|although|though|while|whereas|except)\b")
_NEW_SUBJECT = re.compile(r", (?:the|this|these|it|i|there|then|please|is|are)\b|[:;]", re.I)
_OF = re.compile(r"(?:\s\w+)?\s(?:of|in)(?:\s\w+)?\s")
# "A cyst could cause swelling" speaks of any cyst.
_ANY = re.compile(r"\b(?:an?|any)\s(?:[\w-]+,?\s){0,3}$", re.I)
_MODAL = re.compile(r"(?:\s(?:or|and)\s\w+)?\s(?:could|may|might|can)\b", re.I)


class _Mention(NamedTuple):
    """Words of a concept in a sentence."""

    start: int
    end: int
    slot: str
    value: str


def _mentions(sentence: str) -> list[_Mention]:
    """The words of concepts, the longest first where two overlap."""
    found = [
        _Mention(match.start(), match.end(), slot, value)
        for slot, value, words in _CONCEPTS
        for match in words.finditer(sentence)
        if match[0]
    ]
    taken: list[_Mention] = []
    for mention in sorted(found, key=lambda item: (item.start - item.end, item.start)):
        if all(mention.end <= other.start or other.end <= mention.start for other in taken):
            taken.append(mention)
    return sorted(taken)


def _names_a_topic(sentence: str) -> bool:
    """Whether an item begins with a diagnosis and a colon, as those of a differential do."""
    if _OTHERS_FOLLOW.match(sentence):
        return True
    mark = _LIST_MARK.match(sentence)
    start = mark.end() if mark else 0
    heading = _HEADING.match(sentence, start)
    if heading is None:
        return False
    named, signs = list(disease_mentions(heading[0])), _mentions(heading[0])
    if start == 0:  # plain text: the name alone stands in front of the colon
        return any(first == 0 and heading[0][end:].strip("*_ :") == "" for first, end in named)
    return any(all(s.end <= first or end <= s.start for s in signs) for first, end in named)


class _Sentence:
    """A sentence, with what decides about its mentions.

    Attributes:
        is_about_others: it stands under the name of another diagnosis.
        mentions: words of concepts.
        diseases: start and end of names of diagnoses.
        this_case: places that bring it to this picture, whatever it is about.
        the_lesion: the same, where no diagnosis was the subject before.
    """

    def __init__(self, text: str, is_about_others: bool) -> None:
        self.text = text
        self.is_about_others = is_about_others
        self.mentions = _mentions(_OTHER_SENSE.sub(lambda match: "\u2591" * len(match[0]), text))
        signs = {(mention.start, mention.end) for mention in self.mentions}
        self.diseases = [
            place
            for place in disease_mentions(text)
            if place not in signs and not _CUES["sign_word"].fullmatch(text[slice(*place)])
        ]
        self.this_case = self._places("this_case")
        self.the_lesion = [*self.this_case, *self._places("the_lesion")]

    def claims(self) -> Iterator[Claim]:
        """One claim for each mention that is no part of a name."""
        for mention in self.mentions:
            if not any(self._belongs(mention, *disease) for disease in self.diseases):
                start, end, slot, value = mention
                yield Claim(slot, value, start, end, self._status(mention))

    def _places(self, cue: str) -> list[int]:
        return [found.start() for found in _CUES[cue].finditer(self.text)]

    def _belongs(self, mention: _Mention, start: int, end: int) -> bool:
        """Whether words are a part of a name, such as `plaque psoriasis` or `nodular melanoma`."""
        if start <= mention.start and mention.end <= end:
            return True
        is_kind = re.search(r"(?:ar|ous|plaque|cystic)$", self.text[mention.start : mention.end])
        is_beside = self.text[mention.end : start] == " "
        return is_beside and mention.slot == "morphology" and is_kind is not None

    def _status(self, mention: _Mention) -> Status:
        begin, end = self._clause(mention)
        before, after = self.text[begin : mention.start], self.text[mention.end : end]
        words = self.text[mention.start : mention.end]
        if re.search(r"(?i)\bnon-?$", before) or re.search(r"\bnot\b", words):
            return "denied"
        if _follows("denied_after", after):
            return "denied"
        if self._is_of_others(mention, begin):
            return "other"
        if _reaches("denied", before, _CUES["stop"]):
            return "denied"
        is_asked = self.text.rstrip().endswith("?")
        if is_asked or _reaches("hedged", before, _CUES["stop"]):
            return "hedged"
        if _reaches("supposed", before, _NEW_SUBJECT):
            return "hedged"
        if any(self._is_said_of(mention, *disease) for disease in self.diseases):
            return "other"
        is_any = _ANY.search(before) is not None and _MODAL.match(after) is not None
        return "hedged" if is_any or _follows("hedged_after", after) else "stated"

    def _clause(self, mention: _Mention) -> tuple[int, int]:
        """The part of the sentence between two contrasts."""
        start, end = 0, len(self.text)
        for found in _CONTRAST.finditer(self.text):
            if found.end() <= mention.start:
                start = found.end() if found[0].startswith(";") else found.start()
            elif found.start() >= mention.end:
                end = min(end, found.start())
        return start, end

    def _is_of_others(self, mention: _Mention, begin: int) -> bool:
        """Whether a statement is about a diagnosis in general, not about this picture."""
        start = mention.start
        if self.is_about_others and not any(begin <= place < start for place in self.this_case):
            return True
        subjects = [end for first, end in self.diseases if self._is_subject(first, end)]
        subjects += [found.end() for found in _CUES["of_that_disease"].finditer(self.text)]
        for end in subjects:
            if end <= start and not any(end <= place < start for place in self.the_lesion):
                return True
        if any(place < start for place in self.the_lesion):
            return False
        if not self.the_lesion and any(begin <= at < start for at in self._places("general")):
            return True
        mark, first = _LIST_MARK.match(self.text), self.mentions[0]
        begins = mark is not None and mark.end() == first.start
        behind = self.text[first.end :].lstrip()
        return begins and _CUES["general_after"].match(behind) is not None

    def _is_subject(self, start: int, end: int) -> bool:
        """Whether the sentence says of a diagnosis how it looks."""
        before, after = self.text[:start], self.text[end:]
        if re.search(r"(?i)\b(?:this|these|the)\s+(?:\w+\s+)?$", before):
            return False
        if re.search(r"(?i)(?:^|\W)in\s+(?:\w+\s+)?$", before) and re.match(r"[*_]*,", after):
            return True
        is_judged = _CUES["judged"].match(after.lstrip()) is not None
        return not is_judged and _CUES["of_disease"].match(after) is not None

    def _is_said_of(self, mention: _Mention, start: int, end: int) -> bool:
        """`the scale of psoriasis`, `psoriasis plaques`."""
        behind, between = self.text[mention.end : start], self.text[end : mention.start]
        return _OF.fullmatch(behind) is not None or between == " "


def _reaches(cue: str, before: str, stop: re.Pattern[str]) -> bool:
    """Whether a cue in front reaches to the end of `before`."""
    return any(not stop.search(before[found.end() :]) for found in _CUES[cue].finditer(before))


def _follows(cue: str, after: str) -> bool:
    """Whether a cue stands behind, after nothing but the rest of a list."""
    found = _CUES[cue].search(after)
    if found is None:
        return False
    gap = after[: found.start()]
    is_list = " " not in gap.strip() or re.search(r"\b(?:and|or|nor)\b|,\s*$", gap) is not None
    return is_list and not re.search(r"[.;:]", gap) and _CUES["gap"].search(gap) is None
