"""What a written score is worth: digits of every script, decimals, fractions, words, denominators.

A number counts when what follows it leaves no doubt. Ranges, thousands, sums, dates and counted
things (`4 of 6 findings`) are ambiguous: they give no number rather than a wrong one.
"""

import re
import unicodedata
from types import MappingProxyType
from typing import NamedTuple

_WORDS = MappingProxyType(
    {
        "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
        "eight": 8, "nine": 9, "ten": 10, "twenty": 20, "hundred": 100,
    }
)  # fmt: skip
_WORD = "|".join(_WORDS)
_MARKS = r"[*_`\s]*+"
_UNIT = r"(?:\s?(?:points?|pts?\b\.?|stars?|marks?|★|⭐|分|点|點|점)(?![^\W\d_]))?"
_NUMBER = re.compile(
    rf"[\[(*_`\s]*+(?:score\s*[:=]\s*)?{_MARKS}(?:"
    r"(?P<mixed>\d{0,9})\s?(?P<part>[¼-¾⅐-⅞])"
    r"|(?P<whole>\d{1,9})\s(?P<top>\d)/(?P<bottom>\d)(?![\d/.])"
    r"|(?P<plain>[+-]?(?:\d{1,9}(?:[.,]\d{1,20})?|[.,]\d{1,20})(?:e[+-]?\d{1,3})?)"
    rf"|(?P<word>{_WORD})\b(?P<half>\sand\sa\shalf\b)?(?:\spoint\s(?P<tenth>{_WORD})\b)?"
    rf"(?=\W*$|\W*[-–—.,;:/(|%]|\s(?:out|points?|stars?|percent|because|as|since)\b"
    rf"|\sof\s(?:\d|(?:{_WORD})\b)))",
    re.IGNORECASE,
)
_LOW = r"(?:[01](?:[.,]0+)?\s*(?:[-–—]|to|\.\.)\s*)"
_HIGHEST = rf"(?P<highest>\d{{1,4}}(?:[.,]0{{1,2}})?(?!\d|[.,]\d)|(?:{_WORD})\b)"
# What says what the highest score is, behind a number: `/5`, `out of a possible 10`, `(0-10)`.
_DENOMINATOR = re.compile(
    rf"{_MARKS}{_UNIT}{_MARKS}(?:"
    rf"(?P<percent>%|per\s?cent\b)"
    rf"|[(\[,;]?\s*(?:/|\b(?:out\s+of|of|over|von|sur|sobre|su|de|из)\s)\s*(?:the\s|an?\s)?"
    rf"(?:(?:possible|maximum|total|max)\s)?(?:of\s)?{_MARKS}{_HIGHEST}"
    rf"|[(\[,;]?\s*(?:on\s)?(?:an?\s|the\s)?(?:scale|max(?:imum)?)\.?:?\s*(?:of\s|from\s)?\s*"
    rf"{_LOW}?(?P<scale>\d{{1,4}})(?!\d|[.,]\d)"
    rf"|[(\[]\s*{_LOW}(?P<span>\d{{1,4}})(?!\d|[.,]\d)"
    rf"|[(\[,;]?\s*on\s(?:an?\s|the\s)?(?P<points>\d{{1,4}})[-\s]point\sscale"
    rf"){_UNIT}[\])*_`]*",
    re.IGNORECASE,
)
_SCALE = re.compile(
    r"(?:(?P<low>[01])(?:[.,]0+)?\s*(?:[-–—]|to|\.\.)\s*|\bout\sof\s+|/\s*|\bof\s+"
    r"|\bmax(?:imum)?\.?:?\s*(?:of\s)?)(?P<high>\d{1,4})(?:[.,]0+)?\s*(?:points?|%)?\W*$",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    r"\b(?:scales?|scores?|scored|ratings?|rated)\b[^.!?\n\d]{0,30}?"
    r"(?:(?P<low>[01])(?:[.,]0+)?\s*(?:[-–—]|to)\s*|\bout\sof\s+|\bscale\sof\s+|/\s?)"
    r"(?P<high>\d{1,4})(?!\d|[.,/-]\d)"
    r"|\b(?:(?P<from>[01])\s*(?:[-–—]|to)\s*)?(?P<up_to>\d{1,4})[-–\s](?:point\s)?scale\b",
    re.IGNORECASE,
)
_COUNTED = (
    r"(?:findings?|signs?|features?|criteria|statements?|claims?|items?|steps?|lesions?|errors?"
    r"|diagnos[ei]s|elements?|aspects?|concerns?|issues?|problems?|mistakes?|words?|sentences?)\b"
)
# What follows a number that is none, or not the whole of it.
_UNCLEAR = re.compile(
    r"[^\W_]|[²³¹⁰-⁹₀-₉]|\s*\d|[.,:;'’…]{1,2}\d|\s?[/\\^~×*+±→⇒]{1,2}\s?\d|[.,]\s\d+(?:[.,]\d+)?\s*$"
    r"|\s?(?:->|=>|→|⇒|±|\+|~|\.\.|…)"
    r"|\s+(?:thousand|hundred|million)\b"
    rf"|\s*(?:[-–—]|to|or|and|bis)\s*(?:\d+(?:[.,]\d+)?|{_WORD})(?=\s*(?:$|[/.,;|)\]*%]|[-–—]\s))"
    r"|\s+(?:or|and)\s(?:higher|lower|more|less|above|below|up|better|worse)\b"
    rf"|\s+(?:of\s|key\s|clinical\s|major\s|minor\s|wrong\s|missing\s)?{_COUNTED}",
    re.IGNORECASE,
)
_SMALLEST_DENOMINATOR = 4.0  # 1/2 and 2/3 are fractions, not scores of a scale; 1 is a scale
_LOOKED_AT = 300  # characters behind which no part of a number is looked for
_HIDDEN = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_SIGNS = str.maketrans({"٫": ".", "·": ".", "،": ",", "٪": "%", "−": "-", "⁄": "/", "∕": "/"})


