"""How known facts are put into words: questions to models, narratives, and critiques of them.

A narrative says only what it is given; a judged text is material: it is fenced, and nothing in it
can close the fence or end the turn. The wording varies with the random generator alone, and the
words for a finding come from `findings.WORDS`, so that `read_findings` reads each back.
Source of the critique's six titled lines: the prompt of the DermEval release (score,
justification, one improvement); the words, in `words.yaml`, are ours.
"""

import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS, read_findings
from skingpt_r1.text.narrative import Narrative, make_narrative
from skingpt_r1.text.rubric import DIMENSIONS, Scores, format_scores
from skingpt_r1.text.taxonomy import is_malignant
from skingpt_r1.text.tokens import VOCABULARY, fence

INSTRUCTION: str = VOCABULARY["instruction"]
CONTEXT_KEYS = ("site", "age")  # what may be told beside the picture
# urgency -> what is advised.
ADVICE: Mapping[str, Sequence[str]] = VOCABULARY["advice"]
# The findings that a reasoning may cite.
KEY_SLOTS = ("surface", "colour", "border", "morphology", "symmetry", "elevation", "size")
_SEVERAL = {word for value in ("few", "many") for word in WORDS["count"][value]}


def check_context(context: Mapping[str, str]) -> list[str]:
    """Problems of a context, each in one sentence: unknown keys, and an age that nobody has."""
    unknown = [key for key in context if key not in CONTEXT_KEYS]
    problems = [f"unknown context {key!r}; known: {', '.join(CONTEXT_KEYS)}" for key in unknown]
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
        findings: slot -> value of `findings.WORDS`; slots may be missing.
        diagnosis: the name to conclude with.
        differential: other names to list, most likely first; may be empty.
        rng: chooses among wordings; the same state gives the same text.
        context: site and age, as told in the prompt; repeated in the observation.
        advice: an urgency of `ADVICE`, put into words at the end of the reasoning.
        cited: slots that the reasoning may cite; None for all.
    """
    words = _words(findings, rng)
    observation = _observe(words, rng, context or {})
    reasoning = _reason(words, diagnosis, rng, advice, cited)
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
    return _reason(_words(findings, rng), diagnosis, rng, advice, cited)


def urgency_of(diagnosis: str) -> str:
    """The urgency of `ADVICE` for a diagnosis: early for malignant tumours and unknown names."""
    return "routine" if is_malignant(diagnosis) is False else "early"


def _words(findings: Mapping[str, str], rng: random.Random) -> dict[str, str]:
    """Slot -> a word for its value; the preferred one three times as often as each other."""
    words = {}
    is_plural = findings.get("count") in ("few", "many")
    for slot, value in findings.items():
        names = WORDS[slot][value]
        if slot == "morphology":
            words[slot] = names[1 if is_plural else 0]
        else:
            words[slot] = rng.choices(names, weights=[3.0] + [1.0] * (len(names) - 1))[0]
    return words


def _observe(words: Mapping[str, str], rng: random.Random, context: Mapping[str, str]) -> str:
    site, age = context.get("site"), context.get("age")
    place = " ".join((f"on the {site}" if site else "", f"at age {age}" if age else "")).strip()
    place = f"{place}, " if place else ""
    if all(slot in words for slot in RENDERED_SLOTS):
        form: str = rng.choice(VOCABULARY["observations"])
        text = form.format(place=place, lesions=words["morphology"], extra=_extra(words), **words)
    else:
        text = place + _sparse(words)
    text = text.strip()
    return text[:1].upper() + text[1:]


def _sparse(words: Mapping[str, str]) -> str:
    """An observation when only some slots are known, as for photos with metadata."""
    adjectives = [words[slot] for slot in ("size", "colour") if slot in words]
    noun = words.get("morphology", "lesions" if words.get("count") in _SEVERAL else "lesion")
    text = f"{words.get('count', 'a')} {noun}"
    if adjectives:
        text += f", {' and '.join(adjectives)}"
    nouns = {"border": "borders", "surface": "surface"}
    details = [f"{words[slot]} {name}" for slot, name in nouns.items() if slot in words]
    if details:
        text += f"{',' if adjectives else ''} with {' and '.join(details)}"
    text += "."
    places = [words[slot] for slot in ("arrangement", "distribution") if slot in words]
    if places:
        text += f" It looks {' and '.join(places)}."
    return f"{text} {_extra(words)}"


def _extra(words: Mapping[str, str]) -> str:
    forms = VOCABULARY["extras"]
    return " ".join(form.format(words[slot]) for slot, form in forms.items() if slot in words)


def _reason(
    words: Mapping[str, str],
    diagnosis: str,
    rng: random.Random,
    advice: str | None,
    cited: Collection[str] | None,
) -> str:
    slots = [slot for slot in KEY_SLOTS if slot in words and (cited is None or slot in cited)]
    if len(slots) < 2:
        form, told = rng.choice(VOCABULARY["reasonings_without_findings"]), {}
    else:
        chosen = rng.sample(slots, 2)
        names = (VOCABULARY["cited_as"][slot].format(words[slot]) for slot in chosen)
        told = dict(zip(("first", "second"), names, strict=True))
        form = rng.choice(VOCABULARY["reasonings"])
    text: str = form.format(diagnosis=diagnosis, **told)
    text = text[:1].upper() + text[1:]
    return text if advice is None else f"{text} {rng.choice(ADVICE[advice])}"


_HIGH_FROM, _MIDDLING_FROM = 4.0, 2.5
NOTHING = "nothing"
FITS, OTHER = "fits", "other"  # what notes say of two things that they compare
_MOST_CITED = 2


def ask_for_critique(text: str, *, brief: bool = False) -> str:
    """The judge's instruction with the judged text, which is never trusted, in a fence.

    `brief` asks for scores alone, which is several times faster to write.
    """
    wanted = VOCABULARY["judge_brief" if brief else "judge_full"]
    return f"{VOCABULARY['judge']} {wanted}\n{fence(text)}"


def write_critique(scores: Scores, *, brief: bool = False, notes: str = "") -> str:
    """The canonical verdict; remarks that the scores do not carry are filled in.

    Args:
        scores: of one rater, or the mean of several.
        brief: scores alone.
        notes: one line in front of the verdict: what was checked before scoring.
    """
    given = {n: scores.rationales.get(n) or _remark(n, scores[n]) for n in DIMENSIONS}
    rationales = {} if brief else given
    verdict = format_scores(Scores(scores.values, scores.protocol, scores.overall, rationales))
    return f"{notes}\n{verdict}" if notes else verdict


def _remark(dimension: str, score: float) -> str:
    place = 0 if score >= _HIGH_FROM else 1 if score >= _MIDDLING_FROM else 2
    said, better = VOCABULARY["remarks"][dimension][place]
    return f"{said} Improvement: {better}"


def format_notes(
    narrative: Narrative,
    *,
    reasoned: str,
    expected: Iterable[str],
    made_up: int,
    picture: str | None = None,
    advice: str | None = None,
) -> str:
    """What a careful reader notes before scoring: the evidence in one line, in a form of ours.

    Two things that are compared are followed by `FITS` or `OTHER`, so that a score need not.

    Args:
        narrative: that is read.
        reasoned: the name that its reasoning ends with.
        expected: slots that a full observation tells.
        made_up: number of statements that do not belong.
        picture: the diagnosis that fits, and whether it is the named one; left out when None.
        advice: how careful it is, in a word or two; left out when None.
    """
    observed = read_findings(narrative.observation)
    cited = [pair for pair in read_findings(narrative.reasoning).items() if pair[0] in KEY_SLOTS]
    pairs = [compare(value, observed.get(slot, NOTHING)) for slot, value in cited[:_MOST_CITED]]
    parts = [
        f"diagnosis {narrative.diagnosis}",
        f"reasoning {reasoned} {fit_word(reasoned, narrative.diagnosis)}",
        *pairs,
        *([] if picture is None else [f"picture {picture}"]),
        f"missing {sum(slot not in observed for slot in expected)}",
        f"made up {made_up}",
        *([] if advice is None else [f"advice {advice}"]),
    ]
    return "; ".join(parts) + "."


def compare(said: str, observed: str) -> str:
    """What is said beside what is observed, and whether they are the same."""
    return f"{said} observed {observed} {fit_word(said, observed)}"


def fit_word(one: str, two: str) -> str:
    """The word for two things that are the same, or are not."""
    return FITS if one == two else OTHER


def random_scores(rng: random.Random) -> Scores:
    """Six scores with one decimal that mean nothing."""
    return Scores(tuple(rng.randint(0, 50) / 10 for _ in DIMENSIONS))
