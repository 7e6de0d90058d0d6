"""Diagnoses in free text: whether a phrase names a disease, and what one sentence concludes."""

import re
from typing import NamedTuple

from skingpt_r1.text.taxonomy import canonical, holds_malignancy, is_malignant, is_name
from skingpt_r1.text.tokens import patterns, words_of

_RE = patterns("conclusions")
_KINDS, _QUALITIES, _OTHERS = map(words_of, ("kinds", "qualities", "back_references"))
# Qualities that are a part of names, and words after which another thing is meant.
_NAMED_QUALITIES = frozenset(("benign", "inflamed", "irritated", "well", "well-differentiated"))
_JOINING = frozenset(("no", "not", "non", "nor", "without", "than", "rather", "and", "or", "but"))
_LONGEST_NAME = 120  # characters
_NO_NAME = "other finding"  # of the taxonomy: what data sets call `other` or `unknown`
_LAST_LATIN = "\u024f"
_ENGLISH, _FOREIGN = words_of("english"), words_of("foreign")


def is_english(text: str) -> bool:
    """Whether a text is in English, as far as its letters and its smallest words tell."""
    letters = re.findall(r"[^\W\d_]", text)
    if 2 * sum(letter > _LAST_LATIN for letter in letters) > len(letters):
        return False
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", text)]
    return sum(word in _FOREIGN for word in words) <= sum(word in _ENGLISH for word in words)


def names_disease(phrase: str) -> bool:
    """Whether a phrase names a disease, by its words or in the taxonomy, not only a kind."""
    return not is_kind(phrase) and (_RE["disease"].search(phrase) is not None or is_known(phrase))


def is_kind(phrase: str) -> bool:
    """Whether every word only says what kind of thing it is, as in `benign process`."""
    return all(word.lower() in _KINDS for word in _RE["word"].findall(phrase))


def is_known(phrase: str) -> bool:
    """Whether the taxonomy has the phrase, as a disease or as a kind such as `vascular lesion`."""
    return len(phrase) <= _LONGEST_NAME and canonical(phrase) not in (None, _NO_NAME)


def could_be_name(phrase: str) -> bool:
    """Whether a phrase has the shape of a name: short, and not a quality or a back reference."""
    words = [word.lower() for word in _RE["word"].findall(phrase)]
    if not 0 < len(words) <= 12 or len(phrase) > _LONGEST_NAME:
        return False
    if words[0] in _QUALITIES and not _is_described(phrase, words):
        return False
    return _OTHERS.isdisjoint(words)


def _is_described(phrase: str, words: list[str]) -> bool:
    """Whether a quality belongs to a name, as in `benign keratosis` and `inflamed nevus`."""
    is_part = words[0] in _NAMED_QUALITIES and _JOINING.isdisjoint(words)
    return is_part and (is_known(phrase) or is_known(" ".join(words[1:])))


class Conclusion(NamedTuple):
    """What a sentence concludes."""

    name: str = ""  # the diagnosis; empty when the sentence names none
    several: bool = False  # the sentence leaves several diagnoses open
    hedged: bool = False  # the name is offered only as a possibility
    kind: str = ""  # of disease, such as `vascular lesion`; counts where no disease is named


def bare_phrase(text: str) -> str:
    """A phrase without markdown, quotes, closing punctuation and surplus white space.

    A number in front of it and a share behind it are left out too: `1. Psoriasis (70 %)`.
    """
    text = _RE["share"].sub("", _RE["number"].sub("", text))
    bare = re.sub(r"[*_`#]+", " ", text)
    return re.sub(r"\s+", " ", bare).strip(' \t.,;:!?"“”‘-–—|{}')


def is_clause(phrase: str) -> bool:
    """Whether a phrase has a verb and so is a sentence rather than a name."""
    return _RE["clause"].search(phrase) is not None


def has_alternatives(phrase: str) -> bool:
    """Whether a phrase offers more than one name: `eczema or psoriasis`, `nevus vs melanoma`."""
    parts = re.split(r"\s(?:or|versus|vs\.?|and/or)\s|;", phrase)
    return sum(bool(part.strip()) and not is_kind(part) for part in parts) > 1


def is_finished(value: str) -> bool:
    """Whether a name at the end of a text, without a full stop, is a whole one."""
    return _RE["dangling"].search(value) is None and value.count("(") <= value.count(")")


def goes_on(rest: str) -> bool:
    """Whether a name in bold goes on behind it, as in `**nevus** with melanoma in situ`."""
    clause = re.split(r"[.:;\n]|\s[-–—]\s", rest[:120], maxsplit=1)[0]
    return names_disease(clause)


def conclusion(sentence: str) -> Conclusion:
    """What a sentence concludes; a strong cue counts more than a weak one, the first most."""
    sentence = _RE["hand_foot_mouth"].sub(r"\1-\2-\3", sentence)
    for match in _RE["verdict"].finditer(sentence):
        found = _after(sentence, match, strong=True)
        if found is not None and not found.kind:
            return found
    before = _before(sentence)
    if before is not None:
        return before
    cues = [_after(sentence, match, strong=False) for match in _RE["cue"].finditer(sentence)]
    said = [cue for cue in cues if cue is not None]
    return min(said, key=lambda cue: (bool(cue.kind), cue.hedged), default=Conclusion())


