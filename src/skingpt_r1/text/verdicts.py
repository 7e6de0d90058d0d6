"""Where verdicts stand in a text, and what a written score is worth.

Verdicts are titled lines, rows of a table, and JSON, nearly valid or not. What is found is not
trusted yet: `rubric` decides which is the judge's own, and whether it fits the protocol.
A number, in digits of every script or in words, counts when what follows it leaves no doubt.
Ranges, thousands, sums, dates and counted things (`4 of 6 findings`) are ambiguous: they give no
number rather than a wrong one.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, NamedTuple

from skingpt_r1.text.nearly_json import Fields, find_objects, is_strict_json
from skingpt_r1.text.tokens import VOCABULARY, patterns, plain_digits, without_invisible

_WORDS: Mapping[str, int] = VOCABULARY["numbers"]
_WORD = "|".join(_WORDS)
_RE = patterns("verdicts", word=_WORD)
_SMALLEST_DENOMINATOR = 4.0  # 1/2 and 2/3 are fractions, not scores of a scale; 1 is a scale
_LOOKED_AT = 300  # characters behind which no part of a number is looked for


class WrittenScore(NamedTuple):
    """A score as it stands in a text."""

    value: float | None  # None when it is ambiguous
    out_of: float | None  # the highest score that it is one of; None for a bare number
    problem: str  # a code of `rubric.REASONS`; empty when there is none
    said: str = ""  # what follows it, such as a rationale
    dimension: int | None = None  # place in `DIMENSIONS`; None for the overall score

    @property
    def on_five(self) -> float | None:
        """The value brought to a highest score of 5; a bare number as it is."""
        if self.value is None or self.out_of is None:
            return self.value
        return round(self.value * 5.0 / self.out_of, 6)


_AMBIGUOUS = WrittenScore(None, None, "ambiguous")


def read_score(text: str) -> WrittenScore | None:
    """The score that a text begins with, such as what follows a name; None without a number."""
    text = without_invisible(text)
    shown = plain_digits(text[:_LOOKED_AT])
    number = _RE["number"].match(shown)
    if number is None:
        return None
    denominator = _RE["denominator"].match(shown, number.end())
    end = denominator.end() if denominator else number.end()
    unit = _RE["unit_behind"].match(shown, end)
    end = unit.end() if unit else end
    value, out_of, rest = _value(number), _highest(denominator), text[end:]
    if value is None or _RE["unclear"].match(shown, end) or not _is_scale(out_of):
        return _AMBIGUOUS._replace(said=rest)
    if out_of is not None and value > out_of:
        return WrittenScore(None, None, "out_of_range", rest)
    return WrittenScore(value, out_of, "", rest)


def read_scale(text: str) -> float | None:
    """The highest score that a remark such as `0-10`, `out of 10` or `/10` speaks of."""
    found = _RE["scale"].search(plain_digits(text[:_LOOKED_AT]))
    return float(found["high"]) if found and _is_scale(float(found["high"])) else None


def announced_scale(line: str) -> tuple[float | None, float] | None:
    """Lowest and highest score of the scale that a line without scores announces."""
    found = _RE["announced"].search(plain_digits(line[:_LOOKED_AT]))
    if found is None:
        return None
    low, high = found["low"] or found["from"], float(found["high"] or found["up_to"])
    return (float(low) if low else None, high) if _is_scale(high) else None


def _value(number: re.Match[str]) -> float | None:
    if number["part"]:
        return float(number["mixed"] or 0) + unicodedata.numeric(number["part"])
    if number["whole"]:
        top, bottom = int(number["top"]), int(number["bottom"])
        return float(number["whole"]) + top / bottom if top < bottom else None
    if number["word"]:
        half = 0.5 if number["half"] else 0.0
        tenth = _WORDS[number["tenth"].lower()] / 10 if number["tenth"] else 0.0
        return _WORDS[number["word"].lower()] + half + tenth
    if re.fullmatch(r"[+-]?\d+,\d{3}", number["plain"]):
        return None  # thousands, or three decimals
    return float(number["plain"].replace(",", "."))


def _highest(denominator: re.Match[str] | None) -> float | None:
    if denominator is None:
        return None
    if denominator["percent"]:
        return 100.0
    words = ("highest", "scale", "span", "points")
    said = next(denominator[name] for name in words if denominator[name]).lower()
    return float(_WORDS[said]) if said in _WORDS else float(said.replace(",", "."))


def _is_scale(out_of: float | None) -> bool:
    return out_of is None or out_of == 1.0 or out_of >= _SMALLEST_DENOMINATOR


DIMENSIONS = (
    "Accuracy", "Safety", "Medical Groundedness", "Clinical Coverage", "Reasoning Coherence",
    "Description Precision",
)  # fmt: skip

# Every name of a dimension -> its place; None for the overall score.
PLACES: Mapping[str, int | None] = {
    alias: DIMENSIONS.index(name) if name in DIMENSIONS else None
    for name, aliases in VOCABULARY["dimensions"].items()
    for alias in (*aliases, name.lower())
}
_OFFICIAL = re.compile("|".join(DIMENSIONS).replace(" ", r"[\s_-]"), re.IGNORECASE)
_LONGEST_LINE = 4000
_MOST_DEEP = 4
_LOOKED_BACK = 200  # characters in front of an object that may say what its scores mean
_KEYS: Mapping[str, Sequence[str]] = VOCABULARY["verdict_keys"]


@dataclass(frozen=True, slots=True)
class FoundVerdict:
    """Scores that stand together, from `start` to `end` in a text."""

    entries: tuple[WrittenScore, ...]  # of each dimension that is there, and the overall score
    start: int
    end: int
    lowest: float | None = None  # of the scale that is announced for it; None where none is
    source: str = ""  # the object it was read from; empty for lines

    @property
    def dimensions(self) -> dict[int, WrittenScore]:
        """Place of a dimension -> its entry."""
        return {item.dimension: item for item in self.entries if item.dimension is not None}

    @property
    def is_complete(self) -> bool:
        """Whether all six dimensions are there, readable or not."""
        return len(self.dimensions) == len(DIMENSIONS)

    @property
    def is_mended(self) -> bool:
        """Whether it is JSON that was not quite valid."""
        return bool(self.source) and not is_strict_json(self.source)


def find_verdicts(text: str) -> list[FoundVerdict]:
    """All verdicts in order; beside titled lines, JSON in the middle of a line is a quotation."""
    objects = list(_joined(text, _json_verdicts(text)))
    lines = list(_line_verdicts(_without_objects(text, objects)))
    if any(verdict.is_complete for verdict in lines):
        objects = [verdict for verdict in objects if _begins_line(text, verdict.start)]
    return sorted([*lines, *objects], key=attrgetter("start"))


def _without_objects(text: str, objects: Sequence[FoundVerdict]) -> str:
    """The text with spaces for the JSON that is read as such; lines and places stay."""
    parts, place = [], 0
    for found in objects:
        if "\n" in found.source or _begins_line(text, found.start):
            parts += [text[place : found.start], re.sub(r"[^\n]", " ", found.source)]
            place = found.end
    return "".join((*parts, text[place:]))


def _begins_line(text: str, place: int) -> bool:
    before = text[max(0, place - _LOOKED_BACK) : place]
    return not before.rpartition("\n")[2].strip()


def _line_verdicts(text: str) -> Iterator[FoundVerdict]:
    """Runs of titled lines; a dimension that comes again begins a new verdict.

    Where the run has not all dimensions yet, the new verdict keeps what stands between: a score
    that is mentioned in front of a verdict takes nothing of it.
    """
    run, place = _Run(), 0
    for line in text.split("\n"):
        entry = _line_entry(line, run) if len(line) <= _LONGEST_LINE else None
        is_next = entry is not None and entry.dimension in run.entries
        if entry is not None and is_next and not run.is_whole:
            yield run.leave_behind(entry.dimension)
        elif is_next or (entry is None and run.is_over(line)):
            yield run.verdict()
            run = _Run(run.heading, run.column)
        if entry is None:
            run.pass_by(line)
        else:
            run.add(entry, place, place + len(line))
        run.heading = _heading(line) or (run.heading if not line.strip() else "")
        place += len(line) + 1
    if run.entries:
        yield run.verdict()


@dataclass
class _Run:
    """Titled lines that are being read."""

    heading: str = ""  # the dimension that the line before announces
    column: int | None = None  # of the scores, in a table whose heading says so
    scale: tuple[float | None, float] | None = None  # lowest and highest, where a line says so
    # dimension -> its score, and where its line begins and ends
    entries: dict[int | None, tuple[WrittenScore, int, int]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all dimensions are there."""
        return set(range(len(DIMENSIONS))) <= set(self.entries)

    def is_over(self, line: str) -> bool:
        """Whether a line without a score leads to another verdict."""
        leads = line.rstrip().endswith(":") and not _heading(line)
        return self.is_whole and (leads or announced_scale(line) is not None)

    def pass_by(self, line: str) -> None:
        """A line without a score: it may say what the scores below it mean."""
        if re.search(r"\w", line):
            self.column = _score_column(line)
            if not self.entries and not _heading(line):
                self.scale = announced_scale(line)

    def add(self, entry: WrittenScore, start: int, end: int) -> None:
        """One more score."""
        highest = self.scale[1] if self.scale else None
        self.entries[entry.dimension] = _scaled(entry, highest), start, end

    def leave_behind(self, dimension: int | None) -> FoundVerdict:
        """What was read up to a dimension, which the run forgets."""
        names = list(self.entries)
        return self._of([self.entries.pop(n) for n in names[: names.index(dimension) + 1]])

    def verdict(self) -> FoundVerdict:
        """What was read."""
        return self._of(list(self.entries.values()))

    def _of(self, lines: Sequence[tuple[WrittenScore, int, int]]) -> FoundVerdict:
        lowest = self.scale[0] if self.scale else None
        return FoundVerdict(tuple(line[0] for line in lines), lines[0][1], lines[-1][2], lowest)


