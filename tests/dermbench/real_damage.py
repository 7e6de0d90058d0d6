"""The kinds of damage of `synthetic/damage.py`, done to texts that others wrote."""

import random
import re

from skingpt_r1.errors import NarrativeError
from skingpt_r1.simulate.damage import BROKEN, DROPPED, INVENTED, UNSAFE, VAGUE, WORDINGS, WRONG
from skingpt_r1.text.findings import WORDS, read_findings
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.taxonomy import closeness

OTHER_NAMES = ("molluscum contagiosum", "vitiligo", "tinea pedis", "melanoma", "rosacea")
_FINDING = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(re.escape(w) for slot in WORDS.values() for words in slot.values() for w in words)
    + r")(?![\w-])",
    re.IGNORECASE,
)
_PIECE = re.compile(r"(?<=[.!?])\s+|(\n+)")


def diagnosis_of(text):
    try:
        return parse_narrative(text).diagnosis
    except NarrativeError:
        return None


def other_name(diagnosis, rng):
    far = [name for name in OTHER_NAMES if not closeness(name, diagnosis)]
    return rng.choice(far)


def drop(text, rng):
    """Half of the pieces with findings go, the conclusion stays."""
    named = (diagnosis_of(text) or "").lower()
    pieces = [piece for piece in _PIECE.split(text) if piece]
    able = [
        place
        for place, piece in enumerate(pieces)
        if read_findings(piece) and not (named and named in piece.lower()) and "think>" not in piece
    ]
    gone = set(rng.sample(able, -(-len(able) // 2)))
    return " ".join(piece for place, piece in enumerate(pieces) if place not in gone)


def invent(text, rng):
    """Two statements of signs that the text does not speak of, in the middle."""
    lists = (*WORDINGS["invented"].training, *WORDINGS["invented"].held_out)
    key = ("ulcer", "necro", "satell", "fluid", "scar", "burrow", "fistul", "destroy", "swell")
    new = [
        said
        for said in lists
        if any(k in said.lower() and k not in text.lower() for k in key) or "stitch" in said
    ]
    return _insert(text, " ".join(rng.sample(new, 2)))


def misname(text, rng):
    """Another disease, wherever the text names its own."""
    named = diagnosis_of(text)
    other = other_name(named, rng)
    whole = re.compile(re.escape(named).replace(r"\ ", r"\s+"), re.IGNORECASE)
    return f"{whole.sub(other, text)}\n\nThe most likely diagnosis is **{other}**."


def break_chain(text, rng):
    """The same argument, and then another conclusion."""
    other = other_name(diagnosis_of(text), rng)
    return f"{text}\n\nTherefore the most likely diagnosis is **{other}**."


def advise(text, rng):
    gravity = rng.choice(["mild", "serious", "grave"])
    said = rng.choice(WORDINGS[gravity].of(held_out=rng.random() < 0.5))
    return f"{text} {said}"


def blur(text, rng):
    """Every second exact word becomes a vague one."""

    def replace(match):
        return rng.choice(WORDINGS["vague"].training) if rng.random() < 0.5 else match[0]

    return _FINDING.sub(replace, text)


def _insert(text, said):
    pieces = text.split(". ")
    place = len(pieces) // 2
    return ". ".join((*pieces[:place], said.removesuffix("."), *pieces[place:]))


OPERATIONS = {
    DROPPED: drop,
    INVENTED: invent,
    WRONG: misname,
    BROKEN: break_chain,
    UNSAFE: advise,
    VAGUE: blur,
}


def damaged(text, kind, seed):
    """The text with the damage."""
    return OPERATIONS[kind](text, random.Random(seed))
