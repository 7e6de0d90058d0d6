"""How known facts are put into words: the question to the model, and the narrative in answer.

`write_narrative` says only what it is given. The wording varies with the random generator; the
words for a finding come from `findings.WORDS`, so that `findings.read_findings` reads each back.
"""

import random
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS
from skingpt_r1.text.narrative import Narrative, make_narrative
from skingpt_r1.text.taxonomy import is_malignant

INSTRUCTION = (
    "Look at the skin in this picture. Describe what you see, reason step by step and name the "
    "diagnosis."
)

# urgency -> what is advised.
ADVICE = MappingProxyType(
    {
        "early": (
            "A dermatologist should see it soon.",
            "It needs an early visit to a dermatologist.",
        ),
        "routine": ("A doctor can confirm this.", "It should be shown to a doctor if it changes."),
    }
)

# What the asker may tell.
CONTEXT_KEYS = ("site", "age")

_OBSERVATIONS = (
    "{place}{count} {size} {colour} {lesions} with {border} borders and {surface} surface, "
    "{arrangement} and {distribution}. {extra}",
    "{place}{count} {colour} {lesions}, {size} in size. The border is {border} and the surface "
    "{surface}; the lesions are {arrangement} and {distribution}. {extra}",
    "{place}{count} {size} {lesions} of {colour} colour. The surface looks {surface} and the "
    "margins {border}, {distribution} and {arrangement} in extent. {extra}",
)
_REASONINGS = (
    "{first} and {second} point to {diagnosis}.",
    "{first} together with {second} suggest {diagnosis}.",
    "{first} and {second} are typical of {diagnosis}.",
)
_ALONE = (
    "The picture as a whole points to {diagnosis}.",
    "Taken together this suggests {diagnosis}.",
)
_SLOT_NOUN = {
    "count": "the number of lesions, {}",
    "size": "{} size",
    "colour": "{} colour",
    "morphology": "{} morphology",
    "border": "{} borders",
    "surface": "{} surface",
    "arrangement": "{} arrangement",
    "distribution": "{} distribution",
    "symmetry": "{} shape",
    "elevation": "{} profile",
    "bleeding": "{} surface",
}
_EXTRA = {"symmetry": "The shape is {}.", "elevation": "It is {}.", "bleeding": "It is {}."}
_SEVERAL = {word for value in ("few", "many") for word in WORDS["count"][value]}
# The findings that a reasoning may cite.
KEY_SLOTS = ("surface", "colour", "border", "morphology", "symmetry", "elevation", "size")


def check_context(context: Mapping[str, str]) -> list[str]:
    """Problems of a context, each in one sentence: unknown keys, and an age that nobody has."""
    problems = [
        f"unknown context {key!r}; known: {', '.join(CONTEXT_KEYS)}"
        for key in context
        if key not in CONTEXT_KEYS
    ]
    age = context.get("age", "").strip()
    if re.fullmatch(r"[+-]?\d+(?:[.,]\d*)?", age) and not 0 <= float(age.replace(",", ".")) <= 120:
        problems.append(f"age {age!r} is not a number of years from 0 to 120")
    return problems


def ask(context: Mapping[str, str] | None = None) -> str:
    """The user's text: the instruction, and a context line when site or age are known."""
    return " ".join([INSTRUCTION, *context_words(context or {})])


def context_words(context: Mapping[str, str]) -> list[str]:
    """The context line of a prompt; empty when nothing is known."""
    told = [f"{key} {context[key]}" for key in CONTEXT_KEYS if context.get(key)]
    return [f"Context: {', '.join(told)}."] if told else []


def write_narrative(
    findings: Mapping[str, str],
    diagnosis: str,
    differential: Sequence[str],
    rng: random.Random,
    context: Mapping[str, str] | None = None,
    advice: str | None = None,
    cited: Collection[str] | None = None,
) -> Narrative:
    """A narrative that says the given facts and nothing else, in canonical form.

    Args:
        findings: slot -> value in the vocabulary of `findings.py`; slots may be missing.
        diagnosis: the name to conclude with.
        differential: other names to list, most likely first; may be empty.
        rng: chooses among wordings; the same state gives the same text.
        context: site and age, as told in the prompt; repeated in the observation.
        advice: an urgency of `ADVICE`, put into words at the end of the reasoning.
        cited: slots that the reasoning may cite; None for all.
    """
    words = _words(findings, rng)
    observation = _observe(words, rng, context or {})
    reasoning = _reason(words, diagnosis, rng, cited)
    if advice is not None:
        reasoning += f" {rng.choice(ADVICE[advice])}"
    return make_narrative(observation, reasoning, diagnosis, differential)


