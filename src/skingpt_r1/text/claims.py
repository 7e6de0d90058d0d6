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
from functools import cache, lru_cache
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


class _Mention(NamedTuple):
    """Words of a concept, or of a disease, in a sentence."""

    start: int
    end: int
    slot: str = ""
    value: str = ""


@cache
def _tables() -> Mapping[str, Any]:
    tables: dict[str, Any] = package_yaml("text/claims.yaml")
    return tables


# Concept of SkinCon, item of the seven-point checklist -> slot and value.
SKINCON: Mapping[str, tuple[str, str]] = {
    name: (slot, value) for name, (slot, value) in _tables()["skincon"].items()
}
CHECKLIST: Mapping[str, tuple[str, str]] = {
    name: (slot, value) for name, (slot, value) in _tables()["checklist"].items()
}


def claim_values() -> Mapping[str, frozenset[str]]:
    """Slot -> the values that can be claimed."""
    return {slot: frozenset(values) for slot, values in _tables()["concepts"].items()}


def _expression(text: str) -> str:
    """A regular expression of the file: lines joined, parts put in, a space for any white space."""
    text = "".join(line.strip() for line in text.splitlines())
    while found := re.search(r"@(\w+)@", text):
        part = _tables()["parts"][found[1]]
        text = text.replace(found[0], "".join(line.strip() for line in part.splitlines()))
    return text.replace(" ?", r"\s*").replace(" ", r"\s+")


@cache
def _cue(name: str) -> re.Pattern[str]:
    text = _expression(_tables()["cues"][name])
    edged = (
        text if name in ("stop", "denied_after", "of_disease") else rf"(?<![\w-])(?:{text})(?!\w)"
    )
    return re.compile(edged, re.IGNORECASE)


@cache
def _concepts() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    # A word may begin behind a hyphen (`blue-grey`) or inside `maculopapular`.
    before = r"(?:(?<![^\W_])|(?<=maculo)|(?<=papulo))"
    return tuple(
        (
            slot,
            value,
            re.compile(
                rf"{before}(?:{_expression(text)})(?:(?![^\W_]|-like)|(?=papular|pustular))",
                re.IGNORECASE,
            ),
        )
        for slot, values in _tables()["concepts"].items()
        for value, text in values.items()
    )


@cache
def _other_sense() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_expression(_tables()['other_sense'])})\b", re.IGNORECASE)


# A sentence ends at its mark before white space, at the end of a line, and before a list item.
_ITEM = r"[-•*]\s+(?=[*_\"']*[A-Z])|\d{1,2}[.)]\s+(?=[*_\"']*[A-Z])"
_SENTENCE = re.compile(
    rf"(?:{_ITEM})?[^\n]+?(?:(?<!i\.e)(?<!e\.g)(?<!\bvs)(?<!\s\d)[.!?](?=[*_\"')]*(?:\s|$))|(?=\n)|(?=\s(?:{_ITEM}))|$)"
)
_NEW_ITEM = re.compile(rf"\s*(?:{_ITEM})")
_CONTRAST = re.compile(r"; |,? \b(?:but|yet|however|although|though|while|whereas|except)\b")
_LIST_MARK = re.compile(r"[\s>#*_\-•\d.)(]*")
_SECTION_OF_OTHERS = re.compile(
    r"(?i)[\s#*_•-]*(?:differential|alternatives?|hallmark|typical|classic)\b[^:]{0,30}:"
)
_GAP = re.compile(
    r"(?i)[^.;:]*?\b(?:is|are|was|were|but|while|with|on|shows?|has|have|no|not|as|that|may|might|could|can|suggests?|indicates?|supports?|points?|makes?|appears?|represents?)\b"
)


def read_claims(text: str) -> tuple[Claim, ...]:
    """The claims of a text, in the order in which they stand there."""
    return _read_claims(text)


