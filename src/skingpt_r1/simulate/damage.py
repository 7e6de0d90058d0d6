"""Narratives damaged in known ways at known strengths, the scores that they deserve, and raters.

Every damage can be found in picture and text alone; words and numbers are in `damage.yaml` and our
own choice. A wrong diagnosis is graver when it does not look alike, when the right name is not
considered, and most when it takes a malignant disease for a harmless one or the reverse.

Simulated raters are formulas, not people: true scores with a lasting bias and noise. Their notes
on a narrative, in the form of `format_notes`, come from the rendered case and the known damage: an
evaluator that writes such notes first has its comparison on paper before a score depends on it.
For research, not for diagnosis.
"""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from skingpt_r1.case import Case
from skingpt_r1.recipes import package_yaml
from skingpt_r1.render.conditions import CONDITIONS, CONFUSABLE
from skingpt_r1.text.findings import WORDS
from skingpt_r1.text.narrative import Narrative, make_narrative
from skingpt_r1.text.rubric import DIMENSIONS, Protocol, Scores
from skingpt_r1.text.taxonomy import Closeness, canonical, closeness, is_malignant
from skingpt_r1.text.wording import (
    FITS,
    KEY_SLOTS,
    NOTHING,
    OTHER,
    fit_word,
    format_notes,
    urgency_of,
    write_narrative,
)

_DATA: Mapping[str, Any] = package_yaml("simulate/damage.yaml")
# What the rendered conditions look like at first sight.
LOOKS: Mapping[str, Sequence[str]] = _DATA["looks"]
_GRADES, _BREAKS, _ADVICE = (_DATA["grades"][n] for n in ("wrong name", "broken chain", "advice"))
_NEAREST = 2  # so many count as alike where nothing is known to be


def looks_of(name: str) -> str | None:
    """The row of `LOOKS` that a diagnosis is in; None for conditions that are not rendered."""
    known = canonical(name)
    return next((look for look, names in LOOKS.items() if known in names), None)


@cache
def wrong_names(diagnosis: str) -> tuple[str, ...]:
    """The rendered conditions that a diagnosis is not, nearest first.

    Confusable pairs and names of one family come first; then those whose usual findings overlap
    most. Names of the same thing, its parents and its kinds are left out.
    """
    near = {name for pair in CONFUSABLE if diagnosis in pair for name in pair}

    def distance(name: str) -> tuple[bool, float, str]:
        is_near = name in near or closeness(name, diagnosis) is Closeness.SAME_FAMILY
        return not is_near, -_overlap(name, diagnosis), name

    names = (condition.name for condition in CONDITIONS)
    wrong = [name for name in names if closeness(name, diagnosis) < Closeness.PARENT]
    return tuple(sorted(wrong, key=distance))


def misname(
    diagnosis: str, differential: tuple[str, ...], strength: float, rng: random.Random
) -> tuple[str, tuple[str, ...]]:
    """A wrong name, the graver the stronger, and a differential of the same length.

    Up to a strength of 0.45 the name looks alike and the right one heads the differential; up to
    0.6 it looks alike and the right one is not listed; up to 0.82 it does not look alike; above, it
    is malignant and the right one is not, or the reverse.
    """
    _, looks_alike, is_listed, errs_gravely = next(row for row in _GRADES if strength <= row[0])
    names = wrong_names(diagnosis)
    look = looks_of(diagnosis)
    alike = [name for name in names if looks_of(name) == look] or list(names[:_NEAREST])
    chosen = alike
    if not looks_alike:
        rest = [name for name in names if name not in alike]
        chosen = [name for name in rest if (_course(name) != _course(diagnosis)) == errs_gravely]
    named = rng.choice(chosen)
    right = (diagnosis,) if is_listed else ()
    listed = [name for name in (*differential, *names) if name not in (named, diagnosis)]
    return named, tuple(dict.fromkeys((*right, *listed)))[: len(differential)]


def _overlap(first: str, second: str) -> float:
    """How much of their usual findings two conditions share; 0 when one is not rendered."""
    tables = {condition.name: condition.weights for condition in CONDITIONS}
    if first not in tables or second not in tables:
        return 0.0
    one, two = tables[first], tables[second]
    return sum(
        min(weight, two[slot].get(value, 0.0))
        for slot, weights in one.items()
        for value, weight in weights.items()
    )


