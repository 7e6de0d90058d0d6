"""Single cells: what says that nothing is known, and what is a name."""

import time

import pytest

from skingpt_r1.text.values import given_text, tidy

# As written by pandas, NumPy, R, SPSS and SAS, spreadsheets, databases, JavaScript and people.
MISSING = (
    "", " ", "\t\n", "\u00a0", "\u3000", "\u200b", "\ufeff", "nan", "NaN", "NAN", "-nan", "<NA>",
    "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "#NV", "NaT", "None", "none", "null", "NULL", "(null)",
    "NA_character_", ".", "-", "--", "–", "—", "?", "???", "...", "…", "_", "#VALUE!", "#REF!",
    "#DIV/0!", "#NAME?", "#WERT!", "#NUM!", "#NULL!", "\\N", "undefined", "nil", "unknown",
    "UNK", "not  available", "Not Applicable", "n.a.", "(blank)", "missing", " NaN ",
    "1.#QNAN", "-1.#IND", "NA", "Unknown", "\u00a0NA\u200b",
)  # fmt: skip
# What a data set may well mean, however much it looks like nothing.
SAID = (
    "normal", "no disease", "nevus of unknown origin", "none of these", "0", "-1", "999", "no",
    "false", "nanism", "NANA", "Nan Li", "nullipara", "other", "unclear", "NA-1", "#7", "# 12",
    "p?", "a-b", "-7", ".5", "Unna's nevus", "missing tooth", "inf",
)  # fmt: skip


@pytest.mark.parametrize("cell", MISSING)
def test_cells_that_say_nothing(cell: str) -> None:
    assert given_text(cell) is None


@pytest.mark.parametrize("cell", SAID)
def test_cells_that_say_something(cell: str) -> None:
    assert given_text(cell) == cell
    assert given_text(f" \u00a0{cell}\u200b\n") == cell


def test_none_says_nothing() -> None:
    assert given_text(None) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  basal  cell\u00a0carcinoma ", "basal cell carcinoma"),
        ("mela\u00adnoma\u200b", "melanoma"),
        ("\ufeffp1\t", "p1"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # a joiner that is spelling
        ("lichen planus", "lichen planus"),
    ],
)
def test_names_have_single_spaces(text: str, name: str) -> None:
    assert tidy(text) == name
    assert tidy(name) == name


@pytest.mark.parametrize("sign", ["?", "#", "-", " ", "\u200b", "#!", "nan ", "."])
def test_long_cells_are_quick(sign: str) -> None:
    start = time.perf_counter()
    given_text(sign * 100_000 + "x")
    tidy(sign * 100_000)
    assert time.perf_counter() - start < 0.2
