"""Turns that teach the embedded backbone to read: to look things up in a text, and to compare.

A general model can say what a text says. Nothing here is true of a skin condition: every narrative
names findings and a diagnosis at random, and what does not belong is a sentence about shapes.
"""

import random
from collections.abc import Mapping

from tools.nano.diseases import DISEASES
from tools.nano.scenes import ATTRIBUTES

from skingpt_r1.text.critique import NOTHING, compare, fence, format_notes
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS
from skingpt_r1.text.narrative import make_narrative
from skingpt_r1.text.phrases import ADVICE, KEY_SLOTS, write_narrative

Turn = tuple[str, str]

# What a list about a scene may tell.
_SCENE_WORDS = ("colour", "shape", "count", "size", "edge", "fill", "arrangement", "place")
_STRAY = (
    "The edges are {edge}.", "The fill is {fill}.", "I count {count} {shape} shapes.",
    "They lie towards the {place}.", "On a {ground} ground I see a {shape}.",
)  # fmt: skip
_MOST_STRAY = 3


def reading_turn(scene: Mapping[str, str], rng: random.Random) -> Turn:
    """One turn of any kind: a look-up, a comparison inside a text, or of a list with the scene."""
    kind = rng.random()
    if kind < 0.15:
        return lookup_turn(rng)
    if kind < 0.35:
        return pairs_turn(rng)
    return compare_turn(rng) if kind < 0.85 else scene_turn(scene, rng)


def lookup_turn(rng: random.Random) -> Turn:
    """A narrative, and what it says of some things, in the order asked."""
    findings = _some_findings(rng, 0.85)
    diagnosis, *others = rng.sample(DISEASES, 3)
    text = write_narrative(findings, diagnosis, others, rng, {}, _advice(rng)).text
    told = {slot: findings.get(slot, NOTHING) for slot in RENDERED_SLOTS} | {"diagnosis": diagnosis}
    asked = rng.sample(sorted(told), rng.randint(2, 5))
    question = f"What does the text say? {', '.join(asked)}. {fence(text)}"
    return question, "; ".join(f"{name} {told[name]}" for name in asked)


def pairs_turn(rng: random.Random) -> Turn:
    """Pairs of names or of findings; for each whether the second is the first."""
    kinds = [DISEASES, *(tuple(values) for values in WORDS.values())]
    pairs = []
    for _ in range(rng.randint(4, 10)):
        one, other = rng.sample(rng.choice(kinds), 2)
        pairs.append((one, one if rng.random() < 0.5 else other))
    question = "Compare the pairs. " + fence(", ".join(f"{one} and {two}" for one, two in pairs))
    return question, "; ".join(compare(one, two) for one, two in pairs)


def compare_turn(rng: random.Random) -> Turn:
    """A narrative whose parts may disagree, and notes on where they do.

    They are those of `format_notes`, without what only a picture or a doctor can tell.
    """
    findings = _some_findings(rng, rng.choice([1.0, 1.0, 0.8, 0.4]))
    named, other, *others = rng.sample(DISEASES, 4)
    ends = named if rng.random() < 0.6 else other
    cited = {slot: _cite(findings, slot, rng) for slot in rng.sample(_CITABLE, 2)}
    advice = _advice(rng)
    seen = write_narrative(findings, named, others, rng, {}, advice)
    if "count" in findings:
        cited["count"] = findings["count"]  # never cited; the nouns agree with it
    thought = write_narrative(cited, ends, (), rng, {}, advice).reasoning
    stray = rng.choice([0, 0, *range(_MOST_STRAY + 1)])
    observation = " ".join((seen.observation, *_stray_sentences(stray, rng)))
    told = make_narrative(observation, thought, named, others)
    notes = format_notes(told, reasoned=ends, expected=RENDERED_SLOTS, made_up=stray)
    return f"Compare the parts of the text. {fence(told.text)}", notes


def scene_turn(scene: Mapping[str, str], rng: random.Random) -> Turn:
    """A list about the scene with wrong entries; for each what is said and what is seen."""
    names = rng.sample(_SCENE_WORDS, rng.randint(2, 4))
    said = {
        name: rng.choice(ATTRIBUTES[name]) if rng.random() < 0.5 else scene[name] for name in names
    }
    text = ", ".join(f"{name} {value}" for name, value in said.items())
    question = f"Compare the text with the picture. {fence(text)}"
    return question, "; ".join(compare(said[name], scene[name]) for name in names)


_CITABLE = [slot for slot in KEY_SLOTS if slot in RENDERED_SLOTS]


def _some_findings(rng: random.Random, share: float) -> dict[str, str]:
    return {s: rng.choice(list(WORDS[s])) for s in RENDERED_SLOTS if rng.random() < share}


def _cite(findings: Mapping[str, str], slot: str, rng: random.Random) -> str:
    if slot in findings and rng.random() < 0.6:
        return findings[slot]
    return rng.choice(list(WORDS[slot]))


def _advice(rng: random.Random) -> str | None:
    return rng.choice([*ADVICE, None])


def _stray_sentences(count: int, rng: random.Random) -> list[str]:
    words = {name: rng.choice(values) for name, values in ATTRIBUTES.items()}
    return [form.format(**words) for form in rng.sample(_STRAY, count)]
