"""Which label of the set a generated text names: exactly one, or none with a reason.

Nothing is guessed: a text that leaves several labels open, or names something outside the set,
matches nothing, and counts as wrong.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from skingpt_r1 import narrative
from skingpt_r1.dermbench.answers import PROBLEMS
from skingpt_r1.dermbench.benchmark_records import Answer
from skingpt_r1.dermbench.label_sets import LabelSet
from skingpt_r1.errors import NarrativeError, RecordError
from skingpt_r1.taxonomy import canonical
from skingpt_r1.taxonomy_names import normalise

# reason code -> what it means; an unmatched answer carries one of these.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        **PROBLEMS,
        **narrative.REASONS,
        "several_labels": "the text names more than one label, or one that several labels mean",
        "not_a_label": "the text names a diagnosis that is not in the label set",
        "unknown_name": "the text names something that is in no table",
        "tie": "the likeliest candidates are equally likely",
        "no_probabilities": "the answer does not say how likely the candidates are",
    }
)
_ANSWER = re.compile(r"<\s?answer\s?>(.*?)<\s?/\s?answer\s?>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<\s?/?\s?(?:think|answer)", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s(?:or|and|versus|vs\.?|and/or)\s|[,;/()\n]", re.IGNORECASE)
_JOINT = re.compile(r"^\s*(?:or|and|versus|vs\.?)\s", re.IGNORECASE)
_LONGEST_NAME = 200  # characters; a longer text is no bare name
_MARKS = " \t\r\n*_`#\"'“”‘’.,;:!?-–—"


class MatchedLabel(NamedTuple):
    """What was read.

    Attributes:
        label: of the set; None when none is named clearly.
        reason: a code of `REASONS`; None when a label is named.
    """

    label: str | None
    reason: str | None = None


def match_answer(answer: Answer, labels: LabelSet) -> MatchedLabel:
    """The label that the text of an answer names.

    A bare name, what stands between answer tags, or the conclusion of a narrative; a text that was
    cut before it ended is not read as a bare name.
    """
    if answer.problem is not None:
        return MatchedLabel(None, answer.problem)
    bare = _bare_name(answer)
    found = None if bare is None else match_name(bare, labels)
    if found is not None and found.reason in (None, "several_labels"):
        return found
    try:
        named = narrative.parse_narrative(answer.text).diagnosis
    except NarrativeError as error:
        # A few words that stand alone are a name, not a narrative that breaks off.
        is_name = found is not None and error.reason in ("truncated", "no_diagnosis")
        return found if found is not None and is_name else MatchedLabel(None, error.reason)
    return match_name(named, labels)


def match_name(name: str, labels: LabelSet) -> MatchedLabel:
    """The label that a diagnosis means: equal, a synonym, or a kind of it."""
    if normalise(name) in {normalise(label) for label in labels.labels}:
        return _one(labels.fitting(name))
    found = labels.fitting(name)
    if len(_named(name, labels)) > 1 and not _is_one_name(name):
        return MatchedLabel(None, "several_labels")
    if found:
        return _one(found)
    return MatchedLabel(None, "unknown_name" if canonical(name) is None else "not_a_label")


def likeliest(answer: Answer, labels: LabelSet) -> MatchedLabel:
    """The candidate with the highest probability.

    Raises:
        RecordError: the candidates are not the label set.
    """
    if answer.probabilities is None:
        return MatchedLabel(None, answer.problem or "no_probabilities")
    if set(answer.probabilities) != set(labels.labels):
        odd = sorted(set(answer.probabilities) ^ set(labels.labels))
        raise RecordError(
            f"the answer of {answer.system} to {answer.id!r} has other candidates than "
            f"{labels.name}: {', '.join(odd[:10])}; ask again with the labels of this benchmark"
        )
    top = max(answer.probabilities.values())
    best = [label for label, chance in answer.probabilities.items() if chance == top]
    return MatchedLabel(best[0]) if len(best) == 1 else MatchedLabel(None, "tie")


def _one(found: tuple[str, ...]) -> MatchedLabel:
    if len(found) == 1:
        return MatchedLabel(found[0])
    return MatchedLabel(None, "several_labels" if found else "not_a_label")


def _named(name: str, labels: LabelSet) -> set[tuple[str, ...] | str | None]:
    """What the parts of a name mean: labels, or diagnoses outside the set."""
    parts = [_JOINT.sub("", part) for part in _SEPARATOR.split(name)]
    return {labels.fitting(part) or canonical(part) for part in parts} - {None}


def _is_one_name(name: str) -> bool:
    """Whether the table knows the whole as a name, such as `hand, foot and mouth disease`."""
    known = canonical(name)
    return known is not None and known != canonical(_SEPARATOR.split(name)[0])


def _bare_name(answer: Answer) -> str | None:
    """A name that stands alone, or alone between answer tags; None when there is none."""
    answers = {part.strip() for part in _ANSWER.findall(answer.text)} - {""}
    if answers:
        name = answers.pop().strip(_MARKS) if len(answers) == 1 else ""
    elif answer.stop_reason == "length" or _TAG.search(answer.text):
        return None
    else:
        name = answer.text.strip(_MARKS)
    return name if name and len(name) <= _LONGEST_NAME and "\n" not in name else None
