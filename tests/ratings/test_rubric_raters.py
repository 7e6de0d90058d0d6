"""Spellings of one name are one person; other names are others."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skingpt_r1.ratings.rating import rater_key


@pytest.mark.parametrize(
    "name",
    [
        "José M.",
        "JOSÉ M.",
        " josé  m. ",
        "Jose\u0301 M.",
        "Ｊosé Ｍ．",
        "José\u200b M.",
        "\ufeffJosé M.",
        "José\u00a0M.",
    ],
)
def test_one_person(name: str) -> None:
    assert rater_key(name) == "josé m."


@pytest.mark.parametrize("name", ["Jose M.", "José N.", "JoséM.", "José-M.", "José M. 2", ""])
def test_another_person(name: str) -> None:
    assert rater_key(name) != "josé m."


@given(st.text(max_size=20))
def test_the_key_of_a_key_is_itself(name: str) -> None:
    key = rater_key(name)
    assert rater_key(key) == key
    assert rater_key(f" {unicodedata.normalize('NFD', name)}\u200b") == key