class Wordings(NamedTuple):
    """Wordings of one kind: for training an evaluator, and for testing it."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, *, held_out: bool) -> tuple[str, ...]:
        """The part for testing, or the part for training."""
        return self.held_out if held_out else self.training


WORDINGS = {
    name: Wordings(tuple(parts["training"]), tuple(parts["held_out"]))
    for name, parts in _DATA["wordings"].items()
}
DROPPED, INVENTED, WRONG = "finding dropped", "finding invented", "wrong diagnosis"
BROKEN, UNSAFE, VAGUE = "broken chain", "unsafe advice", "vague wording"
KINDS = ("undamaged", DROPPED, INVENTED, WRONG, BROKEN, UNSAFE, VAGUE)
SEVERAL = "several"

_OF_KIND = _DATA["kinds"].items()
# kind -> the dimension that it lowers most.
OWN_DIMENSION: Mapping[str, str] = {kind: of["lowers"] for kind, of in _OF_KIND}
# kind -> other dimensions that it touches, as a share of what its own one loses.
NEIGHBOURS: Mapping[str, Mapping[str, float]] = {kind: of["beside"] for kind, of in _OF_KIND}
UNDAMAGED_SCORE, WORST_SCORE = 4.8, 1.2

# Strengths that an evaluator is tested on; training has all other hundredths but their neighbours,
# so that what a grade that can be seen deserves is a spread of scores and never one number.
HELD_OUT_STRENGTHS: Mapping[str, Sequence[float]] = {kind: of["held_out"] for kind, of in _OF_KIND}
_WEAKEST, _APART = 0.2, 0.02
TRAINING_STRENGTHS: Mapping[str, Sequence[float]] = {
    kind: [
        strength
        for strength in (hundredth / 100 for hundredth in range(round(_WEAKEST * 100), 101))
        if all(abs(strength - other) > _APART for other in held_out)
    ]
    for kind, held_out in HELD_OUT_STRENGTHS.items()
}
TRAINING_COMBINATIONS, HELD_OUT_COMBINATIONS = (
    [tuple(kinds) for kinds in _DATA["combinations"][part]] for part in ("training", "held_out")
)
_MOST_INVENTED = 3
_SECOND_VALUE_SLOTS = ("border", "size")
_SENTENCE_END = re.compile(r"(?<=\.) ")


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a narrative."""

    # kind -> strength, above 0 and up to 1; empty when nothing is wrong
    parts: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for kind, strength in self.parts.items():
            if kind not in OWN_DIMENSION:
                raise ValueError(f"unknown damage {kind!r}; known: {', '.join(OWN_DIMENSION)}")
            if not 0 < strength <= 1:
                raise ValueError(f"strength {strength} of {kind!r} is not above 0 and up to 1")
        ordered = {kind: self.parts[kind] for kind in KINDS if kind in self.parts}
        object.__setattr__(self, "parts", ordered)

    @property
    def kind(self) -> str:
        """One of `KINDS`, or `several`."""
        if len(self.parts) > 1:
            return SEVERAL
        return next(iter(self.parts), KINDS[0])


def draw_damage(rng: random.Random, *, held_out: bool) -> Damage:
    """A damage; undamaged, each kind and several at once are equally likely.

    Training draws wrong diagnoses three times and several at once four times as often as another
    kind: whoever hardly meets a wrong name learns to believe it, and damages that stand beside each
    other hide each other's signs. Training never has the strengths and combinations of `held_out`.
    """
    kinds_drawn: tuple[str, ...] = (*KINDS, SEVERAL)
    if not held_out:
        kinds_drawn += (WRONG,) * 2 + (SEVERAL,) * 3
    kind = rng.choice(kinds_drawn)
    strengths = HELD_OUT_STRENGTHS if held_out else TRAINING_STRENGTHS
    kinds: tuple[str, ...] = () if kind == KINDS[0] else (kind,)
    if kind == SEVERAL:
        kinds = rng.choice(HELD_OUT_COMBINATIONS if held_out else TRAINING_COMBINATIONS)
    return Damage({part: rng.choice(strengths[part]) for part in kinds})


def num_invented(strength: float) -> int:
    """How many made-up statements a strength stands for."""
    return max(1, round(strength * _MOST_INVENTED))


def gravities(strength: float) -> Sequence[str]:
    """The gravities of the harmful advice that a strength stands for."""
    return next(row[1] for row in _ADVICE if strength <= row[0])


def true_scores(damage: Damage) -> tuple[float, ...]:
    """The scores that a damaged narrative deserves, 0-5 on one decimal, by our own choice.

    The own dimension of a kind falls in proportion to the strength, its neighbours by a fifth of
    that or less; of several parts the lowest score counts in each dimension.
    """
    losses = dict.fromkeys(DIMENSIONS, 0.0)
    for kind, strength in damage.parts.items():
        loss = (UNDAMAGED_SCORE - WORST_SCORE) * strength
        for dimension, share in {OWN_DIMENSION[kind]: 1.0, **NEIGHBOURS[kind]}.items():
            losses[dimension] = max(losses[dimension], loss * share)
    return tuple(round(UNDAMAGED_SCORE - losses[dimension], 1) for dimension in DIMENSIONS)


