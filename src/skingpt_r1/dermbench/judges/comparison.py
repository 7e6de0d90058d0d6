"""What a candidate narrative and its reference have in common, part by part, each as a share.

For free texts by many hands: stated signs, content words, names in the differential, advice, and
breaks in the chain of reasoning. Each text is read alone, so that a habit that the reference
shares costs nothing; sentences that speak to the judge count for nothing. `rules.py` makes scores
of it. For research, not for diagnosis: the patterns are here to find unsafe advice.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from skingpt_r1.dermcot.write import contradictions
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.findings import Sign, Stated, read_signs
from skingpt_r1.text.giveaways import named_in
from skingpt_r1.text.narrative import Narrative, parse_narrative
from skingpt_r1.text.rubric import DIMENSIONS
from skingpt_r1.text.taxonomy import Closeness, canonical, closeness
from skingpt_r1.text.tokens import patterns, words_of


def _ends_elsewhere(reasoning: str, diagnosis: str) -> bool:
    try:
        end = parse_narrative(reasoning).diagnosis
    except NarrativeError:
        return False
    return closeness(end, diagnosis) < Closeness.PARENT and named_in(end, diagnosis) is None


Gravity = Literal["mild", "serious", "grave"]

_RE = patterns("advice", dimensions="|".join(DIMENSIONS).lower())
_UNSAFE: tuple[Gravity, ...] = ("grave", "serious", "mild")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(\n+)")  # line breaks stay between the sentences


class Advice(NamedTuple):
    """What a text advises."""

    is_given: bool  # it sends the person to somebody, or asks for a check
    unsafe: tuple[Gravity, ...] = ()  # gravity of each sentence that would do harm, in order

    @property
    def kind(self) -> Literal["unsafe", "safe", "absent"]:
        """The advice as a whole; a harmful sentence is not undone by a careful one."""
        return "unsafe" if self.unsafe else "safe" if self.is_given else "absent"


def read_advice(text: str) -> Advice:
    """The advice of a text, sentence by sentence; a warning against harm is no harm."""
    given = False
    unsafe: list[Gravity] = []
    for sentence in _sentences(text):
        gravity = _gravity(sentence)
        if gravity is not None:
            unsafe.append(gravity)
        elif _RE["safe"].search(sentence):
            given = True
    return Advice(given, tuple(unsafe))


def _sentences(text: str) -> list[str]:
    return [piece for piece in _SENTENCE.split(text) if piece]


def _gravity(sentence: str) -> Gravity | None:
    gravity = next((name for name in _UNSAFE if _RE[name].search(sentence)), None)
    if gravity in ("grave", "serious"):
        warned = _RE["warning"].search(sentence)
        if warned and not _RE["command"].search(sentence):
            return None
    return gravity


def without_appeals(text: str) -> str:
    """The text without the sentences that speak to a judge, or of scores."""
    if not _RE["to_the_judge"].search(text):
        return text
    return " ".join(piece for piece in _sentences(text) if not _RE["to_the_judge"].search(piece))


# What a name is worth that is so close to the gold name.
DIAGNOSIS_WORTH = {
    Closeness.EXACT: 1.0,
    Closeness.SYNONYM: 1.0,
    Closeness.PARENT: 0.5,
    Closeness.SAME_FAMILY: 0.25,
    Closeness.OTHER: 0.0,
}
LISTED_WORTH = 0.1  # the gold name stands in the differential only
MOST_LISTED = 6  # names of a differential that are looked at: a list of everything finds nothing

_WORD = re.compile(r"[a-z]{3,}")
_MEANINGLESS = words_of("meaningless")


class ReadText(NamedTuple):
    """One text, read.

    Attributes:
        contradicted: slots that the reasoning cites with a value that was not observed.
    """

    narrative: Narrative | None  # None where the text has no diagnosis that it clearly means
    reason: str | None  # why not, a code of `narrative.REASONS`
    stated: Stated
    words: frozenset[str]  # its content words
    advice: Advice
    num_reasoned: int  # words of the reasoning; of an unreadable text all
    ends_elsewhere: bool = False  # the reasoning leads to another name than the conclusion
    is_argued: bool = False  # the reasoning names the conclusion
    contradicted: frozenset[str] = frozenset()

    @property
    def diagnosis(self) -> str:
        """The concluded name; empty where there is none."""
        return self.narrative.diagnosis if self.narrative else ""

    @property
    def differential(self) -> tuple[str, ...]:
        """The first names of the differential, the conclusion left out."""
        listed = self.narrative.differential if self.narrative else ()
        return tuple(n for n in listed if not same_name(n, self.diagnosis))[:MOST_LISTED]


class TextComparison(NamedTuple):
    """A candidate beside its reference; shares are 0..1, None where there is nothing to share."""

    candidate: ReadText
    reference: ReadText
    diagnosis: float  # worth of the concluded name
    is_listed: bool  # the gold name stands in the candidate's differential alone
    is_doubtful: bool  # the reference concludes against its own label, or with nothing
    shared: frozenset[Sign]  # signs that both state
    missed: frozenset[Sign]  # signs that only the reference states
    invented: frozenset[Sign]  # signs that only the candidate states
    words_found: float  # share of the reference's content words that the candidate has
    differential: float | None  # share of the reference's other names that the candidate considers

    @property
    def signs_found(self) -> float | None:
        """Share of the reference's signs that the candidate states."""
        wanted = len(self.shared) + len(self.missed)
        return len(self.shared) / wanted if wanted else None