def _heading(line: str) -> str:
    """The dimension that a line of its own announces: `### Accuracy`."""
    name = title_name(re.sub(r"[#*_`:.\d]+", " ", line)) if len(line) < 80 else ""
    return name if name in PLACES else ""


def _line_entry(line: str, run: _Run) -> WrittenScore | None:
    line = without_invisible(line)
    cells = line.strip().strip("|").split("|")
    row = _row_entry(cells, run.column) if len(cells) > 1 else None
    if row is not None:
        return row
    title = _RE["title"].match(plain_digits(line))
    name = title_name(title[1]) if title else ""
    if name == "score" or (run.heading and name == "rating"):
        name = run.heading
    if title is None or name not in PLACES:
        return None
    return _title_entry(PLACES[name], title[2] or "", line[title.start(3) :])


def _title_entry(dimension: int | None, beside: str, rest: str) -> WrittenScore | None:
    """The score behind a title, or in the brackets beside it; with two, neither."""
    inside, score = read_score(beside), read_score(rest)
    if inside is not None and not inside.said.strip():
        if score is not None:
            return _AMBIGUOUS._replace(dimension=dimension)
        return _named(dimension, inside._replace(said=rest))
    return None if score is None else _scaled(_named(dimension, score), read_scale(beside))


def _row_entry(cells: Sequence[str], column: int | None) -> WrittenScore | None:
    """The score in a row of a table: in its column, else the only number behind the name."""
    names = [title_name(re.sub(r"[*`]|^\s*\d{1,2}[.):]", " ", cell)) for cell in cells]
    at = next((place for place, name in enumerate(names) if name in PLACES), None)
    if at is None:
        return None
    scores = {place: read_score(cells[place]) for place in range(at + 1, len(cells))}
    whole = [place for place, score in scores.items() if score and not score.said.strip()]
    chosen = column if column in scores else whole[0] if whole else at + 1
    score = scores.get(chosen) if chosen is not None else None
    if score is None:
        return None
    if column not in scores and len(whole) > 1:
        return _AMBIGUOUS._replace(dimension=PLACES[names[at]])
    others = [cell for place, cell in enumerate(cells) if place > at and place != chosen]
    return _named(PLACES[names[at]], score._replace(said=" ".join((score.said, *others))))


