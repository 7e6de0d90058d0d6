"""How an answer's diagnosis stands to the gold label; what every judge's opinion stands beside.

No judge takes part: names are compared in the taxonomy. For research, not for diagnosis.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from skingpt_r1.dermbench.classification.answer_names import (
    NO_NARRATIVE,
    bare_name,
    is_cut_name,
    readings,
)
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.taxonomy import Closeness, canonical, closeness, is_malignant


class LabelMatch(StrEnum):
    """How the named diagnosis stands to the label, the best first."""

    EXACT = "exact"
    SYNONYM = "synonym"
    PARENT = "parent"
    SAME_FAMILY = "same family"
    WRONG = "wrong"
    MALIGNANT_FOR_BENIGN = "malignant for benign"
    BENIGN_FOR_MALIGNANT = "benign for malignant"
    UNREADABLE = "unreadable"

    @property
    def is_right(self) -> bool:
        """Whether it names the label itself; a parent or a kind of it does not."""
        return self in (LabelMatch.EXACT, LabelMatch.SYNONYM)


_MATCH = MappingProxyType(
    {
        Closeness.EXACT: LabelMatch.EXACT,
        Closeness.SYNONYM: LabelMatch.SYNONYM,
        Closeness.PARENT: LabelMatch.PARENT,
        Closeness.SAME_FAMILY: LabelMatch.SAME_FAMILY,
        Closeness.OTHER: LabelMatch.WRONG,
    }
)


class LabelVerdict(NamedTuple):
    """What an answer names, and how that stands to the label.

    Attributes:
        match: see `LabelMatch`.
        diagnosis: as the answer names it; None when it is unreadable.
        reason: why it is unreadable: a code of `narrative.REASONS` or the answer's problem.
        malignancy_known: whether both names are in the taxonomy, so that the two dangerous
            confusions could be seen.
    """

    match: LabelMatch
    diagnosis: str | None = None
    reason: str | None = None
    malignancy_known: bool = False


def judge_label(question: Question, answer: Answer) -> LabelVerdict:
    """The label verdict of one answer.

    The two confusions of malignant and benign count before parent and family: a melanoma called a
    naevus is no near miss. An answer to a question for a label is read as in `match.py`:
    a bare name, with or without the words around it, else a narrative.

    Args:
        question: its label is the truth.
        answer: a narrative, or a label.
    """
    if answer.problem is not None:
        return LabelVerdict(LabelMatch.UNREADABLE, reason=answer.problem)
    if is_cut_name(answer):
        return LabelVerdict(LabelMatch.UNREADABLE, reason="truncated")
    bare = None if question.form == "narrative" else bare_name(answer)
    for name in () if bare is None else readings(bare):
        if canonical(name) is not None or closeness(name, question.label) is Closeness.EXACT:
            return compare_labels(name, question.label)
    try:
        named = parse_narrative(answer.text).diagnosis
    except NarrativeError as error:
        if bare is not None and error.reason in NO_NARRATIVE:
            return compare_labels(bare, question.label)
        return LabelVerdict(LabelMatch.UNREADABLE, reason=error.reason)
    return compare_labels(named, question.label)


def compare_labels(named: str, label: str) -> LabelVerdict:
    """The verdict on a name that was read."""
    match = _MATCH[closeness(named, label)]
    said, truth = is_malignant(named), is_malignant(label)
    known = said is not None and truth is not None
    if match not in (LabelMatch.EXACT, LabelMatch.SYNONYM) and known and said != truth:
        match = LabelMatch.MALIGNANT_FOR_BENIGN if said else LabelMatch.BENIGN_FOR_MALIGNANT
    return LabelVerdict(match, named, None, known)
