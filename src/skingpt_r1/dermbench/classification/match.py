"""What an answer names: exactly one label of a set, or none with a reason, and how near it is.

Nothing is guessed: a text that leaves several labels open, or names something outside the set,
matches nothing, and counts as wrong. The name in a short answer is read without its number, its
share and the words around it; words that deny or doubt are no such words, so that what they stand
in front of is never a name. Names are compared in the taxonomy; no judge takes part.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from skingpt_r1.dermbench.answers import PROBLEMS
from skingpt_r1.dermbench.classification.labels import LabelSet
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.errors import NarrativeError, RecordError
from skingpt_r1.text import narrative
from skingpt_r1.text.taxonomy import (
    LONGEST_NAME,
    Closeness,
    canonical,
    closeness,
    is_malignant,
    is_name,
    named_diagnoses,
)
from skingpt_r1.text.tokens import VOCABULARY, patterns, without_control_tokens, words_of

# A few words that stand alone are a name, not a narrative that breaks off for one of these reasons.
NO_NARRATIVE = frozenset({"truncated", "no_diagnosis"})
_RE = patterns("labels")
_MARKS = " \t\r\n*_`#\"'“”‘’«».,;:!?-–—"
_MARKS_OF_NO_QUESTION = _MARKS.replace("?", "")
_TIGHT = re.compile(r"(?<=[a-z]):(?=\w)")
# Words that lead to a name and change nothing about it.
_LEADING = words_of("before_a_name")
_MOST_LEADING = 15  # words are left out in front of a name
_LONGEST_BARE = 200  # characters; a longer text is read as a narrative
_NUM_LINES = 100  # so many last lines are looked at for a stated name


def readings(text: str) -> Iterator[str]:
    """The names that a short answer may be, the most literal first."""
    name = text.strip(_MARKS)
    yield name
    name = _TIGHT.sub(": ", unicodedata.normalize("NFKC", name))
    name = without_frame(name)
    yield name
    if text.rstrip(_MARKS_OF_NO_QUESTION).endswith("?"):
        return  # a question says nothing
    yield (name := _RE["closing"].sub("", name))
    for _ in range(_MOST_LEADING):
        word, _, name = name.partition(" ")
        if word.strip(_MARKS).lower() not in _LEADING:
            break
        yield (name := without_frame(name))


def without_frame(name: str) -> str:
    """A name without its number or letter, the share it is given, and marks around it."""
    bare = _RE["share"].sub(" ", without_control_tokens(name)).strip(_MARKS)
    return _RE["number"].sub("", bare).strip(_MARKS)


def bare_name(answer: Answer) -> str | None:
    """A text that stands alone, or alone between answer tags; None when there is none."""
    tagged = {part.strip() for part in _tagged(answer.text)} - {""}
    if tagged:
        name = tagged.pop() if len(tagged) == 1 else ""
    elif answer.stop_reason == "length":
        return None
    else:
        *_, name = _RE["tag"].split(answer.text)
        tags = _RE["tag"].finditer(answer.text)
        closed = [tag[1] == "/" and tag[2].lower() == "think" for tag in tags]
        name = name if all(closed[-1:]) else ""
    name = name.strip(_MARKS_OF_NO_QUESTION)
    return name if name.strip(_MARKS) and len(name) <= _LONGEST_BARE and "\n" not in name else None


def is_cut_name(answer: Answer) -> bool:
    """Whether a text that stands alone was cut: it may be the beginning of a longer name."""
    is_closed = answer.text.rstrip(" \n*").endswith((".", "!"))
    if answer.stop_reason != "length" or is_closed or bare_name(answer) is not None:
        return False
    return bare_name(answer.model_copy(update={"stop_reason": None})) is not None


def stated_name(answer: Answer) -> str | None:
    """What the last line with a title such as `Diagnosis:` says, else the last sentence.

    None when the answer was cut, or its last sentence says nothing.
    """
    if answer.stop_reason == "length":
        return None
    lines = [line for line in _RE["tag"].sub("\n", answer.text).splitlines() if line.strip(_MARKS)]
    lines = lines[-_NUM_LINES:]
    for place in range(len(lines) - 1, -1, -1):
        titled = _RE["title"].match(lines[place][: 2 * LONGEST_NAME].rstrip())
        if titled:
            name = titled["name"] or ""
            return name if name.strip(_MARKS) else "".join(lines[place + 1 : place + 2])
    last = re.split(r"(?<=[.!?])\s", lines[-1][-2 * LONGEST_NAME :])[-1] if lines else ""
    return last if _RE["says"].search(last) else None


def lines_alone(answer: Answer) -> list[str]:
    """The first lines of a text without tags; empty when it was cut."""
    if answer.stop_reason == "length" or _RE["tag"].search(answer.text):
        return []
    lines = answer.text[: _NUM_LINES * LONGEST_NAME].splitlines()
    lines = [line for line in lines if line.strip(_MARKS)][:_NUM_LINES]
    return [without_frame(line) if len(line) <= LONGEST_NAME else "" for line in lines]


def _tagged(text: str) -> Iterator[str]:
    """What stands between answer tags."""
    opened: int | None = None
    for tag in _RE["tag"].finditer(text):
        if tag[2].lower() != "answer":
            continue
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            yield text[opened : tag.start()]
            opened = None


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
# Diagnoses that are also signs of another: `rosacea with telangiectasia` is rosacea.
_SIGNS = frozenset(VOCABULARY["diagnoses_that_are_signs"])
# By the number of diagnoses that a name says which fits no label.
_UNMATCHED = ("unknown_name", "not_a_label", "several_labels")
# Reasons after which a title such as `Diagnosis:` is looked for.
_UNREAD = NO_NARRATIVE | {"several_diagnoses", "unknown_name"}


class MatchedLabel(NamedTuple):
    """A label of the set, or None and the code of `REASONS` why none is named clearly."""

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
    whole = [label for label in labels.labels if _RE["separator"].search(label)]
    whole = [label for label in whole if label.lower() in name.lower()]
    for label in whole:
        name = re.sub(re.escape(label), ";", name, flags=re.IGNORECASE)
    parts = [without_frame(_RE["joint"].sub("", part)) for part in _RE["separator"].split(name)]
    return {labels.fitting(part) or canonical(part) for part in (*whole, *parts)} - {None}


def _joined(name: str, labels: LabelSet) -> set[tuple[str, ...]]:
    """The labels of a name's parts before and behind `with`; none where a malignant part counts."""
    parts = [part for part in _RE["with"].split(name) if canonical(part) not in _SIGNS]
    if len(parts) < 2 or is_malignant(name):
        return set()
    return {labels.fitting(part) for part in parts} - {()}


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