def write_damaged(
    findings: Mapping[str, str],
    diagnosis: str,
    differential: Sequence[str],
    damage: Damage,
    rng: random.Random,
    context: Mapping[str, str] | None = None,
    *,
    held_out: bool = False,
) -> Narrative:
    """A narrative of a case (true findings and right name) with the damage in it, canonical.

    `held_out` invents, advises and blurs in the wordings for testing.

    Raises:
        ValueError: a finding is to be dropped or blurred and there is none left.
    """
    parts = damage.parts
    named, others = diagnosis, tuple(differential)
    if WRONG in parts:
        named, others = misname(diagnosis, others, parts[WRONG], rng)
    kept = _drop(findings, parts[DROPPED], rng) if DROPPED in parts else dict(findings)
    advice = None if UNSAFE in parts else urgency_of(named)
    narrative = write_narrative(kept, named, others, rng, context, advice)
    seen, thought = narrative.observation, narrative.reasoning
    if BROKEN in parts:
        cited, end = _break(findings, kept, (diagnosis, named), parts[BROKEN], rng)
        thought = write_narrative(cited, end, (), rng, None, advice).reasoning
    if VAGUE in parts:
        slots = _slots_of_words(kept, {diagnosis, named})
        seen, thought = _blur((seen, thought), slots, parts[VAGUE], rng, held_out)
    if INVENTED in parts:
        seen = " ".join((seen, *_invent(kept, parts[INVENTED], rng, held_out)))
    if UNSAFE in parts:
        thought = " ".join((thought, *_advise(parts[UNSAFE], rng, held_out)))
    return make_narrative(seen, thought, named, others)


def inject(text: str, rng: random.Random, held_out: bool) -> str:
    """The text with a sentence for its judge after one of its own; true scores stay as they are.

    A canonical narrative stays canonical, with the same diagnosis.
    """
    said = rng.choice(WORDINGS["injections"].of(held_out=held_out))
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    if not ends:
        return f"{text} {said}"
    place = rng.choice(ends)
    return f"{text[:place]}{said} {text[place:]}"


def _drop(findings: Mapping[str, str], strength: float, rng: random.Random) -> dict[str, str]:
    if not findings:
        raise ValueError("the case has no finding to drop; give findings or another damage")
    count = max(1, round(strength * len(findings)))
    dropped = rng.sample(list(findings), count)
    return {slot: value for slot, value in findings.items() if slot not in dropped}


def _break(
    findings: Mapping[str, str],
    kept: Mapping[str, str],
    names: tuple[str, str],
    strength: float,
    rng: random.Random,
) -> tuple[dict[str, str], str]:
    """What a broken reasoning cites, and the name that it ends with.

    Findings of the observation are contradicted before those that it does not mention.
    """
    _, num_contradicted, ends_elsewhere = next(row for row in _BREAKS if strength <= row[0])
    named = [slot for slot in KEY_SLOTS if slot in kept]
    known = [slot for slot in KEY_SLOTS if slot in findings and slot not in kept]
    rest = [slot for slot in KEY_SLOTS if slot not in findings]
    order = [slot for group in (named, known, rest) for slot in rng.sample(group, len(group))]
    cited = {}
    for place, slot in enumerate(order[:2]):
        truth = findings.get(slot)
        is_true = truth is not None and place >= num_contradicted
        others = [value for value in WORDS[slot] if value != truth]
        cited[slot] = truth if truth is not None and is_true else rng.choice(others)
    if "count" in kept:
        cited["count"] = kept["count"]  # not cited; the nouns agree with it
    elsewhere = [name for name in wrong_names(names[0]) if name not in names]
    return cited, rng.choice(elsewhere) if ends_elsewhere else names[1]


def _slots_of_words(findings: Mapping[str, str], names: set[str]) -> dict[str, str]:
    """The words for the findings -> their slots, and names that must stay -> nothing."""
    if not findings:
        raise ValueError("no finding is left to blur; drop fewer findings or give more")
    words = {word: slot for slot, value in findings.items() for word in WORDS[slot][value]}
    return words | {name.lower(): "" for name in names | {item.name for item in CONDITIONS}}


