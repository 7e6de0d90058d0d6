"""Reading single cells: what counts as unknown, whole numbers, the series of a file name."""

import re
from collections.abc import Mapping

UNKNOWN = frozenset({"", "nan", "na", "n/a", "none", "null", "unk", "unknown"})


def known(value: str | None) -> str | None:
    """The trimmed value; None where the cell says that nothing is known."""
    text = (value or "").strip()
    return None if text.casefold() in UNKNOWN else text


def whole_number(value: str) -> int | None:
    """The integer that a cell holds, `63` or `63.0`; None for anything else."""
    match = re.fullmatch(r"\s*([+-]?\d{1,9})(?:\.0*)?\s*", value, re.ASCII)
    return int(match[1]) if match else None


def truth(value: str) -> bool | None:
    """True or False as spelled by pandas, R or a person; None for anything else."""
    return {
        "true": True, "1": True, "1.0": True, "yes": True,
        "false": False, "0": False, "0.0": False, "no": False,
    }.get(value.strip().casefold())  # fmt: skip


def rest(values: Mapping[str, str], *used: str) -> dict[str, str]:
    """The known cells of a row that no field of the case has taken, as they are."""
    kept = {name: known(value) for name, value in values.items() if name and name not in used}
    return {name: value for name, value in kept.items() if value is not None}


def stated(**facts: str | None) -> dict[str, str]:
    """The facts that are known, in the order given."""
    return {name: value for name, value in facts.items() if value is not None}


def lowered(value: str) -> str | None:
    """A known value in lower-case words; None when unknown."""
    text = known(value)
    return text.lower().replace("_", " ") if text else None


def file_series(stem: str) -> str:
    """The series a picture belongs to: its file name without the trailing number.

    `acne-cystic-101` and `Acne-Cystic-7` are both of the series `acne-cystic`. A name that is
    only a number is its own series.
    """
    series = re.sub(r"[-_ ]*\d+$", "", stem)
    return (series or stem).casefold()