@lru_cache(maxsize=4096)
def _read_claims(text: str) -> tuple[Claim, ...]:
    claims: list[Claim] = []
    topic = False
    for found in _SENTENCE.finditer(text):
        sentence, start = found[0], found.start()
        if _NEW_ITEM.match(sentence) or "\n" in text[max(0, start - 1) : start]:
            topic = False
        topic = topic or _names_topic(sentence)
        claims += [
            claim._replace(start=claim.start + start, end=claim.end + start)
            for claim in _of_sentence(sentence, topic)
        ]
    return tuple(claims)


_HEADING = re.compile(r"(?:[^:.;\n]|\.\w|\.,){0,90}:")


def _names_topic(sentence: str) -> bool:
    """Whether an item begins with a diagnosis and a colon, as those of a differential do."""
    if _SECTION_OF_OTHERS.match(sentence):
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


def _of_sentence(sentence: str, topic: bool) -> Iterator[Claim]:
    hidden = _other_sense().sub(lambda match: "\u2591" * len(match[0]), sentence)
    mentions = _mentions(hidden)
    diseases = _diseases(sentence, mentions)
    for mention in mentions:
        if any(_belongs(mention, disease, sentence) for disease in diseases):
            continue
        status = _status(mention, mentions, diseases, sentence, topic)
        yield Claim(mention.slot, mention.value, mention.start, mention.end, status)


def _mentions(sentence: str) -> list[_Mention]:
    """The words of concepts, the longest first where two overlap."""
    found = [
        _Mention(match.start(), match.end(), slot, value)
        for slot, value, words in _concepts()
        for match in words.finditer(sentence)
        if match[0]
    ]
    taken: list[_Mention] = []
    for mention in sorted(found, key=lambda item: (item.start - item.end, item.start)):
        if all(mention.end <= other.start or other.end <= mention.start for other in taken):
            taken.append(mention)
    return sorted(taken)


def _diseases(sentence: str, mentions: list[_Mention] | tuple[()]) -> list[_Mention]:
    """The names of diagnoses, without single words that are signs as well, such as `ulcer`."""
    signs = {(mention.start, mention.end) for mention in mentions}
    return [
        _Mention(start, end)
        for start, end in disease_mentions(sentence)
        if (start, end) not in signs and not _SIGN_WORD.fullmatch(sentence[start:end])
    ]


_SIGN_WORD = re.compile(
    r"(?i)dry skin|ulcers?|ulceration|scars?|scarring|cysts?|purpura|excoriations?|erythema"
    r"|telangiectasi\w+|comedones|abscess(?:es)?|blistering|bullous|eruptions?|reactions?|damage|irritation|wounds?"
    r"|infections?|fistula|pruritus|malignan\w+|disease|disorder|tumou?rs?|hives|xeros\w+|\w*keratosis"
    r"|moles?|tags?|lichenification|syndrome|hyperplasia|leukonychia|fever|burns?|sclerosis|necrosis"
)


def _belongs(mention: _Mention, disease: _Mention, sentence: str) -> bool:
    """Whether words are a part of a name, such as `plaque psoriasis` or `nodular melanoma`."""
    if disease.start <= mention.start and mention.end <= disease.end:
        return True
    word, between = sentence[mention.start : mention.end], sentence[mention.end : disease.start]
    kind = mention.slot == "morphology" and re.search(r"(?:ar|ous|plaque|cystic)$", word)
    return between == " " and bool(kind)


def _status(
    mention: _Mention,
    mentions: list[_Mention],
    diseases: list[_Mention],
    sentence: str,
    topic: bool,
) -> Status:
    start, end = _clause(mention, sentence)
    before, after = sentence[start : mention.start], sentence[mention.end : end]
    words = sentence[mention.start : mention.end]
    if re.search(r"(?i)\bnon-?$", before) or re.search(r"\bnot\b", words):
        return "denied"
    if _follows("denied_after", after):
        return "denied"
    if _is_of_others(mention, mentions, diseases, sentence, topic):
        return "other"
    if _reaches("denied", before):
        return "denied"
    if sentence.rstrip().endswith("?") or _reaches("hedged", before) or _is_supposed(before):
        return "hedged"
    if any(_OF.fullmatch(sentence[mention.end : disease.start]) for disease in diseases):
        return "other"
    if any(sentence[disease.end : mention.start] == " " for disease in diseases):
        return "other"
    is_supposed = _follows("hedged_after", after) or (
        _ANY.search(before) is not None and _MODAL.match(after) is not None
    )
    return "hedged" if is_supposed else "stated"


