"""History and symptoms that a text tells: allowed where the case records them, else invented.

Sentences that only suppose something (`if it grows`, `may itch`) tell nothing about this case.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from skingpt_r1.text.values import known, truth

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_SUPPOSED = re.compile(
    r"\b(?:if|when|whenever|whether|unless|may|might|can|could|should|would|typically"
    r"|usually|often|commonly|classically|frequently|ask|confirm|return|come back)\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:no|not|never|without|denie[sd]|absen\w+)\b", re.IGNORECASE)
# `within two weeks` is about the future.
_FUTURE = re.compile(
    r"\b(?:within|in|every|after)\s+(?:the\s+next\s+)?(?:an?\s+)?[\w-]+\s+"
    r"(?:days?|weeks?|months?|years?)\b",
    re.IGNORECASE,
)


class _Kind(NamedTuple):
    """A kind of thing that only a person can tell.

    Attributes:
        name: what it is called in the detail of a record.
        pattern: words that tell it.
        columns: attributes of a case that record it.
    """

    name: str
    pattern: re.Pattern[str]
    columns: tuple[str, ...] = ()


def _kind(name: str, words: str, *columns: str) -> _Kind:
    return _Kind(name, re.compile(rf"\b(?:{words})\b", re.IGNORECASE), columns)


_TIME = r"(?:days?|weeks?|months?|years?)"
KINDS: tuple[_Kind, ...] = (
    _kind("itching", r"itch\w*|prurit\w*", "itch", "condition_symptoms_itching"),
    _kind("pain", r"pain\w*|hurts?|tender\w*|stinging", "hurt", "condition_symptoms_pain"),
    _kind(
        "growth",
        r"grew|grown|growing|enlarging|increas\w+ in size",
        "grew",
        "condition_symptoms_increasing_size",
    ),
    _kind(
        "change", r"(?:has|have|had|recently)\s+changed|evolving", "changed",
        "condition_symptoms_darkening",
    ),
    _kind(
        "duration",
        rf"(?:\d+|one|two|three|four|five|six|few|several|many|past|last|recent)\s+{_TIME}"
        rf"(?![\s-]old)|{_TIME}\s+ago|since\s+(?:birth|childhood|last|\d{{4}})"
        r"|recently|previously|recurrent|longstanding|long-standing",
        "condition_duration",
    ),
    _kind("general symptoms", r"fever\w*|malaise|chills|weight loss|fatigue"),
    _kind(
        "earlier disease",
        r"(?:family|past|medical|previous|prior|known)\s+history|history\s+of",
        "cancer_history",
        "skin_cancer_history",
    ),
    _kind(
        "what a person said",
        r"complain\w*|(?:patient|person|man|woman|mother|father|she|he)\s+(?:says|said|states"
        r"|stated|reports?|reported|notes|noted|notices|noticed|denies|denied|describes|described)",
    ),
    _kind(
        "treatment",
        r"(?:has|have|had|been|was|were)\s+(?:taking|treated|prescribed|applying)|medications?"
        r"|underwent",
    ),
    _kind("habits", r"smok(?:es|ed|er|ing)|alcohol", "smoke", "drink"),
    _kind("exposure", r"travel\w*|exposed to|insect bites?|works as|occupation", "pesticide"),
    _kind("sex", r"man|woman|male|female|boy|girl|he|she|his|her", "gender", "sex"),
)  # fmt: skip
_AGE = re.compile(r"\b(\d{1,3})[\s-]years?[\s-]old\b|\bage[d]?\s+(\d{1,3})\b", re.IGNORECASE)


def statements(text: str) -> Iterator[str]:
    """The sentences that state something about this case."""
    return (part for part in _SENTENCE.split(text) if part and not _SUPPOSED.search(part))


def is_negated(sentence: str) -> bool:
    """Whether a sentence says that something is not there."""
    return _NEGATED.search(sentence) is not None


def invented_history(
    text: str, context: Mapping[str, str], attributes: Mapping[str, str]
) -> str | None:
    """The kind of history that a text tells and the case does not record; None when there is none.

    Args:
        text: of the narrative.
        context: site and age, as told.
        attributes: other columns of the case; a recorded `False` allows only the negation.
    """
    for sentence in statements(text):
        past = _FUTURE.sub(" ", sentence)
        for kind in KINDS:
            if kind.pattern.search(past) and not _is_recorded(kind, past, attributes):
                return kind.name
        for age in _AGE.finditer(past):
            if (age[1] or age[2]) != context.get("age"):
                return "age"
    return None


def _is_recorded(kind: _Kind, sentence: str, attributes: Mapping[str, str]) -> bool:
    cells = [value for column in kind.columns if (value := known(attributes.get(column)))]
    if not cells:
        return False
    answers = [truth(value) for value in cells]
    if None in answers:
        return True
    return any(answers) is not is_negated(sentence)
