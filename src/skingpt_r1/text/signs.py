"""The signs that a text states: values of `findings.py` and further signs of dermatology.

A reference is compared with what somebody else wrote, so that every value of a slot counts, not
only the first, and words bend (`scaly`, `scaling`). What is denied is not stated.

History and symptoms that a text tells: allowed where the case records them, else invented.

Sentences that only suppose something (`if it grows`, `may itch`) tell nothing about this case.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from skingpt_r1.text.findings import WORDS
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


Sign = tuple[str, str]
SIGN = "sign"

# Further signs, with the endings that free texts use.
_FURTHER: Mapping[str, str] = MappingProxyType(
    {
        "ulceration": r"ulcer(?:s|ated|ation|ations)?",
        "erosion": r"ero(?:sions?|ded)",
        "necrosis": r"necro(?:sis|tic)",
        "satellite lesions": r"satellite\s+\w+",
        "fluid": r"(?:cloudy\s+)?fluid|oozing|weeping|exud\w+|seeping",
        "pus": r"pus|purulen\w+|suppurat\w+",
        "scar": r"scar(?:s|red|ring)?|cicatri\w+",
        "burrow": r"burrows?",
        "fistula": r"fistulas?|fistulae|sinus\s+tracts?",
        "destruction": r"destroyed|destruction",
        "swelling": r"swelling|swollen|o?edema(?:tous)?",
        "stitches": r"stitch(?:es)?|sutures?",
        "telangiectasia": r"telangiectasi\w+|dilated\s+(?:blood\s+)?vessels",
        "lichenification": r"lichenifi\w+",
        "atrophy": r"atroph\w+",
        "induration": r"indurat\w+",
        "thickening": r"thicken\w+|acanthosis|hyperkeratosis|hyperkeratotic",
        "excoriation": r"excoriat\w+|scratch\w*",
        "fissure": r"fissur\w+|crack(?:s|ed|ing)",
        "bulla": r"bullae?|blister\w*",
        "comedo": r"comedo(?:nes?|s)?|blackheads?|whiteheads?",
        "cyst": r"cysts?",
        "scale": r"scal(?:es?|ing)|desquamat\w+|flak(?:y|es|ing)|peeling",
        "crust": r"crust(?:s|ing)?|scabs?",
        "erythema": r"erythema|redness|reddish|reddened|inflamed",
        "purpura": r"purpur\w+|petechia\w*|ecchymos\w+|bruis\w+",
        "hyperpigmentation": r"hyperpigment\w+|dark(?:er|ened|ening)|brownish",
        "hypopigmentation": r"hypopigment\w+|depigmentation|pale|pallor|whitish",
        "yellowing": r"yellowish|yellowing",
        "blue": r"blue|bluish|cyano\w+",
        "hair loss": r"hair\s+loss|alopecic|bald(?:ing|ness)?|hairless",
        "nail change": r"onycholysis|pitting|subungual|nail\s+(?:plate|dystrophy|thickening)",
        "dome": r"dome-shaped|domed",
        "annular": r"annular|ring-shaped|circular|target(?:oid)?",
        "central clearing": r"central\s+clearing",
        "follicular": r"follic(?:le|les|ular)",
        "waxy": r"waxy|greasy|stuck-on",
        "translucent": r"translucen\w+",
        "warmth": r"warm(?:th)?",
        "symmetry": r"symmetr(?:y|ically)",
        "cluster": r"clusters?|clustering",
        "confluence": r"conflu\w+|coalesc\w+",
    }
)
_VALUE = {
    word: (slot, value)
    for slot, values in WORDS.items()
    for value, words in values.items()
    for word in words
}
_NAMES = tuple(_FURTHER)
# One pattern for all: the text is gone through once, whatever the number of signs.
_ANY = re.compile(
    r"(?<![\w-])(?:("
    + "|".join(sorted(map(re.escape, _VALUE), key=len, reverse=True))
    + ")|"
    + "|".join(f"({words})" for words in _FURTHER.values())
    + r")(?![\w-])",
    re.IGNORECASE,
)
# Words of the vocabulary that mean something else in free prose.
_OTHER_SENSE = re.compile(
    r"\b(?:one\s+of|one\s+(?:or|should|must|can|might|may)|moderate(?=\s+(?:likelihood|probability"
    r"|confidence|suspicion))|flat\s+out|at\s+large)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.;!?\n]|,\s|:\s|\b(?:but|while|whereas|although|however)\b")
_DENIED = re.compile(
    r"\b(?:lack(?:s|ing)?|unlike|rather than|instead of|exclud\w+|ruled? out|unlikely|neither|nor"
    r"|doesn't|isn't|aren't|don't|cannot|rarely)\b",
    re.IGNORECASE,
)
# What stands for an exact word when none is known.
_VAGUE = re.compile(
    r"\b(?:(?:a\s+bit\s+|rather\s+|somehow\s+|maybe\s+)?(?:odd|strange|unusual|unclear|weird)"
    r"|somehow(?:\s+different)?|maybe(?:\s+different)?|not\s+quite\s+clear"
    r"|kind\s+of(?:\s+normal|\s+unclear)?|sort\s+of|of\s+some\s+kind|some\s+more\s+or\s+less"
    r"|more\s+or\s+less(?:\s+some)?|things?|spots?|marks?|stuff|something)\b",
    re.IGNORECASE,
)


class Stated(NamedTuple):
    """What a text says is there.

    Attributes:
        signs: (slot, value) of the vocabulary, and (`sign`, name) of further signs.
        mentioned: the same with what is denied or said of another disease.
        num_exact: mentions of exact words.
        num_vague: mentions of vague ones.
    """

    signs: frozenset[Sign]
    mentioned: frozenset[Sign]
    num_exact: int
    num_vague: int

    @property
    def vague_share(self) -> float:
        """Share of vague words among those that describe; 0 when nothing is described."""
        total = self.num_exact + self.num_vague
        return self.num_vague / total if total else 0.0


@lru_cache(maxsize=4096)
def read_signs(text: str) -> Stated:
    """What a text states, clause by clause; a clause that denies states nothing.

    Args:
        text: of a narrative, or of a part of it.
    """
    stated: set[Sign] = set()
    mentioned: set[Sign] = set()
    count = 0
    for clause in _CLAUSE.split(_OTHER_SENSE.sub(" ", text)):
        found = list(_signs_in(clause))
        count += len(found)
        mentioned.update(found)
        if found and not is_negated(clause) and not _DENIED.search(clause):
            stated.update(found)
    return Stated(frozenset(stated), frozenset(mentioned), count, len(_VAGUE.findall(text)))


def describe_sign(sign: Sign) -> str:
    """A sign in words: `border: sharp`, `ulceration`."""
    slot, value = sign
    return value if slot == SIGN else f"{slot}: {value}"


def _signs_in(clause: str) -> Iterator[Sign]:
    for match in _ANY.finditer(clause):
        assert match.lastindex is not None
        is_value = match.lastindex == 1
        yield _VALUE[match[1].lower()] if is_value else (SIGN, _NAMES[match.lastindex - 2])
