"""What a text may give away or make up: its diagnosis, who the person is, an untold history.

A diagnosis is given away by its name, a synonym, a kind of it or an adjective. History and symptoms
that only a person can tell are allowed where the case records them, else they are invented.
A hit names its kind, never the words.
"""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from skingpt_r1.text.findings import WORDS, is_negated, statements
from skingpt_r1.text.taxonomy import canonical, diagnoses, normalise
from skingpt_r1.text.tokens import pattern, vocabulary
from skingpt_r1.text.values import known, truth

# Names this long do not turn up by chance when the spaces of a text are left out.
_LONG_NAME = 8
_FINDING_WORDS = {normalise(word) for slot in WORDS.values() for names in slot.values()
                  for word in names}  # fmt: skip


def named_in(text: str, diagnosis: str) -> str | None:
    """The name of the diagnosis that a text contains; None when it contains none.

    Letter case, accents, spelling, hyphens and hidden characters do not matter. Names of its kinds
    and of its ancestors below the family count too.
    """
    plain = f" {normalise(text)} "
    solid = plain.replace(" ", "")
    for name in names_of(diagnosis):
        compact = name.replace(" ", "")
        if f" {name} " in plain or (len(compact) >= _LONG_NAME and compact in solid):
            return name
    return None


@cache
def names_of(diagnosis: str) -> tuple[str, ...]:
    """Normalised names that give a diagnosis away, longest first.

    Words that name a finding, such as `wheals`, do not count: an observation needs them.
    """
    found = canonical(diagnosis)
    names = {normalise(diagnosis)}
    if found is not None:
        table = diagnoses()
        kin = {found, *table[found].parents[:-1]}
        kin |= {name for name, entry in table.items() if found in entry.parents}
        names |= {normalise(other) for name in kin for other in (name, *table[name].synonyms)}
    words = {word for name in names for word in name.split()}
    for noun, adjectives in vocabulary()["adjectives"].items():
        if normalise(noun) in words:
            names |= set(map(normalise, adjectives))
    return tuple(sorted(names - _FINDING_WORDS - {""}, key=lambda name: (-len(name), name)))


# What only a person can tell: its name, the words that tell it, the columns that record it.
_HISTORY: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (name, re.compile(rf"\b(?:{'|'.join(kind['words'])})\b", re.IGNORECASE), tuple(kind["columns"]))
    for name, kind in vocabulary()["history"].items()
)
_AGE = re.compile(r"\b(\d{1,3})[\s-]years?[\s-]old\b|\bage[d]?\s+(\d{1,3})\b", re.IGNORECASE)
_FUTURE = pattern("giveaways", "future")


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
        for name, words, columns in _HISTORY:
            if words.search(past) and not _is_recorded(columns, past, attributes):
                return name
        for age in _AGE.finditer(past):
            if (age[1] or age[2]) != context.get("age"):
                return "age"
    return None


def _is_recorded(columns: tuple[str, ...], sentence: str, attributes: Mapping[str, str]) -> bool:
    cells = [value for column in columns if (value := known(attributes.get(column)))]
    answers = [truth(value) for value in cells]
    if not cells or None in answers:
        return bool(cells)
    return any(answers) is not is_negated(sentence)


_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_NAME = r"[A-Z][\w'’-]+"
_IDENTITY: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "e-mail address": re.compile(r"[\w.+-]+\s?(?:@|\[at\]|\(at\))\s?[\w-]+\s?\.\s?\w{2,}"),
        "web address": re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE),
        "date": re.compile(
            r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\b\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)?\d{2}\b"
            rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{2,4}})?\b"
            rf"|\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?!\s*(?:mm|cm|%))"
            rf"|\b{_MONTH},?\s+(?:19|20)\d{{2}}\b",
            re.IGNORECASE,
        ),
        "hospital number": re.compile(
            r"\b(?:mrn|hospital|patient|case|chart|record|nhs|insurance|social security|ssn|id)"
            r"\s*(?:(?:no|number|id|nr)\b\.?)?\s*[:#]?\s*[A-Z]{0,4}[-_ ]?\d[\d\s-]{3,}\d\b"
            r"|\bpat_\d+\b|\b\d{7,}\b|\b\d{3}[\s-]\d{2}[\s-]\d{4}\b",
            re.IGNORECASE,
        ),
        "telephone number": re.compile(
            r"(?<![\w.])\+\d[\d\s().-]{6,}\d|(?<![\w.])\(?0\d{1,4}\)?[\s./-]?\d[\d\s.-]{4,}\d"
            r"|(?<![\w.])\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}(?!\d)"
        ),
        "name": re.compile(
            rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Sir|Señora?|Herr|Frau)\.?\s+{_NAME}"
            rf"|\b(?:[Nn]amed|[Nn]ame is|[Nn]ame:|[Cc]alled)\s+{_NAME}"
            rf"|\b[Pp]atient(?:'s name)?,?\s+{_NAME}\s+{_NAME}"
        ),
    }
)


def identity_words(text: str) -> str | None:
    """The kind of identifying words that a text holds; None when it holds none."""
    return next((kind for kind, pattern in _IDENTITY.items() if pattern.search(text)), None)