def write_observation(
    findings: Mapping[str, str], rng: random.Random, context: Mapping[str, str] | None = None
) -> str:
    """The observation alone; see `write_narrative`."""
    return _observe(_words(findings, rng), rng, context or {})


def write_reasoning(
    findings: Mapping[str, str],
    diagnosis: str,
    rng: random.Random,
    advice: str | None = None,
    cited: Collection[str] | None = None,
) -> str:
    """The reasoning alone, with the advice at its end; see `write_narrative`."""
    reasoning = _reason(_words(findings, rng), diagnosis, rng, cited)
    return reasoning if advice is None else f"{reasoning} {rng.choice(ADVICE[advice])}"


def urgency_of(diagnosis: str) -> str:
    """The urgency of `ADVICE` for a diagnosis: early for malignant tumours and unknown names."""
    return "routine" if is_malignant(diagnosis) is False else "early"


def _words(findings: Mapping[str, str], rng: random.Random) -> dict[str, str]:
    count = findings.get("count")
    return {slot: _word(slot, value, count, rng) for slot, value in findings.items()}


def _word(slot: str, value: str, count: str | None, rng: random.Random) -> str:
    names = WORDS[slot][value]
    if slot == "morphology":
        return names[1 if count in ("few", "many") else 0]
    return rng.choices(names, weights=[3.0] + [1.0] * (len(names) - 1))[0]


def _observe(words: Mapping[str, str], rng: random.Random, context: Mapping[str, str]) -> str:
    place = _place(context)
    if all(slot in words for slot in RENDERED_SLOTS):
        extra = _extra(words)
        text = rng.choice(_OBSERVATIONS).format(
            place=place, lesions=words["morphology"], extra=extra, **words
        )
    else:
        text = place + _sparse(words)
    text = text.strip()
    return text[:1].upper() + text[1:]


def _place(context: Mapping[str, str]) -> str:
    site, age = context.get("site"), context.get("age")
    if site and age:
        return f"on the {site} at age {age}, "
    if site:
        return f"on the {site}, "
    return f"at age {age}, " if age else ""


def _sparse(words: Mapping[str, str]) -> str:
    """An observation when only some slots are known, as for photos with metadata."""
    adjectives = [words[slot] for slot in ("size", "colour") if slot in words]
    noun = words.get("morphology", "lesions" if words.get("count") in _SEVERAL else "lesion")
    text = f"{words.get('count', 'a')} {noun}"
    if adjectives:
        text += f", {' and '.join(adjectives)}"
    details = [
        f"{words[slot]} {name}"
        for slot, name in (("border", "borders"), ("surface", "surface"))
        if slot in words
    ]
    if details:
        text += f"{',' if adjectives else ''} with {' and '.join(details)}"
    text += "."
    places = [words[slot] for slot in ("arrangement", "distribution") if slot in words]
    if places:
        text += f" It looks {' and '.join(places)}."
    return f"{text} {_extra(words)}"


def _extra(words: Mapping[str, str]) -> str:
    return " ".join(form.format(words[slot]) for slot, form in _EXTRA.items() if slot in words)


def _reason(
    words: Mapping[str, str], diagnosis: str, rng: random.Random, cited: Collection[str] | None
) -> str:
    slots = [slot for slot in KEY_SLOTS if slot in words and (cited is None or slot in cited)]
    if len(slots) < 2:
        return rng.choice(_ALONE).format(diagnosis=diagnosis)
    first, second = (_SLOT_NOUN[slot].format(words[slot]) for slot in rng.sample(slots, 2))
    text = rng.choice(_REASONINGS).format(first=first, second=second, diagnosis=diagnosis)
    return text[:1].upper() + text[1:]
