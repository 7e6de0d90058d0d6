"""Near-duplicates of texts and of pictures, met one at a time, the better one first.

A text is a signature of `SIGNATURE` smallest hashes of its word triples, whose equal places
estimate the share of triples that two texts have in common (MinHash); a picture is its perceptual
hash of 256 bits.
"""

import re
import zlib

import numpy as np
from numpy.typing import NDArray

from skingpt_r1.data.overlap import hamming
from skingpt_r1.errors import RecordError

SIGNATURE = 128
"""Hashes in the signature of a text: an estimated share of 0.95 is right within 0.02."""
TRIPLE = 3
_WORD = re.compile(r"[a-z0-9]+")
_RNG = np.random.default_rng(0)
_FACTORS = _RNG.integers(1, 2**61, SIGNATURE, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_SHIFTS = _RNG.integers(0, 2**63, SIGNATURE, dtype=np.uint64)

Signature = NDArray[np.uint32]
Hashes = NDArray[np.uint64]


def sign_text(text: str) -> Signature:
    """The signature uint32 [SIGNATURE] of a text; letter case and punctuation do not matter."""
    words = _WORD.findall(text.lower())
    count = max(len(words) - TRIPLE + 1, 1)
    triples = {" ".join(words[place : place + TRIPLE]) for place in range(count)}
    keys = np.array([zlib.crc32(triple.encode()) for triple in triples], np.uint64)
    mixed = (keys[:, None] * _FACTORS + _SHIFTS) >> np.uint64(32)
    return np.asarray(mixed.min(axis=0), np.uint32)


def read_hashes(phash: tuple[str, ...]) -> Hashes:
    """Perceptual hashes, uint64 [pictures, 4], from their hexadecimal digits."""
    try:
        rows = [np.frombuffer(bytes.fromhex(digits), np.uint64) for digits in phash]
        return np.stack(rows).reshape(len(phash), 4)
    except ValueError as error:
        raise RecordError("a perceptual hash is not 64 hexadecimal digits") from error


class KeptTexts:
    """Signatures of the texts kept so far.

    Args:
        capacity: how many texts there can be.
        similarity: share of triples from which two texts are near-duplicates.
    """

    def __init__(self, capacity: int, similarity: float) -> None:
        self._rows = np.empty((capacity, SIGNATURE), np.uint32)
        self._owners: list[int] = []
        self._similarity = similarity

    def find(self, signature: Signature) -> int | None:
        """The owner of the nearest near-duplicate; None when there is none."""
        if not self._owners:
            return None
        shares = (self._rows[: len(self._owners)] == signature).mean(axis=1)
        best = int(shares.argmax())
        return self._owners[best] if shares[best] >= self._similarity else None

    def add(self, signature: Signature, owner: int) -> None:
        """Keep a text."""
        self._rows[len(self._owners)] = signature
        self._owners.append(owner)


class KeptPictures:
    """Perceptual hashes of the pictures kept so far.

    Args:
        capacity: how many pictures there can be.
        distance: bits up to which two pictures are near-duplicates.
    """

    def __init__(self, capacity: int, distance: int) -> None:
        self._rows = np.empty((capacity, 4), np.uint64)
        self._owners: list[int] = []
        self._distance = distance

    def find(self, hashes: Hashes) -> int | None:
        """The owner of the nearest near-duplicate of any of a case's pictures; None when none."""
        if not self._owners:
            return None
        bits = hamming(hashes, self._rows[: len(self._owners)]).min(axis=0)
        best = int(bits.argmin())
        return self._owners[best] if bits[best] <= self._distance else None

    def add(self, hashes: Hashes, owner: int) -> None:
        """Keep the pictures of a case."""
        begin = len(self._owners)
        self._rows[begin : begin + len(hashes)] = hashes
        self._owners += [owner] * len(hashes)
