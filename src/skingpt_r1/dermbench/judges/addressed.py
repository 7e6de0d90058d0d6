"""Sentences of a narrative that speak to its judge: they describe nothing and count for nothing."""

import re

from skingpt_r1.text.rubric import DIMENSIONS

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(\n+)")
_TO_THE_JUDGE = re.compile(
    r"\b(?:judges?|rubric|graders?|evaluators?|full\s+marks|system\s+note|every\s+dimension"
    r"|overall\s+score|score[ds]?\s*(?:it|this|:|=|\d)|give\s+\d"
    rf"|(?:{'|'.join(DIMENSIONS).lower()})\s*[:=]\s*\d)|\[\s*+/?\s*+text\s*+\]",
    re.IGNORECASE,
)


def without_addresses(text: str) -> str:
    """The text without the sentences that speak to a judge, or of scores.

    Args:
        text: of a candidate or a reference.
    """
    if not _TO_THE_JUDGE.search(text):
        return text
    pieces = (piece for piece in _SENTENCE.split(text) if piece)
    return " ".join(piece for piece in pieces if not _TO_THE_JUDGE.search(piece))