def _score_column(line: str) -> int | None:
    """Which cell of a table's heading says that scores stand below it."""
    cells = line.strip().strip("|").split("|") if len(line) <= _LONGEST_LINE else []
    found = [place for place, cell in enumerate(cells) if _RE["score_column"].search(cell)]
    return found[0] if len(cells) > 1 and len(found) == 1 else None


def title_name(title: str) -> str:
    """A dimension's name as `PLACES` has it."""
    words = re.sub(r"[_&/-]+|(?<=[a-z])(?=[A-Z])", " ", title)
    return " ".join(words.lower().removesuffix(" score").split())


def _named(dimension: int | None, score: WrittenScore, said: str = "") -> WrittenScore:
    said = said or " ".join(score.said.strip().strip("|").lstrip("-–—:|.;, *_").split())
    return score._replace(dimension=dimension, said=said)


def _scaled(entry: WrittenScore, highest: float | None) -> WrittenScore:
    """A bare number on a scale that is said elsewhere."""
    if highest is None or entry.value is None or entry.out_of is not None:
        return entry
    if entry.value > highest:
        return entry._replace(value=None, problem="out_of_range")
    return entry._replace(out_of=highest)


def _json_verdicts(text: str) -> Iterator[FoundVerdict]:
    """Objects and lists in the text that hold scores, nested or not."""
    end, is_broken = 0, False
    for found in find_objects(text):
        if found.content is None:
            is_broken = is_broken or _OFFICIAL.search(text, found.start, found.end) is not None
            continue
        if is_broken and not _begins_line(text, found.start):
            continue  # quoted inside a verdict that cannot be read
        before = text[max(end, found.start - _LOOKED_BACK) : found.start].rstrip("`jsonJSON \n\t")
        scale = announced_scale(before.rpartition("\n")[2])
        entries = _merged(_json_entries(found.content, scale[1] if scale else None, depth=0))
        source, lowest = text[found.start : found.end], scale[0] if scale else None
        verdict = FoundVerdict(entries, found.start, found.end, lowest, source)
        if entries and (found.is_closed or verdict.is_complete):
            end = found.end
            yield verdict