class WrittenScore(NamedTuple):
    """A score as it stands in a text.

    Attributes:
        value: the number; None when it is ambiguous.
        out_of: the highest score that it is one of, where that is said; None for a bare number.
        problem: a code of `rubric.REASONS`; empty when there is none.
        rest: what follows.
    """

    value: float | None
    out_of: float | None
    problem: str
    rest: str

    @property
    def on_five(self) -> float | None:
        """The value brought to a highest score of 5; a bare number as it is."""
        return on_five(self.value, self.out_of)


def on_five(value: float | None, out_of: float | None) -> float | None:
    """A value of a scale brought to a highest score of 5; without a scale as it is."""
    return value if value is None or out_of is None else round(value * 5.0 / out_of, 6)


def read_score(text: str) -> WrittenScore | None:
    """The score that a text begins with; None when it begins with no number.

    Args:
        text: what follows a dimension's name, or a value of a JSON object.
    """
    text = without_hidden(text)
    shown = plain_digits(text[:_LOOKED_AT])
    number = _NUMBER.match(shown)
    if number is None:
        return None
    denominator = _DENOMINATOR.match(shown, number.end())
    end = denominator.end() if denominator else number.end()
    end += len(re.match(rf"{_UNIT}[\])*_`]*", shown[end:])[0])  # type: ignore[index]
    value, out_of = _value(number), _highest(denominator)
    unclear = value is None or _UNCLEAR.match(shown, end) or not _is_scale(out_of)
    if unclear:
        return WrittenScore(None, None, "ambiguous", text[end:])
    if out_of is not None and value is not None and value > out_of:
        return WrittenScore(None, None, "out_of_range", text[end:])
    return WrittenScore(value, out_of, "", text[end:])


def read_scale(text: str) -> float | None:
    """The highest score that a remark such as `0-10`, `out of 10` or `/10` speaks of."""
    found = _SCALE.search(plain_digits(text[:_LOOKED_AT]))
    return float(found["high"]) if found and _is_scale(float(found["high"])) else None


def announced_scale(line: str) -> tuple[float | None, float] | None:
    """Lowest and highest score of the scale that a line announces: `Scores (0-10):`.

    Args:
        line: one that holds no score itself.
    """
    found = _ANNOUNCED.search(plain_digits(line[:_LOOKED_AT]))
    if found is None:
        return None
    low, high = found["low"] or found["from"], float(found["high"] or found["up_to"])
    return (float(low) if low else None, high) if _is_scale(high) else None


def plain_digits(text: str) -> str:
    """A text of the same length with ASCII digits, signs of numbers and full-width letters."""
    if text.isascii():
        return text
    return "".join(map(_plain, text)).translate(_SIGNS)


def without_hidden(text: str) -> str:
    """A text without the signs of no width that can stand inside a number or a name."""
    return text if text.isascii() else _HIDDEN.sub("", text)


def _plain(letter: str) -> str:
    if letter.isdecimal():
        return str(unicodedata.decimal(letter))
    return chr(ord(letter) - 0xFEE0) if "！" <= letter <= "～" else letter


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
