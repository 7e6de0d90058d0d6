"""The vocabulary of what is seen: eight slots, their values, and the words that name each value.

A finding is a pair (slot, value). The words are chosen so that no word names two values: a text can
be read back without knowing who wrote it.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

# slot -> value -> words that name it; the first is the preferred one.
WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "count": {
            "one": ("single", "one"),
            "few": ("few", "several"),
            "many": ("many", "numerous"),
        },
        "size": {
            "small": ("small", "tiny"),
            "medium": ("medium", "moderate"),
            "large": ("large", "big"),
        },
        "colour": {
            "red": ("red", "erythematous"),
            "pink": ("pink",),
            "brown": ("brown",),
            "black": ("black",),
            "white": ("white", "depigmented"),
            "tan": ("tan",),
            "yellow": ("yellow",),
            "purple": ("purple", "violaceous"),
            "skin-coloured": ("flesh", "skin-coloured"),
        },
        "morphology": {
            "macule": ("macule", "macules"),
            "patch": ("patch", "patches"),
            "papule": ("papule", "papules"),
            "plaque": ("plaque", "plaques"),
            "nodule": ("nodule", "nodules"),
            "vesicle": ("vesicle", "vesicles"),
            "pustule": ("pustule", "pustules"),
            "wheal": ("wheal", "wheals"),
            "ring": ("ring", "rings"),
        },
        "border": {
            "sharp": ("sharp", "well-defined"),
            "blurred": ("blurred", "ill-defined"),
            "irregular": ("irregular", "notched"),
            "rolled": ("rolled", "raised"),
        },
        "surface": {
            "smooth": ("smooth",),
            "scaly": ("scaly",),
            "silvery": ("silvery",),
            "crusted": ("crusted",),
            "warty": ("warty", "verrucous"),
            "shiny": ("shiny", "pearly"),
            "dimpled": ("dimpled", "umbilicated"),
            "rough": ("rough", "gritty"),
        },
        "arrangement": {
            "solitary": ("solitary", "isolated"),
            "scattered": ("scattered",),
            "grouped": ("grouped", "clustered"),
            "linear": ("linear", "band-like"),
        },
        "distribution": {
            "localised": ("localised", "confined"),
            "widespread": ("widespread", "extensive"),
        },
        "symmetry": {
            "symmetric": ("symmetric", "symmetrical"),
            "asymmetric": ("asymmetric", "asymmetrical"),
        },
        "elevation": {"flat": ("flat",), "elevated": ("elevated", "palpable")},
        "bleeding": {"bleeding": ("bleeding",), "not bleeding": ("unbroken", "intact")},
    }
)

# What a rendered case always knows; the other slots come from the metadata of real data sets.
RENDERED_SLOTS = (
    "count", "size", "colour", "morphology", "border", "surface", "arrangement", "distribution",
)  # fmt: skip

_VALUE_OF_WORD = {
    word: (slot, value)
    for slot, values in WORDS.items()
    for value, words in values.items()
    for word in words
}
_WORD = re.compile(
    r"(?<![\w-])("
    + "|".join(sorted(map(re.escape, _VALUE_OF_WORD), key=len, reverse=True))
    + r")(?![\w-])",
    re.IGNORECASE,
)


def read_findings(text: str) -> dict[str, str]:
    """The findings that a text names: slot -> value; the first mention of a slot counts."""
    findings: dict[str, str] = {}
    for match in _WORD.finditer(text):
        slot, value = _VALUE_OF_WORD[match[1].lower()]
        findings.setdefault(slot, value)
    return findings


def check_findings(findings: Mapping[str, str]) -> list[str]:
    """Problems of a findings mapping: unknown slots and unknown values, each in one sentence."""
    problems = [
        f"unknown slot {slot!r}; known: {', '.join(WORDS)}"
        for slot in findings
        if slot not in WORDS
    ]
    problems += [
        f"unknown {slot} {value!r}; known: {', '.join(WORDS[slot])}"
        for slot, value in findings.items()
        if slot in WORDS and value not in WORDS[slot]
    ]
    return problems


def finding_accuracy(
    text: str, findings: Mapping[str, str], slots: Iterable[str] | None = None
) -> float:
    """Share of known findings that a text names rightly; a slot it does not mention is wrong.

    Args:
        text: the observation, or a whole narrative.
        findings: the truth, slot -> value; must not be empty.
        slots: the slots to count; all of `findings` by default.
    """
    asked = [slot for slot in (slots or findings) if slot in findings]
    if not asked:
        raise ValueError("no known finding to compare with")
    said = read_findings(text)
    return sum(said.get(slot) == findings[slot] for slot in asked) / len(asked)