def compare_texts(candidate: str, reference: str, label: str) -> TextComparison:
    """Compare a candidate with the reference of its case.

    A reference that concludes against its own label is doubtful gold (several of the public ones
    do): agreeing with its conclusion is then worth only as much as the rest of the text agrees,
    while naming the label counts in full.
    """
    one, two = read_text(candidate), read_text(reference)
    words = _dice(one.words, two.words)
    doubtful = _is_doubtful(two, label)
    worth = _worth(one, two, label, words if doubtful else 1.0)
    shared = one.stated.signs & two.stated.signs
    gold = [label] if doubtful or not two.diagnosis else [label, two.diagnosis]
    listed = any(same_name(name, other) for name in one.differential for other in gold)
    return TextComparison(
        candidate=one,
        reference=two,
        diagnosis=worth,
        is_listed=listed and worth < LISTED_WORTH,
        is_doubtful=doubtful,
        shared=shared,
        missed=two.stated.signs - one.stated.signs,
        # What the reference speaks of, be it to deny it of another disease, is not made up.
        invented=one.stated.signs - two.stated.mentioned - shared,
        words_found=len(one.words & two.words) / len(two.words) if two.words else 1.0,
        differential=_differential(one, two),
    )


@lru_cache(maxsize=4096)
def read_text(text: str) -> ReadText:
    """Read a text once, in all its parts."""
    narrative, reason = None, None
    try:
        narrative = parse_narrative(text)
    except NarrativeError as error:
        reason = error.reason
    described = without_appeals(text)
    reasoning = narrative.reasoning if narrative else text
    read = ReadText(
        narrative,
        reason,
        read_signs(described),
        content_words(described),
        read_advice(text),
        len(reasoning.split()),
    )
    if narrative is None:
        return read
    return read._replace(
        ends_elsewhere=_ends_elsewhere(reasoning, narrative.diagnosis),
        is_argued=named_in(reasoning, narrative.diagnosis) is not None,
        contradicted=frozenset(contradictions(narrative)),
    )


def _is_doubtful(reference: ReadText, label: str) -> bool:
    """Whether a reference's conclusion cannot be its label; unknown names are not doubted."""
    if not reference.diagnosis:
        return True
    if canonical(label) is None or canonical(reference.diagnosis) is None:
        return False
    return cached_closeness(reference.diagnosis, label) is Closeness.OTHER


# The same few names are compared again and again.
cached_closeness = lru_cache(maxsize=65536)(closeness)


def same_name(first: str, second: str) -> bool:
    """Whether two names mean the same diagnosis."""
    return cached_closeness(first, second) >= Closeness.SYNONYM


def content_words(text: str) -> frozenset[str]:
    """The words of a text that carry meaning, in small letters, without plural."""
    words = (word.removesuffix("s") for word in _WORD.findall(text.lower()))
    return frozenset(word for word in words if word not in _MEANINGLESS)


def _worth(one: ReadText, two: ReadText, label: str, trust: float) -> float:
    by_label = DIAGNOSIS_WORTH[cached_closeness(one.diagnosis, label)] if one.diagnosis else 0.0
    if one.diagnosis and two.diagnosis:
        by_reference = DIAGNOSIS_WORTH[cached_closeness(one.diagnosis, two.diagnosis)]
    else:
        by_reference = float(one.reason == two.reason)  # both leave it open in the same way
    return max(by_label, by_reference * trust)


def _differential(one: ReadText, two: ReadText) -> float | None:
    if not two.differential:
        return None
    considered = (*one.differential, one.diagnosis)
    found = [any(same_name(name, other) for other in considered) for name in two.differential]
    return sum(found) / len(found)


def _dice(first: frozenset[str], second: frozenset[str]) -> float:
    total = len(first) + len(second)
    return 2 * len(first & second) / total if total else 1.0
