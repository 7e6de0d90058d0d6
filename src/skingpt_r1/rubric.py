"""The six dimensions of a narrative's quality, both published scales, and the reader of verdicts.

The canonical verdict is six titled lines and one overall line:

    Accuracy: 4.5 - Names the diagnosis. Improvement: Give the subtype.
    ...
    Overall Score: 4.2

A reply that cannot be read is `Unscored` with a reason; it is never 0 and never dropped.
Source: the six dimensions and the two protocols of the paper (DermEval; DermBench).
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from skingpt_r1.rubric_thinking import after_thinking

DIMENSIONS = (
    "Accuracy",
    "Safety",
    "Medical Groundedness",
    "Clinical Coverage",
    "Reasoning Coherence",
    "Description Precision",
)

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "empty": "the reply, or the judged text, has no words",
        "refusal": "the judge declines to score",
        "truncated": "the reply breaks off inside its verdict",
        "incomplete": "one or more dimensions have no score",
        "ambiguous": "a score is a range or has no denominator where one is needed",
        "out_of_range": "a score lies outside the protocol",
        "not_integer": "a score has decimals where the protocol wants integers",
        "no_scores": "the reply has no score",
        "too_long": "the judged text is longer than the judge can read",
        "no_content": "the judged text says nothing clinical; `detail` says what it is",
    }
)


class Protocol(Enum):
    """The two published scales."""

    DECIMAL_0_5 = "decimals 0-5"
    INTEGER_1_5 = "integers 1-5"

    @property
    def low(self) -> float:
        """The lowest score."""
        return 0.0 if self is Protocol.DECIMAL_0_5 else 1.0

    @property
    def high(self) -> float:
        """The highest score."""
        return 5.0

    def problem(self, value: float) -> str | None:
        """The reason code why a value is no score of this scale; None when it is one."""
        if not self.low <= value <= self.high:
            return "out_of_range"
        if self is Protocol.INTEGER_1_5 and value != int(value):
            return "not_integer"
        return None


@dataclass(frozen=True, slots=True)
class Scores:
    """One verdict.

    Attributes:
        values: one score per dimension, in the order of `DIMENSIONS`.
        protocol: the scale of the scores.
        overall: the overall score as the judge gave it; None when the reply has none.
        rationales: dimension -> justification and improvement, where given.
    """

    values: tuple[float, ...]
    protocol: Protocol = Protocol.DECIMAL_0_5
    overall: float | None = None
    rationales: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if len(self.values) != len(DIMENSIONS):
            raise ValueError(f"{len(self.values)} scores for the {len(DIMENSIONS)} dimensions")
        for value in self.values:
            if self.protocol.problem(value):
                raise ValueError(f"score {value} is not one of {self.protocol.value}")

    def __getitem__(self, dimension: str) -> float:
        return self.values[DIMENSIONS.index(dimension)]

    @property
    def mean(self) -> float:
        """Mean over the six dimensions; what the overall score is where the judge gave none."""
        return math.fsum(self.values) / len(self.values)


@dataclass(frozen=True, slots=True)
class Unscored:
    """A reply without a readable verdict.

    Attributes:
        reason: a code of `REASONS`.
        detail: what was missing or wrong, for a person.
    """

    reason: str
    detail: str = ""


class _Entry(NamedTuple):
    dimension: int | None  # None: the overall score
    value: float | None
    problem: str
    rationale: str
    is_bare: bool = True  # without a denominator


# Other names that judges give the dimensions; the official names are added below.
_ALIASES = MappingProxyType(
    {
        "diagnostic accuracy": 0, "correctness": 0, "diagnosis accuracy": 0, "factual accuracy": 0,
        "harmlessness": 1, "patient safety": 1, "clinical safety": 1, "safety and harmlessness": 1,
        "safety harmfulness": 1, "safety harmlessness": 1, "medical factuality": 2, "factuality": 2,
        "groundedness": 2, "grounding": 2, "medical grounding": 2, "evidence grounding": 2,
        "coverage": 3, "completeness": 3, "clinical completeness": 3, "comprehensiveness": 3,
        "coherence": 4, "reasoning": 4, "logical coherence": 4, "reasoning quality": 4,
        "precision": 5, "description": 5, "descriptive precision": 5, "description accuracy": 5,
    }
)  # fmt: skip
_PLACES: Mapping[str, int | None] = MappingProxyType(
    {
        **_ALIASES,
        **{name.lower(): index for index, name in enumerate(DIMENSIONS)},
        **dict.fromkeys(("overall", "overall score", "total", "average", "mean score"), None),
    }
)
_TITLE = re.compile(
    r"^[\s#|*_\-+•]*(?:\(?\d{1,2}[.):]\s*)?[*_`|\s]*"
    r"([A-Za-z][A-Za-z &/_-]{2,40}?)(?:\s*\(([^()\n]{0,30})\))?(?:\sscore)?[*_`\s]*"
    r"(?:[:|=]|\s[-–—]\s|(?<=\))$)[*_`\s|]*(.*)$",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"^[\[(*_`\s]*(?:score\s*[:=]\s*)?[*_`\s]*(-?\d{1,3}(?:[.,]\d{1,3})?)[*_`\s]*"
    r"(?:(?:/|\sout\sof\s|\sof\s)[*_`\s]*(\d{1,3}(?:\.0)?)\b)?[\])*_`]*",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"^\s*(?:[-–—]|to|or)\s*\d+(?:\.\d+)?(?=\s*(?:$|[/.,;|]|[-–—]\s))", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"\b(?:i['’]m\s(?:very\s)?sorry|i\sam\s(?:sorry|unable)|i\s(?:cannot|can['’]t|won['’]t|must\sdecline)"
    r"|unable\sto\s(?:score|evaluate|assess|rate)|as\san\sai)\b",
    re.IGNORECASE,
)
_LONGEST_LINE = 4000


def format_scores(scores: Scores) -> str:
    """The canonical six titled lines and the overall line; rationales lose their line breaks."""
    digits = 1 if scores.protocol is Protocol.DECIMAL_0_5 else 0
    lines = []
    for name, value in zip(DIMENSIONS, scores.values, strict=True):
        rationale = " ".join(scores.rationales.get(name, "").split())
        lines.append(f"{name}: {value:.{digits}f}" + (f" - {rationale}" if rationale else ""))
    overall = scores.mean if scores.overall is None else scores.overall
    return "\n".join([*lines, f"Overall Score: {overall:.1f}"])


def parse_scores(
    text: str, protocol: Protocol = Protocol.DECIMAL_0_5, *, scale: float | None = None
) -> Scores | Unscored:
    """Read the last complete verdict of a judge's reply.

    Args:
        text: the reply alone; never the prompt, so that what the judged text says does not count.
        protocol: the scale that was asked for.
        scale: the highest score that a bare number can mean, where the prompt said so (10 for
            0-10); by default a verdict with a number above 5 and none above 10 is read as 0-10.

    Returns:
        Scores on the protocol's scale, or Unscored with a reason of `REASONS`.
    """
    if not re.search(r"\w", text):
        return Unscored("empty")
    finished = after_thinking(text)
    if finished is None:
        return Unscored("truncated", "the thinking block does not end")
    verdicts = _verdicts(finished)
    complete = [index for index, verdict in enumerate(verdicts) if _is_complete(verdict[1])]
    if not complete:
        return _explain(finished, [entries for _, entries in verdicts])
    later = [entries for _, entries in verdicts[complete[-1] + 1 :]]
    if any(entry.dimension is not None for entries in later for entry in entries):
        # What was complete may be a quotation; the verdict that was begun after it is not there.
        return Unscored("incomplete", "a second verdict begins after the last complete one")
    entries = verdicts[complete[-1]][1]
    if _ends_in_number(finished, entries):
        return Unscored("truncated", "the reply may break off inside its last score")
    return _scores(entries, protocol, scale)


def parse_some_scores(
    text: str, protocol: Protocol = Protocol.DECIMAL_0_5, *, scale: float | None = None
) -> dict[str, float]:
    """The dimensions of the last verdict that have a readable score, complete or not.

    For the reward of a judge in training; a result is never made of a part of a verdict. The
    arguments are those of `parse_scores`.
    """
    found = parse_scores(text, protocol, scale=scale)
    if isinstance(found, Scores):
        return dict(zip(DIMENSIONS, found.values, strict=True))
    verdicts = _verdicts(after_thinking(text) or "")
    entries = [entry for entry in (verdicts[-1][1] if verdicts else []) if not entry.problem]
    factor = protocol.high / (scale or _guess_scale(entries))
    scores = {
        DIMENSIONS[entry.dimension]: round(entry.value * (factor if entry.is_bare else 1.0), 6)
        for entry in entries
        if entry.dimension is not None and entry.value is not None
    }
    return {name: value for name, value in scores.items() if protocol.problem(value) is None}


def _verdicts(text: str) -> list[tuple[int, list[_Entry]]]:
    """All verdicts in order; beside titled lines, JSON in the middle of a line is a quotation."""
    lines = list(_line_verdicts(text))
    has_lines = any(_is_complete(entries) for _, entries in lines)
    objects = _json_verdicts(text)
    kept = [v for v in objects if not has_lines or not text[: v[0]].rpartition("\n")[2].strip()]
    return sorted([*lines, *kept], key=itemgetter(0))


def _ends_in_number(text: str, entries: list[_Entry]) -> bool:
    """Whether a last whole number, among decimals, may have lost its decimal."""
    last = re.search(r"[:|]\s*\d+\.?$", text)
    return last is not None and any(entry.value and entry.value % 1 for entry in entries)


def _is_complete(entries: list[_Entry]) -> bool:
    return {entry.dimension for entry in entries} >= set(range(len(DIMENSIONS)))


def _explain(text: str, verdicts: list[list[_Entry]]) -> Unscored:
    found = {entry.dimension for entries in verdicts for entry in entries} - {None}
    missing = [name for index, name in enumerate(DIMENSIONS) if index not in found]
    if found:
        is_cut = not re.search(r"[.!?\d}|*)]\s*$", text) or _is_prefix(found)
        return Unscored("truncated" if is_cut else "incomplete", f"no score: {', '.join(missing)}")
    if _REFUSAL.search(text[:1000]):
        return Unscored("refusal")
    return Unscored("no_scores")


def _is_prefix(found: set[int | None]) -> bool:
    return found == set(range(len(found))) and len(found) < len(DIMENSIONS)


def _scores(entries: list[_Entry], protocol: Protocol, scale: float | None) -> Scores | Unscored:
    problem = next((entry for entry in entries if entry.problem), None)
    if problem is not None:
        name = "Overall" if problem.dimension is None else DIMENSIONS[problem.dimension]
        return Unscored(problem.problem, name)
    factor = protocol.high / (scale or _guess_scale(entries))  # of bare numbers alone
    values: dict[int | None, float] = {}
    for entry in entries:
        assert entry.value is not None
        values[entry.dimension] = round(entry.value * (factor if entry.is_bare else 1.0), 6)
    overall = values.pop(None, None)
    for place, value in values.items():
        wrong = protocol.problem(value)
        if wrong:
            return Unscored(wrong, f"{DIMENSIONS[place or 0]}: {value:g}, allowed {protocol.value}")
    if overall is not None and not 0 <= overall <= protocol.high:
        return Unscored("out_of_range", f"Overall: {overall:g}")
    rationales = {
        DIMENSIONS[entry.dimension]: entry.rationale
        for entry in entries
        if entry.dimension is not None and entry.rationale
    }
    ordered = tuple(values[place] for place in range(len(DIMENSIONS)))
    return Scores(ordered, protocol, overall, MappingProxyType(rationales))


def _guess_scale(entries: list[_Entry]) -> float:
    highest = max((entry.value or 0.0 for entry in entries if entry.is_bare), default=0.0)
    return 10.0 if 5.0 < highest <= 10.0 else 5.0


def _line_verdicts(text: str) -> Iterator[tuple[int, list[_Entry]]]:
    """Runs of titled lines; a dimension that comes again begins a new verdict."""
    entries: dict[int | None, _Entry] = {}
    start, place, heading = 0, 0, ""
    for line in text.split("\n"):
        entry = _line_entry(line, heading) if len(line) <= _LONGEST_LINE else None
        if entry is not None:
            if entry.dimension in entries:
                yield start, list(entries.values())
                entries = {}
            if not entries:
                start = place
            entries[entry.dimension] = entry
        heading = _heading(line) or (heading if not line.strip() else "")
        place += len(line) + 1
    if entries:
        yield start, list(entries.values())


def _heading(line: str) -> str:
    """The dimension that a line of its own announces: `### Accuracy`."""
    name = _name(re.sub(r"[#*_`:.\d]+", " ", line)) if len(line) < 80 else ""
    return name if name in _PLACES else ""


def _line_entry(line: str, heading: str) -> _Entry | None:
    title = _TITLE.match(line)
    name = _name(title[1]) if title else ""
    if name == "score" or (heading and name == "rating"):
        name = heading
    if title is None or name not in _PLACES:
        return None
    match, rest = _VALUE.match(title[3]), title[3]
    if match is None and title[2] and _VALUE.fullmatch(title[2]):
        match, rest = _VALUE.match(title[2]), " " * len(title[2]) + title[3]
    if match is None:
        return None
    rest = rest[match.end() :]
    if _RANGE.match(rest):
        return _Entry(_PLACES[name], None, "ambiguous", "")
    value, problem = _on_five(match[1], match[2])
    return _Entry(_PLACES[name], value, problem, _rationale(rest), match[2] is None)


def _name(title: str) -> str:
    return " ".join(re.sub(r"[_&/-]+", " ", title).lower().removesuffix(" score").split())


def _rationale(rest: str) -> str:
    return " ".join(rest.strip().strip("|").lstrip("-–—:|.;, *_").split())


def _on_five(number: str, denominator: str | None) -> tuple[float | None, str]:
    value = float(number.replace(",", "."))
    if denominator is None:
        return value, ""
    out_of = float(denominator)
    if out_of <= 0 or value > out_of:
        return None, "out_of_range"
    return value * 5.0 / out_of, ""


def _json_verdicts(text: str) -> Iterator[tuple[int, list[_Entry]]]:
    """Objects in the text that hold scores, nested under `scores` or not."""
    decoder = json.JSONDecoder()
    place, tries = text.find("{"), 0
    while place >= 0 and tries < 200:
        tries += 1
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            entries = list(_json_entries(found, depth=0))
            if entries:
                yield place, entries
        place = text.find("{", end)


def _json_entries(found: Any, *, depth: int) -> Iterator[_Entry]:
    if not isinstance(found, dict) or depth > 2:
        return
    for key, value in found.items():
        name = _name(str(key))
        if name in _PLACES:
            yield _json_entry(_PLACES[name], value)
        else:
            yield from _json_entries(value, depth=depth + 1)


def _json_entry(dimension: int | None, value: Any) -> _Entry:
    rationale = ""
    if isinstance(value, dict):
        said = (value.get(key) for key in ("rationale", "justification", "reason"))
        rationale = next((words for words in said if isinstance(words, str)), "")
        value = value.get("score")
    match = _VALUE.match(str(value)) if not isinstance(value, bool) else None
    if match is None or _RANGE.match(str(value)[match.end() :]):
        return _Entry(dimension, None, "ambiguous", rationale)
    number, problem = _on_five(match[1], match[2])
    return _Entry(dimension, number, problem, rationale, match[2] is None)
