"""What a written score is worth: the right value, or none; never a silent wrong one."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text.verdicts import announced_scale, read_scale, read_score

BARE = {
    "4": 4.0, "4.5": 4.5, "4,5": 4.5, "+4": 4.0, "-1": -1.0, "−1": -1.0, ".5": 0.5, "4.": 4.0,
    "４．５": 4.5, "４,５": 4.5, "٤٫٥": 4.5, "४.५": 4.5, "৪.৫": 4.5, "4·5": 4.5, "4½": 4.5,
    "4 ½": 4.5, "½": 0.5, "3¾": 3.75, "4 1/2": 4.5, "3 3/4": 3.75, "5e-05": 5e-05, "4.5e0": 4.5,
    "four": 4.0, "Four.": 4.0, "four and a half": 4.5, "four point five": 4.5, "zero": 0.0,
    "4 points": 4.0, "4 stars": 4.0, "4.5分": 4.5, "[[4.5]]": 4.5, "**4.5**": 4.5, "`4.5`": 4.5,
    "4 - good": 4.0, "4 - 3 of 5 signs are named": 4.0, "4. Good": 4.0, "4.5 The diagnosis": 4.5,
    "4\u200b.5": 4.5, "4.50000": 4.5, "score: 4": 4.0, "4 (good)": 4.0, "four, because": 4.0,
}  # fmt: skip
OUT_OF = {
    "4/10": (4, 10), "4 out of 10": (4, 10), "4 of 5": (4, 5), "4 / 5.0": (4, 5),
    "4,5/5,0": (4.5, 5), "４／５": (4, 5), "4⁄5": (4, 5), "4∕5": (4, 5), "90%": (90, 100),
    "90 %": (90, 100), "９０％": (90, 100), "٩٠٪": (90, 100), "90 percent": (90, 100),
    "90 per cent": (90, 100), "four out of five": (4, 5), "4 out of ten": (4, 10),
    "4 (out of 10)": (4, 10), "4 points out of 10": (4, 10), "4, out of 10": (4, 10),
    "4 out of a possible 10": (4, 10), "4 out of a maximum of 10": (4, 10), "8 (0-10)": (8, 10),
    "8 (max 10)": (8, 10), "8 on a scale of 10": (8, 10), "8 on a scale from 0 to 10": (8, 10),
    "8 on a 10-point scale": (8, 10), "3 out of 4 stars": (3, 4), "**4**/5": (4, 5),
    "8 von 10": (8, 10), "8 sur 10": (8, 10), "8 de 10": (8, 10), "0.9/1": (0.9, 1),
    "4½/5": (4.5, 5), "4/5 good": (4, 5), "7/7": (7, 7),
}  # fmt: skip
AMBIGUOUS = (
    "4-5", "4–5", "4 to 5", "4 or 5", "4 and 5", "4~5", "4..5", "4/5 – 5/5", "4+", "4 ± 0.5",
    "4.5±0.2", "4→5", "4 -> 5", "4,500", "1,000", "1.000.000", "4.5.1", "4:10", "5/5/2026", "4 5",
    "4, 5", "4 findings are wrong", "4 of 6 findings", "4 wrong findings", "5分中4分", "4th", "4x",
    "4e", "4²", "4×10⁻⁵", "1/2", "2/3", "4/5.5", "4'5", "9" * 30, "4 or higher", "4 thousand",
    "4 1/2 1/2", "4 9/5",
)  # fmt: skip
NONE = ("", "none", "N/A", "nan", "NaN", "inf", "true", "null", "~4", "≥4", "about 4", "good (4)",
        "One of the findings is wrong", "tenuous", "-", "/5", "¼th")  # fmt: skip


@pytest.mark.parametrize(("text", "value"), BARE.items())
def test_a_bare_number(text: str, value: float) -> None:
    found = read_score(text)
    assert found is not None
    assert (found.value, found.out_of, found.problem) == (pytest.approx(value), None, "")


@pytest.mark.parametrize(("text", "expected"), OUT_OF.items())
def test_a_number_with_its_highest(text: str, expected: tuple[float, float]) -> None:
    found = read_score(text)
    assert found is not None
    assert ((found.value, found.out_of), found.problem) == (expected, "")
    assert found.on_five == pytest.approx(expected[0] * 5 / expected[1])


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_can_be_meant_in_two_ways_is_no_number(text: str) -> None:
    found = read_score(text)
    assert found is None or (found.value, found.problem) == (None, "ambiguous")


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_number(text: str) -> None:
    found = read_score(text)
    assert found is None or found.value is None


def test_more_than_the_highest() -> None:
    found = read_score("6/5")
    assert found is not None
    assert found.problem == "out_of_range"


def test_scales_beside_a_name_and_in_a_line() -> None:
    scales = {
        "0-10": 10,
        "out of 10": 10,
        "/10": 10,
        "0–5": 5,
        "1-5": 5,
        "max 10": 10,
        "0-100%": 100,
    }
    assert {text: read_scale(text) for text in scales} == scales
    assert [read_scale(text) for text in ("weight 20%", "8", "", "diagnosis")] == [None] * 4
    lines = {
        "Scores (0-10):": (0, 10), "On a scale of 0 to 10:": (0, 10),
        "Scores out of 10": (None, 10),
        "My scores, from 0 to 100:": (0, 100), "Scale: 1-5": (1, 5), "Rated /10": (None, 10),
        "On the 1-5 scale:": (1, 5), "On a 10-point scale:": (None, 10), "a 3 point scale": None,
        "| Dimension | Score (0-10) |": (0, 10), "the scores of 10 systems": None,
        "I scored 4 of 10 texts": None, "It scores 8 out of 10.": None,
    }  # fmt: skip
    assert {line: announced_scale(line) for line in lines} == lines


@given(
    st.integers(0, 50), st.sampled_from(["", "/5", " out of 5", " (0-5)", " / 5.0"]), st.booleans()
)
@settings(max_examples=100, deadline=None)
def test_every_score_in_every_script(tenths: int, behind: str, comma: bool) -> None:
    text = f"{tenths / 10:.1f}".replace(".", "," if comma else ".") + behind
    for zero in "0０٠०০๐":
        written = "".join(chr(ord(zero) + int(c)) if c.isdigit() else c for c in text)
        found = read_score(written)
        assert found is not None
        assert found.value == tenths / 10


@given(st.text(alphabet="0123456789.,/%-–+ eoutfhalf½４٤(", max_size=14))
@settings(max_examples=500, deadline=None)
def test_no_number_is_made_up(text: str) -> None:
    found = read_score(text)
    if found is not None and found.value is not None:
        assert any(letter.isnumeric() for letter in text) or "half" in text
        assert found.said == text[len(text) - len(found.said) :]
        assert not found.said[:1].isalnum()


@pytest.mark.parametrize(
    "seed", ["4 ", "4", " ", "(", "1/", "4/", "score: ", "*", "½", "４", "4 1/"]
)
def test_time_is_linear(seed: str) -> None:
    started = time.process_time()
    for _ in range(300):
        read_score(seed * 300)
        announced_scale(f"scores {seed * 300}")
        read_scale(seed * 300)
    assert time.process_time() - started < 3