class LabelVerdict(NamedTuple):
    """What an answer names, and how that stands to the label.

    Attributes:
        diagnosis: as the answer names it; None when it is unreadable, and `reason` says why.
    """

    match: LabelMatch
    diagnosis: str | None = None
    reason: str | None = None


def judge_label(question: Question, answer: Answer) -> LabelVerdict:
    """The label verdict of one answer.

    The two confusions of malignant and benign count before parent and family: a melanoma called a
    naevus is no near miss. An answer to a question for a label is read as in `match.py`:
    a bare name, with or without the words around it, else a narrative.
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
        named = narrative.parse_narrative(answer.text).diagnosis
    except NarrativeError as error:
        if bare is not None and error.reason in NO_NARRATIVE:
            return compare_labels(bare, question.label)
        return LabelVerdict(LabelMatch.UNREADABLE, reason=error.reason)
    return compare_labels(named, question.label)


def compare_labels(named: str, label: str) -> LabelVerdict:
    """The verdict on a name that was read."""
    how = closeness(named, label)
    match = LabelMatch.WRONG if how is Closeness.OTHER else LabelMatch[how.name]
    said, truth = is_malignant(named), is_malignant(label)
    if not match.is_right and None not in (said, truth) and said != truth:
        match = LabelMatch.MALIGNANT_FOR_BENIGN if said else LabelMatch.BENIGN_FOR_MALIGNANT
    return LabelVerdict(match, named)
