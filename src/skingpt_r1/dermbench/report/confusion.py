"""What the page shows of a confusion matrix, and the whole of it as JSON."""

import math
from collections.abc import Iterable
from typing import Any

from skingpt_r1.dermbench.report.data import Classification, Confusion

NO_LABEL = "no label"
_SHADES = 5
_LISTED = 30


def row_sums(confusion: Confusion) -> list[int]:
    """Cases of each label."""
    return [sum(row) for row in confusion.counts]


def heat(value: int, total: int) -> int:
    """Shade of a cell by its part of the row: 0 for none, up to 5."""
    return math.ceil(_SHADES * value / total) if total else 0


def most_confused(confusion: Confusion) -> list[tuple[str, str, int, int]]:
    """(label, answer, cases, cases of the label) off the diagonal, most frequent first."""
    names = (*confusion.classes, NO_LABEL)
    wrong = [
        (label, names[column], value, total)
        for row, (label, total) in enumerate(
            zip(confusion.classes, row_sums(confusion), strict=True)
        )
        for column, value in enumerate(confusion.counts[row])
        if value and column != row
    ]
    return sorted(wrong, key=lambda entry: -entry[2])[:_LISTED]


def confusion_records(parts: Iterable[Classification]) -> list[dict[str, Any]]:
    """Every matrix whole, for `confusion.json`; the last column counts answers without a label."""
    return [
        {
            "run": part.run,
            "benchmark": part.benchmark,
            "form": part.form,
            "system": confusion.system,
            "rows": confusion.classes,
            "columns": (*confusion.classes, NO_LABEL),
            "counts": confusion.counts,
        }
        for part in parts
        for confusion in part.confusions
    ]
