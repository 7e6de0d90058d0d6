"""A judge's reply without the verdicts that it merely quotes from what it judges.

A candidate may hold score lines or a JSON verdict of its own. A judge that quotes them after its
own verdict would otherwise seem to have changed its mind: what also stands in the judged text is
never a verdict.
"""

import json
import re

from skingpt_r1.rubric import DIMENSIONS

_NAME = re.compile("|".join((*DIMENSIONS, "overall")).replace(" ", r"[\s_-]+"), re.IGNORECASE)
_DIGIT = re.compile(r"\d")


def without_quotes(reply: str, candidate: str) -> str:
    """The reply without JSON objects and score lines that the candidate holds too.

    Args:
        reply: of a judge.
        candidate: what was judged, the whole of it.
    """
    if not _NAME.search(candidate):
        return reply
    material = _bare(candidate)
    decoder = json.JSONDecoder()
    parts: list[str] = []
    begin, place = 0, reply.find("{")
    while place >= 0:
        try:
            _, end = decoder.raw_decode(reply, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            parts.append(_own_lines(reply[begin:place], material))
            if not (_NAME.search(reply, place, end) and _in(reply[place:end], material)):
                parts.append(reply[place:end])
            begin = end
        place = reply.find("{", end)
    return "".join((*parts, _own_lines(reply[begin:], material)))


def _own_lines(text: str, material: str) -> str:
    """The lines but those that name a dimension with a number as the candidate does."""
    return "\n".join(
        line
        for line in text.split("\n")
        if not (_NAME.search(line) and _DIGIT.search(line) and _in(line, material))
    )


def _in(part: str, material: str) -> bool:
    bare = _bare(part)
    return bool(bare) and bare in material


def _bare(text: str) -> str:
    """Letters, digits and signs of numbers alone: marks, quotes and spaces change in quoting."""
    return re.sub(r"[^a-z0-9./]+", "", text.lower())
