"""The six dimensions of a narrative's quality, both published scales, and the reader of verdicts.

The canonical verdict is six titled lines and one overall line:

    Accuracy: 4.5 - Names the diagnosis. Improvement: Give the subtype.
    ...
    Overall Score: 4.2

A reply that cannot be read is `Unscored` with a reason; it is never 0 and never dropped.
Source: the six dimensions and the two protocols of the paper (DermEval; DermBench).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from skingpt_r1.text.tokens import VOCABULARY, patterns, plain_digits
from skingpt_r1.text.verdicts import DIMENSIONS as DIMENSIONS
from skingpt_r1.text.verdicts import (
    PLACES,
    FoundVerdict,
    WrittenScore,
    find_verdicts,
    read_score,
    title_name,
)

REASONS: Mapping[str, str] = VOCABULARY["unscored_reasons"]
# flag -> what is unusual about a reply whose scores count nevertheless.
FLAGS: Mapping[str, str] = VOCABULARY["flags"]


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
    """One verdict, with one score per dimension in the order of `DIMENSIONS`."""

    values: tuple[float, ...]
    protocol: Protocol = Protocol.DECIMAL_0_5
    overall: float | None = None  # as the judge gave it; None when the reply has none
    # dimension -> justification and improvement, where given
    rationales: Mapping[str, str] = field(default_factory=dict, hash=False)
    # codes of `FLAGS`: what was unusual about the reply
    flags: tuple[str, ...] = field(default=(), compare=False)

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
    """A reply without a readable verdict: a code of `REASONS`, and for a person what was wrong."""

    reason: str
    detail: str = ""


_NAMES = "|".join(sorted(map(re.escape, PLACES), key=len, reverse=True)).replace(r"\ ", r"[\s_-]")
_RE = patterns("rubric", names=_NAMES)
_OPENING = 1000  # characters in which a refusal begins


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
    text: str,
    protocol: Protocol = Protocol.DECIMAL_0_5,
    *,
    scale: float | None = None,
    judged: str = "",
    mark: str = "",
) -> Scores | Unscored:
    """The last complete verdict of a judge's reply, or why there is none.

    Args:
        text: the reply alone; never the prompt, so that what the judged text says does not count.
        protocol: the scale that was asked for, and that the scores are brought to.
        scale: the highest score that a bare number can mean, where the prompt said so (10 for
            0-10); by default a verdict with a number above 5 and none above 10 is read as 0-10.
        judged: the text that was judged, if there is one: what the reply quotes from it does not
            count.
        mark: what the judge was asked to repeat in its verdict; a verdict with it counts before all
            others.
    """
    if not re.search(r"\w", text):
        return Unscored("empty")
    finished = after_thinking(text)
    if finished is None:
        return Unscored("truncated", "the thinking block does not end")
    verdicts = find_verdicts(finished)
    marked = marked_verdicts(finished, verdicts, mark) if mark else []
    own = marked or (own_verdicts(finished, verdicts, judged) if judged else verdicts)
    complete = [index for index, verdict in enumerate(own) if verdict.is_complete]
    if not complete:
        return _explain(finished, own, verdicts)
    if any(verdict.dimensions for verdict in own[complete[-1] + 1 :]):
        # What was complete may be a quotation; the verdict that was begun after it is not there.
        return Unscored("incomplete", "a second verdict begins after the last complete one")
    chosen = _on_the_asked_scale([own[index] for index in complete], protocol, scale)
    if _ends_in_number(finished, chosen):
        return Unscored("truncated", "the reply may break off inside its last score")
    flags = {
        "declined_first": _RE["refusal"].search(finished[: chosen.start][:_OPENING]) is not None,
        "mended_json": chosen.is_mended,
        "no_mark": bool(mark) and not marked,
    }
    return _scores(chosen, protocol, scale, tuple(name for name, is_so in flags.items() if is_so))


def parse_some_scores(
    text: str, protocol: Protocol = Protocol.DECIMAL_0_5, *, scale: float | None = None
) -> dict[str, float]:
    """The dimensions of the last verdict that have a readable score, complete or not.

    For the reward of a judge in training; a result is never made of a part of a verdict.
    """
    found = parse_scores(text, protocol, scale=scale)
    if isinstance(found, Scores):
        return dict(zip(DIMENSIONS, found.values, strict=True))
    verdicts = find_verdicts(after_thinking(text) or "")
    entries = [entry for entry in (verdicts[-1].entries if verdicts else ()) if not entry.problem]
    values = _on_scale(entries, scale, protocol)
    return {
        DIMENSIONS[place]: value
        for place, value in values.items()
        if place is not None and protocol.problem(value) is None
    }


def _on_the_asked_scale(
    verdicts: Sequence[FoundVerdict], protocol: Protocol, scale: float | None
) -> FoundVerdict:
    """The last verdict on the scale that was asked for; where there is none, the last."""
    asked = [found for found in verdicts if not _is_on_another(found, protocol, scale)]
    return (asked or verdicts)[-1]


def _is_on_another(verdict: FoundVerdict, protocol: Protocol, scale: float | None) -> bool:
    highest = scale or protocol.high
    entries = verdict.dimensions.values()
    above = sum((entry.value or 0.0) > highest for entry in entries if entry.out_of is None)
    # A single number above the highest is a slip; most of them are another scale.
    most = len(DIMENSIONS) // 2 if scale else 0
    other_denominator = any(entry.out_of not in (None, highest) for entry in entries)
    return other_denominator or above > most or verdict.lowest not in (None, protocol.low)


def _ends_in_number(text: str, verdict: FoundVerdict) -> bool:
    """Whether a last whole number, among decimals, may have lost its decimal."""
    last = re.search(r"[:|]\s*\d+\.?$", text[-40:])
    return last is not None and any(entry.value and entry.value % 1 for entry in verdict.entries)


def _explain(text: str, own: Sequence[FoundVerdict], verdicts: Sequence[FoundVerdict]) -> Unscored:
    found = {place for verdict in own for place in verdict.dimensions}
    missing = [name for index, name in enumerate(DIMENSIONS) if index not in found]
    if found:
        is_prefix = found == set(range(len(found))) and len(found) < len(DIMENSIONS)
        is_cut = is_prefix or not re.search(r"[.!?\d}|*)]\s*$", text[-200:])
        return Unscored("truncated" if is_cut else "incomplete", f"no score: {', '.join(missing)}")
    if _RE["refusal"].search(text[:_OPENING]):
        return Unscored("refusal")
    if any(verdict.is_complete for verdict in verdicts):
        return Unscored("no_scores", "the reply only quotes scores of the judged text")
    is_json = re.search(r"[{\[]", text) and any(name in text for name in DIMENSIONS)
    return Unscored("no_scores", "its JSON cannot be read" if is_json else "")


def _scores(
    verdict: FoundVerdict, protocol: Protocol, scale: float | None, flags: tuple[str, ...]
) -> Scores | Unscored:
    problem = next((entry for entry in verdict.entries if entry.problem), None)
    if problem is not None:
        name = "Overall" if problem.dimension is None else DIMENSIONS[problem.dimension]
        return Unscored(problem.problem, name)
    denominators = {entry.out_of for entry in verdict.dimensions.values()}
    if None in denominators and denominators - {None, protocol.high}:
        return Unscored("ambiguous", "some scores have a denominator, and others have none")
    values = _on_scale(verdict.entries, scale, protocol)
    overall = values.pop(None, None)
    for place, value in values.items():
        wrong = protocol.problem(value)
        if wrong:
            return Unscored(wrong, f"{DIMENSIONS[place or 0]}: {value:g}, allowed {protocol.value}")
    if overall is not None and not 0 <= overall <= protocol.high:
        return Unscored("out_of_range", f"Overall: {overall:g}")
    said = {DIMENSIONS[place]: entry.said for place, entry in verdict.dimensions.items()}
    rationales = {name: words for name, words in said.items() if words}
    ordered = tuple(values[place] for place in range(len(DIMENSIONS)))
    return Scores(ordered, protocol, overall, MappingProxyType(rationales), flags)


def _on_scale(
    entries: Sequence[WrittenScore], scale: float | None, protocol: Protocol
) -> dict[int | None, float]:
    """Place of a dimension -> value on the protocol's scale; None is the overall score."""
    bare = [entry.value for entry in entries if entry.value is not None and entry.out_of is None]
    highest = max(bare, default=0.0)
    guessed = 10.0 if protocol.high < highest <= 10.0 else protocol.high
    found = {}
    for entry in entries:
        if entry.value is not None:
            out_of = entry.out_of or scale or guessed
            found[entry.dimension] = round(entry.value * protocol.high / out_of, 6)
    return found


