"""What is seen: findings (slot and value), and the signs that a free text states.

A finding is a pair (slot, value) of `words.yaml`. Its words are chosen so that no word names two
values: a text can be read back without knowing who wrote it. A sign is a finding or a further word
of dermatology, which bends (`scaly`, `scaling`); every mention counts, and what a clause denies is
not stated.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from skingpt_r1.text.tokens import VOCABULARY, patterns

# slot -> value -> words that name it; the first is the preferred one.
WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    slot: {value: tuple(names) for value, names in values.items()}
    for slot, values in VOCABULARY["findings"].items()
}
# What a rendered case always knows; the other slots come from the metadata of real data sets.
RENDERED_SLOTS = (
    "count", "size", "colour", "morphology", "border", "surface", "arrangement", "distribution",
)  # fmt: skip
_FINDING = {
    word: (slot, value)
    for slot, values in WORDS.items()
    for value, words in values.items()
    for word in words
}
_FINDING_WORDS = "|".join(sorted(map(re.escape, _FINDING), key=len, reverse=True))
_WORD = re.compile(rf"(?<![\w-])({_FINDING_WORDS})(?![\w-])", re.IGNORECASE)


def read_findings(text: str) -> dict[str, str]:
    """The findings that a text names: slot -> value; the first mention of a slot counts."""
    findings: dict[str, str] = {}
    for match in _WORD.finditer(text):
        findings.setdefault(*_FINDING[match[1].lower()])
    return findings


def check_findings(findings: Mapping[str, str]) -> list[str]:
    """Problems of a findings mapping: unknown slots and unknown values, each in one sentence."""
    slots = [slot for slot in findings if slot not in WORDS]
    problems = [f"unknown slot {slot!r}; known: {', '.join(WORDS)}" for slot in slots]
    return problems + [
        f"unknown {slot} {value!r}; known: {', '.join(WORDS[slot])}"
        for slot, value in findings.items()
        if slot in WORDS and value not in WORDS[slot]
    ]


def finding_accuracy(text: str, findings: Mapping[str, str]) -> float:
    """Share of the true findings that a text names rightly; one it does not mention is wrong."""
    if not findings:
        raise ValueError("no known finding to compare with")
    said = read_findings(text)
    return sum(said.get(slot) == value for slot, value in findings.items()) / len(findings)


_RE = patterns("findings")


def statements(text: str) -> Iterator[str]:
    """The sentences that state something about this case, and do not only suppose it."""
    return (
        part for part in _RE["sentence"].split(text) if part and not _RE["supposed"].search(part)
    )


def is_negated(sentence: str) -> bool:
    """Whether a sentence says that something is not there."""
    return _RE["negated"].search(sentence) is not None


Sign = tuple[str, str]
_SIGN = "sign"  # in place of the slot of a further sign
_FURTHER: Mapping[str, str] = VOCABULARY["signs"]
_NAMES = tuple(_FURTHER)
# One pattern for all: the text is gone through once, whatever the number of signs.
_ANY_SIGN = re.compile(
    rf"(?<![\w-])(?:({_FINDING_WORDS})|"
    + "|".join(f"({words})" for words in _FURTHER.values())
    + r")(?![\w-])",
    re.IGNORECASE,
)


class Stated(NamedTuple):
    """What a text says is there: signs as (slot, value), or (`sign`, name) of further ones.

    `mentioned` also holds what is denied or said of another disease.
    """

    signs: frozenset[Sign]
    mentioned: frozenset[Sign]
    num_exact: int
    num_vague: int

    @property
    def vague_share(self) -> float:
        """Share of vague words among those that describe; 0 where none does."""
        total = self.num_exact + self.num_vague
        return self.num_vague / total if total else 0.0


@lru_cache(maxsize=4096)
def read_signs(text: str) -> Stated:
    """What a text states, clause by clause; a clause that denies states nothing."""
    stated: set[Sign] = set()
    mentioned: list[Sign] = []
    for clause in _RE["clause"].split(_RE["other_sense"].sub(" ", text)):
        found = [_sign(match) for match in _ANY_SIGN.finditer(clause)]
        mentioned += found
        if found and not is_negated(clause) and not _RE["denied"].search(clause):
            stated.update(found)
    num_vague = len(_RE["vague"].findall(text))
    return Stated(frozenset(stated), frozenset(mentioned), len(mentioned), num_vague)


def _sign(match: re.Match[str]) -> Sign:
    assert match.lastindex is not None
    is_value = match.lastindex == 1
    return _FINDING[match[1].lower()] if is_value else (_SIGN, _NAMES[match.lastindex - 2])


def describe_sign(sign: Sign) -> str:
    """A sign in words: `border: sharp`, `ulceration`."""
    slot, value = sign
    return value if slot == _SIGN else f"{slot}: {value}"
