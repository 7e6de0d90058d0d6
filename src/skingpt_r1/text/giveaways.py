"""What a text may give away or make up: its diagnosis, who the person is, an untold history.

A diagnosis is given away by its name, a synonym, a kind of it or an adjective. History and symptoms
that only a person can tell are allowed where the case records them, else they are invented.
A hit names its kind, never the words.

Also whether a text says anything clinical at all: blank fields, placeholders, headings alone,
messages of servers and programs, and refusals do not. A short answer (`melanoma`, `Dx: BCC`) says
something; so does what is not recognised.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from skingpt_r1.text.conclusions import names_disease
from skingpt_r1.text.findings import WORDS, is_negated, read_findings, statements
from skingpt_r1.text.taxonomy import canonical, diagnoses, normalise
from skingpt_r1.text.tokens import VOCABULARY, patterns, without_invisible
from skingpt_r1.text.values import given_text, truth

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
    for noun, adjectives in VOCABULARY["adjectives"].items():
        if normalise(noun) in words:
            names |= set(map(normalise, adjectives))
    return tuple(sorted(names - _FINDING_WORDS - {""}, key=lambda name: (-len(name), name)))


# What only a person can tell: its name, the words that tell it, the columns that record it.
_HISTORY: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (name, re.compile(rf"\b(?:{'|'.join(kind['words'])})\b", re.IGNORECASE), tuple(kind["columns"]))
    for name, kind in VOCABULARY["history"].items()
)
_RE = patterns("giveaways")


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
        past = _RE["future"].sub(" ", sentence)
        for name, words, columns in _HISTORY:
            if words.search(past) and not _is_recorded(columns, past, attributes):
                return name
        for age in _RE["age"].finditer(past):
            if (age[1] or age[2]) != context.get("age"):
                return "age"
    return None


def _is_recorded(columns: tuple[str, ...], sentence: str, attributes: Mapping[str, str]) -> bool:
    cells = [value for column in columns if (value := given_text(attributes.get(column)))]
    answers = [truth(value) for value in cells]
    if not cells or None in answers:
        return bool(cells)
    return any(answers) is not is_negated(sentence)


_KINDS = ("e-mail address", "web address", "date", "hospital number", "telephone number", "name")
_IDENTITY = patterns("identity")


def identity_words(text: str) -> str | None:
    """The kind of identifying words that a text holds; None when it holds none."""
    return next((kind for kind in _KINDS if _IDENTITY[kind].search(text)), None)


NO_WORDS = "it has no words"
_ERROR = "it is an error message"
_REFUSAL = "it declines to answer"
_PLACEHOLDER = "it has headings, placeholders or phrases alone"

# Findings that words of other matters name as well (`Too Many Requests`, `PATCH`) are left out.
_SEEN = frozenset({"colour", "morphology", "surface"})
_LONGEST_WORD = 60
_LONGEST_TEXT = 50_000  # characters that are looked at; no judge reads more
# A text of nothing but these words says nothing clinical, in whatever order they stand.
_EMPTY_WORDS = frozenset(_RE["word"].findall(VOCABULARY["empty"]))


def no_content(text: str) -> str | None:
    """Why a text says nothing clinical that could be judged; None when it says something."""
    shown = without_invisible(unicodedata.normalize("NFKC", text[:_LONGEST_TEXT]))
    seen = shown.replace("’", "'")
    is_page = _RE["page"].match(seen) is not None
    plain = _RE["key"].sub(" ", _RE["tag"].sub(" ", seen) if is_page else seen)
    if not _RE["word"].search(plain):
        return NO_WORDS
    clauses = [clause for clause in _RE["clause"].split(plain) if clause and not clause.isspace()]
    kept = [words for clause in clauses if not _declines(clause, words := _words(clause))]
    if any(map(_is_clinical, kept)):
        return None
    if is_page or _RE["fault"].search(plain):
        return _ERROR
    if len(kept) < len(clauses):
        return _REFUSAL
    return None if any(kept) else _PLACEHOLDER


def _declines(clause: str, words: str) -> bool:
    """Whether a clause refuses, and does not report what cannot be seen or excluded."""
    if _RE["declines"].search(clause) is None:
        return False
    return _RE["helps"].search(clause) is not None or not _is_clinical(words)


def _is_clinical(words: str) -> bool:
    """Whether words name a disease or what is seen."""
    named = names_disease(words) or _RE["han_disease"].search(words) is not None
    return named or not _SEEN.isdisjoint(read_findings(words))


def _words(clause: str) -> str:
    """The words of a clause that may say something."""
    return " ".join(
        word
        for word in _RE["word"].findall(clause.lower())
        if word not in _EMPTY_WORDS
        and len(word) <= _LONGEST_WORD
        and (len(word) > 1 if word.isascii() else _RE["empty_han"].fullmatch(word) is None)
    )
