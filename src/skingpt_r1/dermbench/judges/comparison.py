"""What a candidate narrative and its reference have in common, part by part, each as a share.

For free texts by many hands: stated signs, content words, names in the differential, advice, and
breaks in the chain of reasoning. Nothing here is an opinion; `rules.py` makes scores of it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from skingpt_r1.dermbench.judges.addressed import without_addresses
from skingpt_r1.dermbench.judges.advice import Advice, read_advice
from skingpt_r1.dermbench.judges.chain import Chain, read_chain
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import Narrative, parse_narrative
from skingpt_r1.text.signs import Sign, Stated, read_signs
from skingpt_r1.text.taxonomy import Closeness, canonical, closeness

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
_STOP = frozenset(
    """about above accord across after again all also although among and another any appear are
    around aspect associate association base because been before being below between both but can
    case category characteristic class classic clinical common commonly conclude conclusion
    condition consider consideration consistent could describe description diagnose diagnosis
    diagnostic differential disease does due during each either especially evidence explain fact
    factor feature find finding first fit focus follow for former from further general give given
    had has have her here high him his how however image include including indicate into issue its
    itself key lead less lesion like likely make many match may might more moreover most much must
    narrow near need nor not note observation observe observed often one only other otherwise out
    over part pathological patient point possible potential presence present presentation process
    provide rather reason reasoning related same seen several should show sign similar since skin
    some specific step strongly such suggest suggests summary support supporting take text than
    that the their them then there therefore these they this those though through thus together
    toward two type typical typically under upon use usually various very was well were what when
    where which while who will with within without would you your answer think""".split()  # noqa: SIM905
)


class Reading(NamedTuple):
    """One text, read.

    Attributes:
        narrative: None where the text has no diagnosis that it clearly means.
        reason: why not, a code of `narrative.REASONS`.
        stated: signs.
        words: its content words.
        advice: what it advises.
        chain: what holds its reasoning together, or breaks it.
    """

    narrative: Narrative | None
    reason: str | None
    stated: Stated
    words: frozenset[str]
    advice: Advice
    chain: Chain

    @property
    def diagnosis(self) -> str:
        """The concluded name; empty where there is none."""
        return self.narrative.diagnosis if self.narrative else ""

    @property
    def differential(self) -> tuple[str, ...]:
        """The first names of the differential, the conclusion left out."""
        listed = self.narrative.differential if self.narrative else ()
        return tuple(n for n in listed if not same_name(n, self.diagnosis))[:MOST_LISTED]


class Comparison(NamedTuple):
    """A candidate beside its reference; shares are 0..1, and None where there is nothing to share.

    Attributes:
        candidate: read.
        reference: read.
        diagnosis: worth of the concluded name.
        is_listed: the gold name stands in the candidate's differential alone.
        is_doubtful: the reference concludes against its own label, or with nothing.
        shared: signs that both state.
        missed: signs that only the reference states.
        invented: signs that only the candidate states.
        words: overlap of the content words, as Dice's coefficient.
        words_found: share of the reference's content words that the candidate has.
        differential: share of the reference's other names that the candidate considers.
    """

    candidate: Reading
    reference: Reading
    diagnosis: float
    is_listed: bool
    is_doubtful: bool
    shared: frozenset[Sign]
    missed: frozenset[Sign]
    invented: frozenset[Sign]
    words: float
    words_found: float
    differential: float | None

    @property
    def signs_found(self) -> float | None:
        """Share of the reference's signs that the candidate states."""
        wanted = len(self.shared) + len(self.missed)
        return len(self.shared) / wanted if wanted else None

    @property
    def signs_supported(self) -> float | None:
        """Share of the candidate's signs that the reference states."""
        said = len(self.shared) + len(self.invented)
        return len(self.shared) / said if said else None


def compare_texts(candidate: str, reference: str, label: str) -> Comparison:
    """Compare a candidate with the reference of its case.

    A reference that concludes against its own label is doubtful gold (several of the public ones
    do): agreeing with its conclusion is then worth only as much as the rest of the text agrees,
    while naming the label counts in full.

    Args:
        candidate: what a system wrote.
        reference: the certified narrative.
        label: the gold diagnosis.
    """
    one, two = read_text(candidate), read_text(reference)
    words = _dice(one.words, two.words)
    doubtful = is_doubtful(two, label)
    worth = _worth(one, two, label, words if doubtful else 1.0)
    shared = one.stated.signs & two.stated.signs
    listed = _names_listed(one, two, label, doubtful=doubtful)
    return Comparison(
        candidate=one,
        reference=two,
        diagnosis=worth,
        is_listed=listed and worth < LISTED_WORTH,
        is_doubtful=doubtful,
        shared=shared,
        missed=two.stated.signs - one.stated.signs,
        # What the reference speaks of, be it to deny it of another disease, is not made up.
        invented=one.stated.signs - two.stated.mentioned - shared,
        words=words,
        words_found=len(one.words & two.words) / len(two.words) if two.words else 1.0,
        differential=_differential(one, two),
    )


@lru_cache(maxsize=4096)
def read_text(text: str) -> Reading:
    """Read a text once, in all its parts."""
    narrative: Narrative | None = None
    reason: str | None = None
    try:
        narrative = parse_narrative(text)
    except NarrativeError as error:
        reason = error.reason
    described = without_addresses(text)
    return Reading(
        narrative,
        reason,
        read_signs(described),
        content_words(described),
        read_advice(text),
        read_chain(text, narrative),
    )


def is_doubtful(reference: Reading, label: str) -> bool:
    """Whether a reference's conclusion cannot be its label; unknown names are not doubted."""
    if not reference.diagnosis:
        return True
    if canonical(label) is None or canonical(reference.diagnosis) is None:
        return False
    return nearness(reference.diagnosis, label) is Closeness.OTHER


@lru_cache(maxsize=65536)
def nearness(first: str, second: str) -> Closeness:
    """`taxonomy.closeness`, remembered: the same few names are compared again and again."""
    return closeness(first, second)


def same_name(first: str, second: str) -> bool:
    """Whether two names mean the same diagnosis."""
    return nearness(first, second) >= Closeness.SYNONYM


def content_words(text: str) -> frozenset[str]:
    """The words of a text that carry meaning, in small letters, without plural."""
    words = (word.removesuffix("s") for word in _WORD.findall(text.lower()))
    return frozenset(word for word in words if word not in _STOP)


def _worth(one: Reading, two: Reading, label: str, trust: float) -> float:
    by_label = DIAGNOSIS_WORTH[nearness(one.diagnosis, label)] if one.diagnosis else 0.0
    if one.diagnosis and two.diagnosis:
        by_reference = DIAGNOSIS_WORTH[nearness(one.diagnosis, two.diagnosis)]
    else:
        by_reference = float(one.reason == two.reason)  # both leave it open in the same way
    return max(by_label, by_reference * trust)


def _names_listed(one: Reading, two: Reading, label: str, *, doubtful: bool) -> bool:
    gold = [label] if doubtful or not two.diagnosis else [label, two.diagnosis]
    return any(same_name(name, other) for name in one.differential for other in gold)


def _differential(one: Reading, two: Reading) -> float | None:
    if not two.differential:
        return None
    considered = (*one.differential, one.diagnosis)
    found = [any(same_name(name, other) for other in considered) for name in two.differential]
    return sum(found) / len(found)


def _dice(first: frozenset[str], second: frozenset[str]) -> float:
    total = len(first) + len(second)
    return 2 * len(first & second) / total if total else 1.0