def _joined(text: str, verdicts: Iterator[FoundVerdict]) -> Iterator[FoundVerdict]:
    """Objects of one dimension each, one behind the other, as one verdict."""
    last: FoundVerdict | None = None
    for found in verdicts:
        if last is None:
            last = found
        elif _is_continued(text, last, found):
            entries, source = (*last.entries, *found.entries), text[last.start : found.end]
            last = replace(last, entries=entries, end=found.end, source=source)
        else:
            yield last
            last = found
    if last is not None:
        yield last


def _is_continued(text: str, one: FoundVerdict, two: FoundVerdict) -> bool:
    between = text[one.end : min(two.start, one.end + _LOOKED_BACK)].strip(", \n\t\r")
    shared = {entry.dimension for entry in one.entries} & {e.dimension for e in two.entries}
    return not (between or shared or one.is_complete)


def _merged(entries: Iterator[WrittenScore]) -> tuple[WrittenScore, ...]:
    """One entry for each dimension; two different scores of one are ambiguous."""
    found: dict[int | None, WrittenScore] = {}
    for entry in entries:
        known = found.get(entry.dimension, entry)
        same = (known.on_five, known.problem) == (entry.on_five, entry.problem)
        clash = entry._replace(value=None, out_of=None, problem="ambiguous")
        found[entry.dimension] = known if same else clash
    return tuple(found.values())


def _json_entries(content: Any, highest: float | None, *, depth: int) -> Iterator[WrittenScore]:
    if depth > _MOST_DEEP or isinstance(content, str):
        return
    if isinstance(content, list):
        for item in content:
            yield from _json_entries(item, highest, depth=depth + 1)
        return
    highest = _json_scale(content) or highest
    named = title_name(_text_under(content, _KEYS["name"]))
    if named in PLACES and _score_under(content) is not None:
        yield from _json_entry(PLACES[named], content, highest)
        return
    for key, value in content.pairs:
        name = title_name(key)
        if name in PLACES:
            yield from _json_entry(PLACES[name], value, highest)
        else:
            yield from _json_entries(value, highest, depth=depth + 1)


def _json_entry(dimension: int | None, value: Any, highest: float | None) -> Iterator[WrittenScore]:
    said = ""
    if isinstance(value, Fields):
        said, highest = _text_under(value, _KEYS["said"]), _json_scale(value) or highest
        value = _score_under(value)
    score = read_score(value) if isinstance(value, str) else None
    if score is not None:
        yield _scaled(_named(dimension, score, said), highest)
    elif dimension is not None:
        yield _AMBIGUOUS._replace(dimension=dimension, said=said)


def _under(fields: Fields, keys: Sequence[str]) -> list[Any]:
    """The values under some keys, each once."""
    found: list[Any] = []
    for key, value in fields.pairs:
        if " ".join(key.replace("_", " ").lower().split()) in keys and value not in found:
            found.append(value)
    return found


def _text_under(fields: Fields, keys: Sequence[str]) -> str:
    return next((value for value in _under(fields, keys) if isinstance(value, str)), "")


def _score_under(fields: Fields) -> str | None:
    """The score of an object; None where there is none, or two."""
    found = _under(fields, _KEYS["score"])
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def _json_scale(fields: Fields) -> float | None:
    said = _text_under(fields, _KEYS["scale"]).strip()
    return read_scale(said) or (read_scale(f"/{said}") if said.isdecimal() else None)
