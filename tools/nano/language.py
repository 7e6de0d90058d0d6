"""Second and third stage: the language model learns to write, and then to read.

First it talks about scenes and writes dermatology prose, then it compares texts. The schooled tower
stands still and its tokens are computed once; merger and language model learn.

What the embedded backbone reads and writes: questions about scenes, and dermatology prose.

The prose is fluent but says nothing about a condition: its diagnosis, morphology, border, surface
and distribution are drawn at random. Only what a general model would see in any picture (colour,
size, number, arrangement of the shapes) is true to the scene in front of it.

Turns that teach the embedded backbone to read: to look things up in a text, and to compare.

A general model can say what a text says. Nothing here is true of a skin condition: every narrative
names findings and a diagnosis at random, and what does not belong is a sentence about shapes.

Diagnosis names that the embedded backbone can write; it knows nothing else about them.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tools.nano.architecture import dense_tokens
from tools.nano.scenes import ATTRIBUTES
from tools.nano.schooling import schooling_optimizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS
from skingpt_r1.text.narrative import make_narrative
from skingpt_r1.text.tokens import fence
from skingpt_r1.text.wording import (
    ADVICE,
    KEY_SLOTS,
    NOTHING,
    ask,
    ask_for_critique,
    compare,
    format_notes,
    random_scores,
    write_critique,
    write_narrative,
)

DISEASES = (
    "psoriasis", "nummular eczema", "tinea corporis", "granuloma annulare", "vitiligo",
    "pityriasis versicolor", "melanocytic nevus", "melanoma", "seborrheic keratosis",
    "basal cell carcinoma", "actinic keratosis", "molluscum contagiosum", "acne", "urticaria",
    "herpes zoster", "lichen planus", "squamous cell carcinoma", "dermatofibroma",
    "benign keratosis", "vascular lesion", "rosacea", "atopic dermatitis", "contact dermatitis",
    "seborrheic dermatitis", "stasis dermatitis", "bullous pemphigoid", "pemphigus vulgaris",
    "dermatitis herpetiformis", "cellulitis", "impetigo", "folliculitis", "drug eruption",
    "viral exanthem", "alopecia areata", "genital warts", "herpes simplex", "melasma",
    "lupus erythematosus", "onychomycosis", "scabies", "candidiasis", "hemangioma", "vasculitis",
    "wart", "keloid", "pityriasis rosea", "lichen simplex", "hidradenitis suppurativa",
    "scleroderma", "sarcoidosis", "mycosis fungoides", "prurigo nodularis",
    "ichthyosis", "erythema multiforme", "erythema nodosum", "epidermal cyst",
    "lipoma", "neurofibroma", "syringoma", "porokeratosis",
    "pyogenic granuloma", "kaposi sarcoma", "keratosis pilaris", "perioral dermatitis",
    "xanthelasma", "leprosy", "lyme disease", "cutaneous larva migrans", "necrobiosis lipoidica",
    "acanthosis nigricans", "lentigo", "bowen disease", "keratoacanthoma", "merkel cell carcinoma",
)  # fmt: skip


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


log = logging.getLogger(__name__)
WriteTurn = Callable[[Mapping[str, str], random.Random], Turn]
SHARES: Mapping[WriteTurn, float] = {
    general_turn: 0.52,
    dermatology_turn: 0.42,
    critique_turn: 0.06,
}
# Of the third stage; what was learned before goes on, so that it is not forgotten.
READING_SHARES: Mapping[WriteTurn, float] = {
    reading_turn: 0.66, general_turn: 0.16, dermatology_turn: 0.15, critique_turn: 0.03,
}  # fmt: skip
# Turns with more tokens than this, which are verdicts, are padded apart from the others.
LONG = 240


def attributes_of(row: Sequence[int]) -> dict[str, str]:
    """The attribute names of a label row of the pool."""
    return {name: v[i] for (name, v), i in zip(ATTRIBUTES.items(), row, strict=True)}


def draw_turn(
    scene: dict[str, str], rng: random.Random, shares: Mapping[WriteTurn, float] = SHARES
) -> Turn:
    """One training turn of the kinds that a stage has."""
    (write,) = rng.choices(list(shares), list(shares.values()))
    return write(scene, rng)


@torch.no_grad()
def store_tokens(visual: nn.Module, pictures: NDArray[np.uint8], count: int) -> Tensor:
    """Tower tokens before the merger of the first `count` scenes, float16."""
    blocks = []
    for start in range(0, count, 100):
        images = torch.from_numpy(np.array(pictures[start : min(start + 100, count)]))
        blocks.append(dense_tokens(visual, images).half())
    return torch.cat(blocks)


def encode_turn(
    tokenizer: PreTrainedTokenizerFast, turn: Turn, image_tokens: int
) -> tuple[list[int], int]:
    """Token ids of a whole turn, and how many of them are the prompt."""
    question, answer = turn
    content = [{"type": "image"}, {"type": "text", "text": question}]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    ).replace("<|image_pad|>", "<|image_pad|>" * image_tokens)
    start: list[int] = tokenizer(prompt)["input_ids"]
    return start + tokenizer(answer + "<|im_end|>")["input_ids"], len(start)


def school_language(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    tokens: Tensor,
    labels: Tensor,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    muon_rate: float,
    seed: int,
    shares: Mapping[WriteTurn, float] = SHARES,
) -> float:
    """Train merger, language model and output layer on stored tower tokens.

    Returns:
        Mean loss per answer token over the last hundred steps.
    """
    model.model.visual.requires_grad_(False)
    model.model.visual.merger.requires_grad_(True)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizers, schedules = schooling_optimizers(
        model, (), learning_rate=learning_rate, muon_rate=muon_rate, steps=steps
    )
    rng, scenes = random.Random(seed), [attributes_of(row) for row in labels.tolist()]
    losses: list[float] = []
    for step in range(steps):
        rows = rng.sample(range(len(tokens)), batch)
        turns = [draw_turn(scenes[row], rng, shares) for row in rows]
        loss = _loss(model, tokenizer, tokens[rows], turns)
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        for schedule in schedules:
            schedule.step()
        losses.append(loss.item())
        if step % 50 == 0:
            log.info("language step %d of %d: loss %.3f", step, steps, np.mean(losses[-50:]))
    return float(np.mean(losses[-100:]))


def _loss(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    tokens: Tensor,
    turns: list[Turn],
) -> Tensor:
    """Mean cross-entropy over the answer tokens of all turns."""
    encoded = [encode_turn(tokenizer, turn, tokens.shape[1] // 4) for turn in turns]
    total, count = tokens.new_zeros((), dtype=torch.float32), 0
    for is_long in (False, True):
        rows = [row for row, (ids, _) in enumerate(encoded) if (len(ids) > LONG) is is_long]
        if rows:
            part = [encoded[row] for row in rows]
            total = total + _total_loss(model, tokens[rows].float(), part)
            count += sum(len(ids) - start for ids, start in part)
    return total / count


def _total_loss(
    model: Qwen2_5_VLForConditionalGeneration, tokens: Tensor, encoded: list[tuple[list[int], int]]
) -> Tensor:
    width = max(len(ids) for ids, _ in encoded)
    ids = torch.full((len(encoded), width), model.config.text_config.pad_token_id)
    targets = torch.full_like(ids, -100)
    for row, (turn_ids, start) in enumerate(encoded):
        ids[row, : len(turn_ids)] = torch.tensor(turn_ids)
        targets[row, start : len(turn_ids)] = ids[row, start : len(turn_ids)]
    hidden = _hidden(model, tokens, ids)
    asked = targets[:, 1:] != -100
    logits = model.lm_head(hidden[:, :-1][asked])
    return nn.functional.cross_entropy(logits, targets[:, 1:][asked], reduction="sum")


def _hidden(model: Qwen2_5_VLForConditionalGeneration, tokens: Tensor, ids: Tensor) -> Tensor:
    merged = model.model.visual.merger(tokens.flatten(0, 1))
    embeds = model.model.get_input_embeddings()(ids)
    image = ids == model.config.image_token_id
    embeds = embeds.masked_scatter(image[..., None], merged)
    side = int(tokens.shape[1] ** 0.5)
    grids = torch.tensor([[1, side, side]] * len(ids))
    positions, _ = model.model.get_rope_index(
        ids, mm_token_type_ids=image.int(), image_grid_thw=grids
    )
    # Padding lies on the right, so the causal mask alone keeps it from being read.
    output = model.model.language_model(inputs_embeds=embeds, position_ids=positions)
    hidden: Tensor = output.last_hidden_state
    return hidden