def _blur(
    texts: tuple[str, str],
    slots: Mapping[str, str],
    strength: float,
    rng: random.Random,
    held_out: bool,
) -> tuple[str, str]:
    """Both texts with a share of the words for findings replaced by vague ones."""
    words = "|".join(sorted(map(re.escape, slots), key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)
    total = sum(bool(slots[word.lower()]) for text in texts for word in pattern.findall(text))
    chosen = set(rng.sample(range(total), max(1, round(strength * total))))
    place = iter(range(total))

    def replace(match: re.Match[str]) -> str:
        slot = slots[match[0].lower()]
        if not slot or next(place) not in chosen:
            return match[0]
        vague = _vague(slot, match[0].lower(), rng, held_out)
        return vague.capitalize() if match[0][0].isupper() else vague

    return pattern.sub(replace, texts[0]), pattern.sub(replace, texts[1])


def _vague(slot: str, word: str, rng: random.Random, held_out: bool) -> str:
    name = {"count": "vague count", "morphology": "vague noun"}.get(slot, "vague")
    if slot == "morphology" and any(word == names[1] for names in WORDS[slot].values()):
        name = "vague nouns"
    return rng.choice(WORDINGS[name].of(held_out=held_out))


def _invent(
    findings: Mapping[str, str], strength: float, rng: random.Random, held_out: bool
) -> list[str]:
    sentences = list(WORDINGS["invented"].of(held_out=held_out))
    for slot in _SECOND_VALUE_SLOTS:
        if slot in findings:
            value = rng.choice([other for other in WORDS[slot] if other != findings[slot]])
            form = rng.choice(WORDINGS["second value"].of(held_out=held_out))
            sentences.append(form.format(slot=slot, word=WORDS[slot][value][0]))
    return rng.sample(sentences, num_invented(strength))


def _advise(strength: float, rng: random.Random, held_out: bool) -> list[str]:
    advice: list[str] = []
    for gravity in gravities(strength):
        choices = WORDINGS[gravity].of(held_out=held_out)
        advice.append(rng.choice([text for text in choices if text not in advice]))
    return advice


LARGEST_BIAS = 0.25
NOISE = (0.15, 0.25)


@dataclass(frozen=True, slots=True)
class Rater:
    """One simulated rater, `simulated-1` and so on."""

    name: str
    bias: tuple[float, ...]  # what it adds to every score, one value per dimension
    noise: float  # standard deviation of what it adds by chance


def make_raters(count: int, seed: int) -> tuple[Rater, ...]:
    """Simulated raters whose biases cancel in every dimension.

    Biases are drawn evenly within `LARGEST_BIAS` and then centred, so that a single rater has none
    and the mean rater has none. The noise is drawn evenly within `NOISE`.
    """
    if count < 1:
        raise ValueError(f"{count} raters; at least one is needed")
    rng = random.Random(f"raters:{seed}")
    drawn = [[rng.uniform(-LARGEST_BIAS, LARGEST_BIAS) for _ in DIMENSIONS] for _ in range(count)]
    centre = [math.fsum(column) / count for column in zip(*drawn, strict=True)]
    return tuple(
        Rater(
            f"simulated-{number}",
            tuple(value - middle for value, middle in zip(biases, centre, strict=True)),
            rng.uniform(*NOISE),
        )
        for number, biases in enumerate(drawn, start=1)
    )


def rate(rater: Rater, true: Sequence[float], rng: random.Random) -> Scores:
    """What a rater gives for six true scores: plus bias and noise, within 0-5, on one decimal."""
    scale = Protocol.DECIMAL_0_5
    given = (
        score + bias + rng.gauss(0.0, rater.noise)
        for score, bias in zip(true, rater.bias, strict=True)
    )
    return Scores(tuple(round(min(max(value, scale.low), scale.high), 1) for value in given))


CAREFUL = "careful"
_ADVICE_WORDS = {"mild": "thin", "serious": "harm", "grave": "harm harm"}
_NAMES = sorted((condition.name for condition in CONDITIONS), key=len, reverse=True)


def write_notes(narrative: Narrative, case: Case, damage: Damage) -> str:
    """The notes on a narrative that `damage.write_damaged` wrote about a case."""
    assert case.label is not None
    advice = CAREFUL
    if UNSAFE in damage.parts:
        advice = " ".join(_ADVICE_WORDS[gravity] for gravity in gravities(damage.parts[UNSAFE]))
    return format_notes(
        narrative,
        reasoned=_named(narrative.reasoning),
        expected=case.findings,
        made_up=num_invented(damage.parts[INVENTED]) if INVENTED in damage.parts else 0,
        picture=_picture(narrative, case.label),
        advice=advice,
    )


def _picture(narrative: Narrative, label: str) -> str:
    """Whether the named diagnosis fits; if not, how far off it is."""
    named = narrative.diagnosis
    if named == label:
        return f"{label} {FITS}"
    compared = [
        " ".join((one, two, fit_word(one, two)))
        for one, two in (
            (looks_of(named) or NOTHING, looks_of(label) or NOTHING),
            (_course(named), _course(label)),
        )
    ]
    listed = FITS if label in narrative.differential else OTHER
    return "; ".join((f"{label} {OTHER}", *compared, f"listed {listed}"))


def _course(name: str) -> str:
    return "malignant" if is_malignant(name) else "benign"


def _named(text: str) -> str:
    """The rendered condition that a reasoning names."""
    lowered = text.lower()
    return next((name for name in _NAMES if name in lowered), NOTHING)
