"""Near-duplicates, against slow references."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.dermcot.select import SIGNATURE, kept_pictures, kept_texts, read_hashes, sign_text
from skingpt_r1.errors import RecordError

WORDS = [f"word{number}" for number in range(60)]


def triples(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[place : place + 3]) for place in range(max(len(words) - 2, 1))}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 20))
def test_equal_places_estimate_the_share_of_common_triples(seed: int, changes: int) -> None:
    rng = random.Random(seed)
    first = [rng.choice(WORDS) for _ in range(80)]
    second = list(first)
    for place in rng.sample(range(80), changes):
        second[place] = rng.choice(WORDS)
    one, two = " ".join(first), " ".join(second)
    share = len(triples(one) & triples(two)) / len(triples(one) | triples(two))
    estimated = float((sign_text(one) == sign_text(two)).mean())
    assert abs(estimated - share) < 5 * np.sqrt(max(share * (1 - share), 0.01) / SIGNATURE)


def test_case_and_punctuation_do_not_matter() -> None:
    assert (sign_text("A red, scaly plaque.") == sign_text("a RED scaly - plaque")).all()
    assert sign_text("").shape == (SIGNATURE,)


def test_the_nearest_text_is_found() -> None:
    kept = kept_texts(3, 0.8)
    base = " ".join(WORDS)
    assert kept.find(sign_text(base)) is None
    kept.add(sign_text("something else entirely is said here")[None], 7)
    kept.add(sign_text(base)[None], 9)
    assert kept.find(sign_text(base + " end")) == 9
    assert kept.find(sign_text(" ".join(reversed(WORDS)))) is None


def bits_apart(one: str, two: str) -> int:
    return (int(one, 16) ^ int(two, 16)).bit_count()


@given(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=6), st.integers(0, 2**256 - 1))
def test_pictures_are_compared_by_bits(kept_values: list[int], value: int) -> None:
    names = [f"{number:064x}" for number in kept_values]
    asked = f"{value:064x}"
    distances = [bits_apart(name, asked) for name in names]
    for limit in (-1, 0, min(distances), 256):
        kept = kept_pictures(len(names), limit)
        for owner, name in enumerate(names):
            kept.add(read_hashes((name,)), owner)
        found = kept.find(read_hashes((asked,)))
        assert found == (distances.index(min(distances)) if min(distances) <= limit else None)


def test_any_picture_of_a_case_counts() -> None:
    kept = kept_pictures(3, 0)
    kept.add(read_hashes(("00" * 32, "ff" * 32)), 4)
    kept.add(read_hashes(("0f" * 32,)), 5)
    assert kept.find(read_hashes(("a0" * 32, "ff" * 32))) == 4
    assert kept.find(read_hashes(("a0" * 32,))) is None


@pytest.mark.parametrize("digits", ["", "zz" * 32, "00" * 31])
def test_a_damaged_hash_is_told(digits: str) -> None:
    with pytest.raises(RecordError, match="64 hexadecimal digits"):
        read_hashes((digits,))
