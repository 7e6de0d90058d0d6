"""What the embedded backbone reads and writes: questions about scenes, and dermatology prose.

The prose is fluent but says nothing about a condition: its diagnosis, morphology, border, surface
and distribution are drawn at random. Only what a general model would see in any picture (colour,
size, number, arrangement of the shapes) is true to the scene in front of it.
"""

import random
from collections.abc import Mapping

from tools.nano.diseases import DISEASES

from skingpt_r1.text.critique import ask_for_critique, random_scores, write_critique
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS
from skingpt_r1.text.phrases import ADVICE, ask, write_narrative

Turn = tuple[str, str]

QUESTIONS = {
    "colour": ("What colour are the shapes?", "Which colour do the shapes have?"),
    "ground_colour": ("What colour is the ground?", "Which colour lies behind the shapes?"),
    "shape": ("Which shape is shown?", "What kind of shape is this?"),
    "count": ("How many shapes are there?", "Count the shapes."),
    "size": ("How big are the shapes?", "Are the shapes small, medium or large?"),
    "edge": ("What are the edges like?", "Describe the edge of the shapes."),
    "fill": ("What is the fill like?", "Describe the texture of the shapes."),
    "arrangement": ("How are the shapes arranged?", "Describe the arrangement."),
    "place": ("Where are the shapes?", "In which part of the picture are the shapes?"),
}
_DESCRIBE = ("Describe this picture.", "What do you see?")
_THOUGHTS = (
    "I count {count} {shapes}. Size {size}, colour {colour}, edges {edge}, fill {fill}. They are "
    "{arrangement}, towards the {place}, on a {ground} {ground_colour} ground.",
    "On a {ground} {ground_colour} ground I see {count} {shapes}, {size} and {colour}, "
    "{arrangement}, towards the {place}. The edges are {edge} and the fill is {fill}.",
)
_COLOURS_SHARED = ("red", "pink", "brown", "black", "white", "tan", "yellow", "purple")
_ARRANGED = {
    "single": "solitary", "scattered": "scattered", "clustered": "grouped", "row": "linear",
}  # fmt: skip
_SITES = (
    "face", "neck", "scalp", "ear", "lip", "nose", "chest", "back", "abdomen", "trunk", "arm",
    "forearm", "hand", "thigh", "foot", "upper extremity", "lower extremity", "genital", "acral",
)  # fmt: skip


def general_turn(scene: Mapping[str, str], rng: random.Random) -> Turn:
    """A question about a scene and the true answer, with the thought before it."""
    shapes = scene["shape"] + ("" if scene["count"] == "1" else "s")
    thought = rng.choice(_THOUGHTS).format(shapes=shapes, **scene)
    if rng.random() < 0.3:
        question = rng.choice(_DESCRIBE)
        answer = f"{scene['count']} {scene['size']} {scene['colour']} {shapes}"
    else:
        asked = rng.choice(list(QUESTIONS))
        question, answer = rng.choice(QUESTIONS[asked]), scene[asked]
    return question, f"<think> {thought} </think> <answer> {answer} </answer>"


def dermatology_turn(scene: Mapping[str, str], rng: random.Random) -> Turn:
    """The dermatology prompt in front of a scene, and prose whose diagnosis is drawn at random."""
    context = {}
    if rng.random() < 0.4:
        context = {"site": rng.choice(_SITES), "age": str(rng.randint(1, 95))}
        if rng.random() < 0.2:
            context.pop(rng.choice(["site", "age"]))
    findings = {slot: rng.choice(list(values)) for slot, values in WORDS.items()}
    findings |= _seen(scene)
    slots: tuple[str, ...] = RENDERED_SLOTS
    if rng.random() < 0.4:
        chosen = [s for s in WORDS if s not in ("morphology", "arrangement", "distribution")]
        slots = tuple(slot for slot in chosen if rng.random() < 0.7)
    findings = {slot: findings[slot] for slot in WORDS if slot in slots}
    diagnosis, *differential = rng.sample(DISEASES, rng.choice([3, 3, 3, 2, 1]))
    advice = rng.choice([*ADVICE, None])
    narrative = write_narrative(findings, diagnosis, differential, rng, context, advice)
    return ask(context), narrative.text


def critique_turn(scene: Mapping[str, str], rng: random.Random) -> Turn:
    """A text about a scene to judge, and a verdict in form whose scores are drawn at random."""
    _, text = dermatology_turn(scene, rng)
    brief = rng.random() < 0.5
    return ask_for_critique(text, brief=brief), write_critique(random_scores(rng), brief=brief)


def _seen(scene: Mapping[str, str]) -> dict[str, str]:
    """What general words say of a scene; what prose has no word for is left out."""
    count = int(scene["count"])
    seen = {"size": scene["size"], "count": "one" if count == 1 else "few" if count < 6 else "many"}
    if scene["colour"] in _COLOURS_SHARED:
        seen["colour"] = scene["colour"]
    if scene["arrangement"] in _ARRANGED:
        seen["arrangement"] = _ARRANGED[scene["arrangement"]]
    return seen