def after_thinking(reply: str) -> str | None:
    """The part of a judge's reply that follows its thinking; None when the thinking does not end.

    A judge may quote tags of what it judges: a tag counts only where its own thinking can begin or
    end. Thinking that begins the reply ends with its own closing tag, pairs inside it left aside;
    with more opening than closing tags inside it, it ends with the last closing tag.
    """
    tags = list(_RE["tag"].finditer(reply))
    if tags and not tags[0][1] and not reply[: tags[0].start()].strip():
        depth, last = 0, None
        for tag in tags:
            depth += -1 if tag[1] else 1
            last = tag if tag[1] else last
            if depth == 0:
                break
        return None if last is None else reply[last.end() :]
    depth = 0
    for tag in tags:
        depth += -1 if tag[1] else 1
        if depth < 0 and _RE["closing_line"].match(reply, tag.start()):
            return reply[tag.end() :]
        depth = max(depth, 0)
    return reply


_LONGEST_LEAD = 300
_LOOKED_AT = 60  # characters behind a name in which a claimed score stands


def own_verdicts(reply: str, verdicts: Sequence[FoundVerdict], judged: str) -> list[FoundVerdict]:
    """The verdicts that are not quotations of claims in the judged text.

    A judged text may hold score lines or JSON of its own, and a judge may repeat them in another
    order or form: values are compared, not letters. A verdict with a score that is claimed nowhere
    is the judge's. One that can be put together from claims is the judge's when it is said as a
    judge says it, for judges may agree with a claim.
    """
    claims = _claims(judged)
    without_overall = [
        {place: claim[place] for place in claim if place is not None} for claim in claims
    ]
    single = {pair for claim in claims for pair in claim.items()}
    own = [v for v in verdicts if not (_values(v) and _values(v).items() <= single)]
    if any(verdict.is_complete for verdict in own):
        return [_without_claimed_overall(verdict, single) for verdict in own]
    # All that is whole can be put together from claims.
    whole = [verdict for verdict in verdicts if verdict.is_complete]
    material = _bare(judged)
    agreeing = [verdict for verdict in whole if _sounds_own(reply, verdict, material)]
    unlike = [
        verdict
        for verdict in whole
        if _values(verdict) not in without_overall
        and not _RE["quoting_words"].search(_lead(reply, verdict))
    ]
    return agreeing[:1] or unlike[-1:] or own


