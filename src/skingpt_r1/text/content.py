"""Whether a text says anything clinical at all, before anybody judges how well it says it.

Blank fields, placeholders, headings alone, messages of servers and programs, and refusals say
nothing. A short answer (`melanoma`, `Dx: BCC`) says something; so does what is not recognised.
"""

import re
import unicodedata

from skingpt_r1.text.conclusions import names_disease
from skingpt_r1.text.findings import read_findings
from skingpt_r1.text.tokens import pattern, vocabulary, without_invisible

NO_WORDS = "it has no words"
_ERROR = "it is an error message"
_REFUSAL = "it declines to answer"
_PLACEHOLDER = "it has headings, placeholders or phrases alone"

# Findings that words of other matters name as well (`Too Many Requests`, `PATCH`) are left out.
_SEEN = frozenset({"colour", "morphology", "surface"})
_LONGEST_WORD = 60
_LONGEST_TEXT = 50_000  # characters that are looked at; no judge reads more
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
# A text of nothing but these words says nothing clinical, in whatever order they stand.
_EMPTY_WORDS = frozenset(_WORD.findall(vocabulary()["empty"]))
_EMPTY_HAN = pattern("content", "empty_han")
_FAULT = pattern("content", "fault")
_PAGE = re.compile(r"\s*(?:<!doctype html|<html|<\?xml)", re.IGNORECASE)
_CLAUSE = pattern("content", "clause")
_DECLINES = pattern("content", "declines")
_HELPS = re.compile(r"\b(?:help|assist|comply|support)\b", re.IGNORECASE)
_HAN_DISEASE = re.compile(r"[癌瘤疹炎疣癣癬痣疮瘡疱苔斑痤銀银疖疥麻腫肿]")
_TAG = re.compile(r"<[^<>]{0,300}>")
_KEY = re.compile(r"\"\w{1,60}\"\s{0,3}:")


def no_content(text: str) -> str | None:
    """Why a text says nothing clinical that could be judged; None when it says something."""
    shown = without_invisible(unicodedata.normalize("NFKC", text[:_LONGEST_TEXT]))
    seen = shown.replace("’", "'")
    is_page = _PAGE.match(seen) is not None
    plain = _KEY.sub(" ", _TAG.sub(" ", seen) if is_page else seen)
    if not _WORD.search(plain):
        return NO_WORDS
    clauses = [clause for clause in _CLAUSE.split(plain) if clause and not clause.isspace()]
    kept = [words for clause in clauses if not _declines(clause, words := _words(clause))]
    if any(map(_is_clinical, kept)):
        return None
    if is_page or _FAULT.search(plain):
        return _ERROR
    if len(kept) < len(clauses):
        return _REFUSAL
    return None if any(kept) else _PLACEHOLDER


def _declines(clause: str, words: str) -> bool:
    """Whether a clause refuses, and does not report what cannot be seen or excluded."""
    if _DECLINES.search(clause) is None:
        return False
    return _HELPS.search(clause) is not None or not _is_clinical(words)


def _is_clinical(words: str) -> bool:
    """Whether words name a disease or what is seen."""
    named = names_disease(words) or _HAN_DISEASE.search(words) is not None
    return named or not _SEEN.isdisjoint(read_findings(words))


def _words(clause: str) -> str:
    """The words of a clause that may say something."""
    return " ".join(
        word
        for word in _WORD.findall(clause.lower())
        if word not in _EMPTY_WORDS
        and len(word) <= _LONGEST_WORD
        and (len(word) > 1 if word.isascii() else _EMPTY_HAN.fullmatch(word) is None)
    )
