"""Reading single cells of tables: what counts as unknown, whole numbers, file series."""

import re
from collections.abc import Mapping

from skingpt_r1.text.tokens import VOCABULARY, trimmed, without_invisible

# What programs write where there is no value (pandas, NumPy, R, spreadsheets, SQL, JavaScript), and
# what people write; letter case aside.
_UNKNOWN = frozenset(("", *VOCABULARY["unknown"]))
# Errors of spreadsheets in any language (#VALUE!, #WERT!, #NAME?), and signs without a word.
_NO_WORD = re.compile(r"#\S*[!?]|[-–—−_.?…]+")


def given_text(value: str | None) -> str | None:
    """The trimmed text of a cell; None where it says that nothing is known."""
    text = trimmed(value or "")
    word = " ".join(text.split()).casefold()
    return None if word in _UNKNOWN or _NO_WORD.fullmatch(word) else text


def tidy(text: str) -> str:
    """A name with single spaces, none around it, and no invisible characters."""
    return " ".join(without_invisible(text, in_name=True).split())


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
    kept = {name: given_text(value) for name, value in values.items() if name and name not in used}
    return {name: value for name, value in kept.items() if value is not None}


def stated(**facts: str | None) -> dict[str, str]:
    """The facts that are known, in the order given."""
    return {name: value for name, value in facts.items() if value is not None}


def lowered(value: str) -> str | None:
    """A known value in lower-case words; None when unknown."""
    text = given_text(value)
    return text.lower().replace("_", " ") if text else None


def file_series(stem: str) -> str:
    """The series a picture belongs to: its file name without the trailing number.

    `acne-cystic-101` and `Acne-Cystic-7` are both of the series `acne-cystic`. A name that is
    only a number is its own series.
    """
    series = re.sub(r"[-_ ]*\d+$", "", stem)
    return (series or stem).casefold()