def _without_claimed_overall(
    verdict: FoundVerdict, single: set[tuple[int | None, float]]
) -> FoundVerdict:
    """Titled lines without an overall score that may be a quotation below them."""
    kept = tuple(
        entry
        for entry in verdict.entries
        if verdict.source or entry.dimension is not None or (None, entry.on_five) not in single
    )
    return replace(verdict, entries=kept)


def marked_verdicts(reply: str, verdicts: Sequence[FoundVerdict], mark: str) -> list[FoundVerdict]:
    """The verdicts with the mark in them, or on a line of its own that leads to them."""
    line = re.compile(rf"\W*(?:mark\W*)?{re.escape(mark)}\W*", re.IGNORECASE)
    ends = {verdict.end for verdict in verdicts}
    found = []
    for verdict in verdicts:
        before, _, lead = reply[: verdict.start].rstrip().rpartition("\n")
        # Between two verdicts a mark may belong to either.
        leads = line.fullmatch(lead[:_LONGEST_LEAD]) and len(before.rstrip()) not in ends
        if mark in verdict.source or leads:
            found.append(verdict)
    return found


def _claims(text: str) -> list[dict[int | None, float]]:
    """The scores that a text claims, wherever they stand in it; a run ends where one changes."""
    runs = [_values(verdict, overall=True) for verdict in find_verdicts(text)]
    run: dict[int | None, float] = {}
    plain = plain_digits(text)
    for title in _RE["claim"].finditer(plain):
        place = PLACES[title_name(title[1])]
        score = read_score(plain[title.end() : title.end() + _LOOKED_AT].partition("\n")[0])
        if score is None or score.on_five is None:
            continue
        if run.get(place, score.on_five) != score.on_five:
            runs.append(run)
            run = {}
        run[place] = score.on_five
    return [*runs, run]


def _values(verdict: FoundVerdict, *, overall: bool = False) -> dict[int | None, float]:
    return {
        entry.dimension: entry.on_five
        for entry in verdict.entries
        if entry.on_five is not None and (overall or entry.dimension is not None)
    }


def _sounds_own(reply: str, verdict: FoundVerdict, material: str) -> bool:
    """Whether a verdict that agrees with a claim is said in the judge's own words."""
    lead = _lead(reply, verdict)
    if not re.search(r"\w", lead):
        return True
    if _RE["quoting_words"].search(lead) or _bare(lead) in material:
        return False
    said = [entry.said for entry in verdict.entries if re.search(r"\w", entry.said)]
    is_new = bool(said) and not any(_bare(words) in material for words in said)
    return is_new or _RE["own_words"].search(lead) is not None


def _lead(reply: str, verdict: FoundVerdict) -> str:
    """The line that leads to a verdict; empty where it begins the reply."""
    before = reply[: verdict.start].rstrip("`jsonJSON# \n\t")
    return before.rpartition("\n")[2][-_LONGEST_LEAD:]


def _bare(text: str) -> str:
    """Letters, digits and signs of numbers alone: marks, quotes and spaces change in quoting."""
    return re.sub(r"[^a-z0-9./]+", "", text.lower())
