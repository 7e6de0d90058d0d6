"""Which label of the set a generated text names: exactly one, or none with a reason.

Nothing is guessed: a text that leaves several labels open, or names something outside the set,
matches nothing, and counts as wrong.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from skingpt_r1.dermbench.answers import PROBLEMS
from skingpt_r1.dermbench.classification.answer_names import (
    NO_NARRATIVE,
    bare_name,
    is_cut_name,
    lines_alone,
    readings,
    stated_name,
    without_frame,
)
from skingpt_r1.dermbench.classification.labels import LabelSet
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.errors import NarrativeError, RecordError
from skingpt_r1.text import narrative
from skingpt_r1.text.taxonomy import canonical, is_malignant, is_name, named_diagnoses
from skingpt_r1.text.taxonomy_names import LONGEST_NAME

# reason code -> what it means; an unmatched answer carries one of these.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        **PROBLEMS,
        **narrative.REASONS,
        "several_labels": "the text names more than one label, or one that several labels mean",
        "not_a_label": "the text names a diagnosis that is not in the label set",
        "unknown_name": "the text names something that is in no table",
        "long_name": "what stands in the place of a name is longer than any name",
        "tie": "the likeliest candidates are equally likely",
        "no_probabilities": "the answer does not say how likely the candidates are",
    }
)
_SEPARATOR = re.compile(
    r"\s(?:or|and|versus|vs\.?|and/or|plus)\s|[,;/()\n+&]|[.:]\s|\s(?=[(\[]?(?:\d{1,2}|[a-z])[.)\]]\s)",
    re.IGNORECASE,
)
_JOINT = re.compile(r"^\s*(?:or|and|versus|vs\.?)\s", re.IGNORECASE)
_WITH = re.compile(r"\s(?:with|alongside|overlying)\s", re.IGNORECASE)
# Diagnoses that are also signs of another: `rosacea with telangiectasia` is rosacea.
_SIGNS = frozenset(
    {
        "telangiectasia", "scar", "acne scar", "hyperpigmentation", "hypopigmentation", "purpura",
        "abrasion ulceration or injury", "xerosis", "hematoma", "striae",
    }
)  # fmt: skip
# By the number of diagnoses that a name says which fits no label.
_UNMATCHED = ("unknown_name", "not_a_label", "several_labels")
# Reasons after which a title such as `Diagnosis:` is looked for.
_UNREAD = NO_NARRATIVE | {"several_diagnoses", "unknown_name"}


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

    A bare name, what stands between answer tags, the conclusion of a narrative, or what a title
    such as `Diagnosis:` announces; a text that was cut before it ended is not read as a bare name.
    """
    if answer.problem is not None:
        return MatchedLabel(None, answer.problem)
    if is_cut_name(answer):
        return MatchedLabel(None, "truncated")
    bare = bare_name(answer)
    found = None if bare is None else match_name(bare, labels)
    if found is not None and found.reason in (None, "several_labels"):
        return found
    try:
        said = match_name(narrative.parse_narrative(answer.text).diagnosis, labels)
    except NarrativeError as error:
        is_name = found is not None and error.reason in NO_NARRATIVE
        said = found if found is not None and is_name else MatchedLabel(None, error.reason)
    if said.reason in _UNREAD:
        return _without_narrative(answer, labels) or said
    return said


def match_name(name: str, labels: LabelSet) -> MatchedLabel:
    """The label that a diagnosis means: equal, a synonym, or a kind of it.

    A number or letter in front, a share, and words such as `The most likely diagnosis is` are left
    out when the whole means nothing.
    """
    if len(name) > LONGEST_NAME:
        return MatchedLabel(None, "long_name")
    said = tuple(dict.fromkeys(readings(name)))
    equal = next((reading for reading in said if labels.has(reading)), None)
    if equal is not None:
        return _one(labels.fitting(equal))
    found = [_match(reading, labels) for reading in said]
    clear = (match for match in found if match.reason in (None, "several_labels"))
    known = (match for match in found if match.reason == "not_a_label")
    return next(clear, None) or next(known, found[0])


def _without_narrative(answer: Answer, labels: LabelSet) -> MatchedLabel | None:
    """What a title such as `Diagnosis:` or the last sentence says, else lines that are names."""
    stated = stated_name(answer)
    if stated is not None and (found := match_name(stated, labels)).label is not None:
        return found
    lines = [_match(line, labels).label for line in lines_alone(answer)]
    named = {label for label in lines if label is not None}
    if not lines or lines[0] is None:
        return None
    return MatchedLabel(lines[0]) if len(named) == 1 else MatchedLabel(None, "several_labels")


def _match(name: str, labels: LabelSet) -> MatchedLabel:
    found = labels.fitting(name)
    if not is_name(name) and (len(_named(name, labels)) > 1 or len(_joined(name, labels)) > 1):
        return MatchedLabel(None, "several_labels")
    if found:
        return _one(found)
    return MatchedLabel(None, _UNMATCHED[min(2, len(named_diagnoses(name)))])


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
    # Labels that hold a separator themselves, such as `reed or spitz nevus`, are not cut.
    whole = [label for label in labels.labels if _SEPARATOR.search(label)]
    whole = [label for label in whole if label.lower() in name.lower()]
    for label in whole:
        name = re.sub(re.escape(label), ";", name, flags=re.IGNORECASE)
    parts = [without_frame(_JOINT.sub("", part)) for part in _SEPARATOR.split(name)]
    return {labels.fitting(part) or canonical(part) for part in (*whole, *parts)} - {None}


def _joined(name: str, labels: LabelSet) -> set[tuple[str, ...]]:
    """The labels of a name's parts before and behind `with`; none where a malignant part counts."""
    parts = [part for part in _WITH.split(name) if canonical(part) not in _SIGNS]
    if len(parts) < 2 or is_malignant(name):
        return set()
    return {labels.fitting(part) for part in parts} - {()}