# "A cyst could cause swelling" speaks of any cyst.
_ANY = re.compile(r"(?i)\b(?:an?|any)\s(?:[\w-]+,?\s){0,3}$")
_MODAL = re.compile(r"(?i)(?:\s(?:or|and)\s\w+)?\s(?:could|may|might|can)\b")


_OF = re.compile(r"(?:\s\w+)?\s(?:of|in)(?:\s\w+)?\s")
_NEW_SUBJECT = re.compile(r"(?i), (?:the|this|these|it|i|there|then|please|is|are)\b|[:;]")


def _is_supposed(before: str) -> bool:
    """Whether an `if` or the like stands in front, in the same part of the sentence."""
    return any(
        not _NEW_SUBJECT.search(before[cue.end() :]) for cue in _cue("supposed").finditer(before)
    )


def _clause(mention: _Mention, sentence: str) -> tuple[int, int]:
    """The part of a sentence between two contrasts."""
    start, end = 0, len(sentence)
    for found in _CONTRAST.finditer(sentence):
        if found.end() <= mention.start:
            start = found.end() if found[0].startswith(";") else found.start()
        elif found.start() >= mention.end:
            end = min(end, found.start())
    return start, end


def _reaches(name: str, before: str) -> bool:
    """Whether a cue in front reaches to the end of `before`."""
    return any(not _cue("stop").search(before[cue.end() :]) for cue in _cue(name).finditer(before))


def _follows(name: str, after: str) -> bool:
    """Whether a cue stands behind, after nothing but the rest of a list."""
    for cue in _cue(name).finditer(after):
        gap = after[: cue.start()]
        listed = (
            not gap.strip() or re.search(r"\b(?:and|or|nor)\b|,\s*$", gap) or " " not in gap.strip()
        )
        return bool(listed) and not _GAP.match(gap)
    return False


def _is_of_others(
    mention: _Mention,
    mentions: list[_Mention],
    diseases: list[_Mention],
    sentence: str,
    topic: bool,
) -> bool:
    """Whether a statement is about a diagnosis in general, not about this picture."""
    here = [found.start() for found in _cue("this_case").finditer(sentence)]
    begin, _ = _clause(mention, sentence)
    if topic and not any(begin <= place < mention.start for place in here):
        return True
    here += [found.start() for found in _cue("the_lesion").finditer(sentence)]
    subjects = [disease.end for disease in diseases if _is_subject(disease, sentence)]
    subjects += [found.end() for found in _cue("of_that_disease").finditer(sentence)]
    for end in subjects:
        if end <= mention.start and not any(end <= place < mention.start for place in here):
            return True
    if any(place < mention.start for place in here):
        return False
    if not here and any(
        begin <= found.start() < mention.start for found in _cue("general").finditer(sentence)
    ):
        return True
    mark = _LIST_MARK.match(sentence)
    first = min(mentions)
    begins = mark is not None and mark.end() == first.start
    return begins and _cue("general_after").match(sentence[first.end :].lstrip()) is not None


def _is_subject(disease: _Mention, sentence: str) -> bool:
    """Whether a sentence says of a diagnosis how it looks."""
    before, after = sentence[: disease.start], sentence[disease.end :]
    if re.search(r"(?i)\b(?:this|these|the)\s+(?:\w+\s+)?$", before):
        return False
    if re.search(r"(?i)(?:^|\W)in\s+(?:\w+\s+)?$", before) and re.match(r"[*_]*,", after):
        return True
    return _cue("judged").match(after.lstrip()) is None and bool(_cue("of_disease").match(after))