def _after(sentence: str, cue: re.Match[str], *, strong: bool) -> Conclusion | None:
    """The name behind a cue; None when the cue is negated, conditional or names nothing."""
    clause = sentence[max(0, cue.start() - 120) : cue.start()]
    is_open = _RE["negated"].search(clause[-40:]) or _RE["may"].search(clause[-30:])
    if is_open or _RE["advice"].search(clause):
        return None
    rest = sentence[cue.end() : cue.end() + 260]
    hedged = _RE["hedge"].match(rest) is not None
    bold = _bold(rest, strong=strong)
    name, tail = bold or _noun(rest)
    hedged = hedged or _RE["hedge"].match(name) is not None
    name = re.sub(r"^(?:possible|potential|suspected|probable|likely)\s", "", name, flags=re.I)
    if not _is_name(name, trusted=strong and bold is not None):
        is_class = is_kind(name) and is_known(name) and not hedged
        return Conclusion(kind=name) if is_class and not _is_alternative(tail) else None
    if has_alternatives(name) or _is_alternative(tail):
        return Conclusion(several=True)
    name, alone = _with_part(name, tail), name
    if name != alone and not is_malignant(name):
        return Conclusion(several=True)
    if hedged:
        return Conclusion(name, several=_RE["could_be"].search(sentence) is not None)
    joined = _RE["and_bold"].match(tail) if bold else None
    if joined and tail.lstrip().lower().startswith("and") and names_disease(joined[1]):
        name = f"{name} and {bare_phrase(joined[1])}"
    return Conclusion(name)


def _with_part(name: str, tail: str) -> str:
    """A benign name with the malignant part that follows it, which must not be cut off."""
    head, _, last = name.rpartition(" ")
    is_participle = last.endswith("ing") and head != ""  # `keratosis progressing | to carcinoma`
    benign, rest = (head, f" {last}{tail}") if is_participle else (name, tail)
    part = _RE["part"].match(rest)
    if part is None or is_malignant(benign) is not False:
        return name
    said = _RE["turn"].split(part[0])[0]
    return bare_phrase(f"{benign} {said}") if holds_malignancy(said) else name


def _is_name(name: str, *, trusted: bool) -> bool:
    if not could_be_name(name) or is_kind(name):
        return False
    return trusted or names_disease(name)


def _is_alternative(tail: str) -> bool:
    match = _RE["or"].match(tail)
    if match is None:
        return False
    other, _ = _bold(tail[match.end() :], strong=False) or _noun(tail[match.end() :])
    return names_disease(other)


def _bold(rest: str, *, strong: bool) -> tuple[str, str] | None:
    for match in _RE["bold"].finditer(rest[:240]):
        if _RE["break"].search(rest, 0, match.start()):
            return None
        name = _without_parentheses(bare_phrase(match[1]))
        if could_be_name(name) and not is_kind(name) and (strong or names_disease(name)):
            return name, rest[match.end() :]
    return None


def _noun(rest: str) -> tuple[str, str]:
    start = 0
    while (match := _RE["filler"].match(rest, start)) and match.end() > start:
        start = match.end()
    clause = _RE["subject"].match(rest, start)
    if clause and not names_disease(clause[0]):
        start = clause.end()
    stop = _RE["stop"].search(rest, start)
    end = stop.start() if stop else len(rest)
    bracket = _RE["bracket"].match(rest, end)
    if bracket and is_name(rest[start : bracket.end()]):
        end = bracket.end()
    return bare_phrase(rest[start:end]), rest[end:]


def _before(sentence: str) -> Conclusion | None:
    """The name in front of `... is the most likely diagnosis`."""
    match = _RE["backward"].search(sentence)
    if match is None:
        return None
    head = sentence[max(0, match.start() - 120) : match.start()].rstrip()
    bold = re.search(r"\*\*([^*\n]{2,120})\*\*$", head)
    name = bare_phrase(bold[1]) if bold else bare_phrase(_tail_noun(head))
    name = _whole_name(_without_parentheses(name), head)
    if not _is_name(name, trusted=False) or has_alternatives(name):
        return None
    return Conclusion(name)


def _whole_name(name: str, head: str) -> str:
    """A benign name, or the malignant one of which it is the end: `melanoma in a nevus`."""
    clause = bare_phrase(re.split(r"[.,;:—–]", head)[-1])
    if is_malignant(name) is not False or not holds_malignancy(clause):
        return name
    words = clause.split()[-12:]
    endings = (" ".join(words[start:]) for start in range(len(words)))
    return next((ending for ending in endings if is_malignant(ending)), name)


def _tail_noun(head: str) -> str:
    bare, _, bracket = head.partition("(") if head.endswith(")") else (head, "", "")
    noun = _RE["before_noun"].split(bare.rstrip())[-1]
    return f"{noun} ({bracket}" if bracket and is_name(f"{noun} {bracket}") else noun


def _without_parentheses(name: str) -> str:
    return name if is_name(name) else bare_phrase(re.sub(r"\s?\([^()]*\)?", " ", name)) or name
