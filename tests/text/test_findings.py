"""The vocabulary: every word names one value, and texts are read by whole words."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text.findings import (
    RENDERED_SLOTS,
    WORDS,
    check_findings,
    finding_accuracy,
    read_findings,
)

NAMES = [
    (word, slot, value)
    for slot, values in WORDS.items()
    for value, words in values.items()
    for word in words
]
some_findings = st.fixed_dictionaries(
    {}, optional={slot: st.sampled_from(list(values)) for slot, values in WORDS.items()}
)


def read_slowly(text: str) -> dict[str, str]:
    """The first mention of each slot, word by word."""
    meaning = {word: (slot, value) for word, slot, value in NAMES}
    found: dict[str, str] = {}
    for word in re.findall(r"[\w-]+", text.lower()):
        if word in meaning:
            slot, value = meaning[word]
            found.setdefault(slot, value)
    return found


def test_no_word_names_two_values() -> None:
    words = [word for word, _, _ in NAMES]
    assert len(words) == len(set(words))
    assert all(word == word.lower() for word in words)


def test_what_a_rendered_case_knows_is_in_the_vocabulary() -> None:
    assert set(RENDERED_SLOTS) <= WORDS.keys()


@pytest.mark.parametrize(("word", "slot", "value"), NAMES)
def test_every_word_is_read(word: str, slot: str, value: str) -> None:
    assert read_findings(f"It is {word.upper()}, we think.") == {slot: value}


def test_only_whole_words_count() -> None:
    assert read_findings("reddish, non-scaly, flattened, one-sided, redness, ringworm") == {}
    assert read_findings("a band-like, ill-defined lesion") == {
        "arrangement": "linear",
        "border": "blurred",
    }


def test_the_first_mention_counts() -> None:
    assert read_findings("red at the rim, brown inside") == {"colour": "red"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*(name[0] for name in NAMES), "lesion", "x-red", "a."])))
def test_reading_agrees_with_the_slow_reference(words: list[str]) -> None:
    text = " ".join(words)
    assert read_findings(text) == read_slowly(text)


@given(some_findings)
def test_the_vocabulary_has_no_problems(findings: dict[str, str]) -> None:
    assert check_findings(findings) == []


def test_problems_name_what_is_known() -> None:
    unknown_slot, unknown_value = check_findings({"shape": "round", "size": "huge"})
    assert unknown_slot.startswith("unknown slot 'shape'; known: count, size")
    assert unknown_value == "unknown size 'huge'; known: small, medium, large"


def test_accuracy_counts_missing_as_wrong() -> None:
    truth = {"size": "small", "colour": "red", "count": "one", "border": "sharp"}
    text = "one small brown lesion"
    assert finding_accuracy(text, truth) == 2 / 4
    assert finding_accuracy("", truth) == 0


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="no known finding"):
        finding_accuracy("small", {})
