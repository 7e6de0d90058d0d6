"""Pictures that are in two places: identical files, identical pixels, and near-identical pictures.

A test picture that was also trained on makes every number too good. Overlaps between public data
sets that are documented are in `overlaps.yaml`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray

from skingpt_r1.case import Case
from skingpt_r1.data.intake import open_image
from skingpt_r1.data.reading import Track
from skingpt_r1.errors import DatasetError, ImageError
from skingpt_r1.recipes import package_yaml

Words = NDArray[np.uint64]
HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2
MAX_DISTANCE = 40
"""Hamming distance, of 256 bits, up to which two pictures are near-identical: recompressed, resized
or a little brighter. Our choice, docs/sources.md.
"""

_BLOCK = 1024
_WORDS = HASH_BITS // 64


class OverlapKind(StrEnum):
    """How two pictures are the same, the strongest first."""

    FILE = "identical file"
    PIXELS = "identical pixels"
    NEAR = "near-identical"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is compared of a picture."""

    path: Path
    file: str  # SHA-256 of its bytes
    pixels: str  # SHA-256 of its size and its decoded, upright RGB pixels
    hash: Words  # 256-bit perceptual hash as four words, [4]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two pictures of different cases that are the same or nearly so, in the strongest way."""

    kind: OverlapKind
    distance: int  # Hamming distance of the perceptual hashes, 0..256; 0 for identical pixels
    case_a: Case
    case_b: Case
    image_a: Path
    image_b: Path

    @property
    def same_group(self) -> bool:
        """Whether a split by group keeps the two together."""
        return (self.case_a.dataset, self.case_a.group) == (self.case_b.dataset, self.case_b.group)


@dataclass(frozen=True, slots=True)
class KnownOverlap:
    """Two public data sets that share pictures, and what follows from it."""

    datasets: frozenset[str]
    what: str
    advice: str
    source: str


KNOWN: tuple[KnownOverlap, ...] = tuple(
    KnownOverlap(**{**row, "datasets": frozenset(row["datasets"])})
    for row in package_yaml("data/overlaps.yaml")
)


def known_overlaps(names: Iterable[str]) -> list[KnownOverlap]:
    """What is known about shared pictures between any two of these data sets."""
    wanted = set(names)
    return [known for known in KNOWN if known.datasets <= wanted]


def fingerprint(path: Path) -> Fingerprint:
    """Read one picture and reduce it to what is compared.

    Raises:
        ImageError: the picture cannot be read.
    """
    image = open_image(path)
    pixels = hashlib.sha256(f"{image.width}x{image.height}:".encode())
    pixels.update(image.tobytes())
    bits = np.asarray(imagehash.phash(image, hash_size=HASH_SIDE).hash, bool)
    return Fingerprint(
        path=path,
        file=hashlib.sha256(path.read_bytes()).hexdigest(),
        pixels=pixels.hexdigest(),
        hash=np.packbits(bits.ravel()).view(np.uint64),
    )


def find_overlap(
    cases_a: Sequence[Case],
    cases_b: Sequence[Case] | None = None,
    *,
    max_distance: int = MAX_DISTANCE,
    track: Track = iter,
    prints: Mapping[Path, Fingerprint] | None = None,
) -> list[Overlap]:
    """Pairs of pictures that are the same: within one set of cases, or between two.

    The strongest kind comes first, then the smallest distance; pictures of one case are never a
    pair. `track` wraps the list of files to read; none is read where `prints` is given.

    Raises:
        DatasetError: pictures cannot be read; all of them are listed.
    """
    if not 0 <= max_distance <= HASH_BITS:
        raise ValueError(f"max_distance {max_distance} is not in 0..{HASH_BITS}")
    images_a, images_b = (
        [(case, path) for case in cases for path in case.images]
        for cases in (cases_a, cases_a if cases_b is None else cases_b)
    )
    if prints is None:
        prints = _read([path for _, path in images_a + images_b], track)
    hashes_a, hashes_b = (_stack(prints[path] for _, path in side) for side in (images_a, images_b))
    found = []
    for i, j in _pairs(hashes_a, None if cases_b is None else hashes_b, max_distance):
        (case_a, path_a), (case_b, path_b) = images_a[i], images_b[j]
        if (case_a.dataset, case_a.id) != (case_b.dataset, case_b.id):
            kind, distance = _compare(prints[path_a], prints[path_b])
            found.append(Overlap(kind, distance, case_a, case_b, path_a, path_b))
    return sorted(found, key=_rank)


def _read(paths: Sequence[Path], track: Track) -> dict[Path, Fingerprint]:
    prints: dict[Path, Fingerprint] = {}
    problems = []
    for path in track(list(dict.fromkeys(paths))):
        try:
            prints[path] = fingerprint(path)
        except ImageError as error:
            problems.append(str(error))
    if problems:
        raise DatasetError(f"{len(problems)} pictures cannot be compared", problems)
    return prints


def _pairs(first: Words, second: Words | None, max_distance: int) -> Iterator[tuple[int, int]]:
    """Index pairs of equal or similar hashes; within one list each pair once."""
    for start in range(0, len(first), _BLOCK):
        rows = first[start : start + _BLOCK]
        offset = start if second is None else 0
        others = first[offset:] if second is None else second
        near = hamming(rows, others) <= max_distance
        if second is None:
            near = np.triu(near, 1)
        for i, j in np.argwhere(near):
            yield start + int(i), offset + int(j)


def _stack(prints: Iterable[Fingerprint]) -> Words:
    return np.array([item.hash for item in prints], np.uint64).reshape(-1, _WORDS)


def hamming(a: Words, b: Words) -> NDArray[np.uint16]:
    """Hamming distances [n, m] between hashes [n, words] and [m, words]."""
    distances = np.zeros((len(a), len(b)), np.uint16)
    for word in range(a.shape[1]):
        distances += np.bitwise_count(a[:, None, word] ^ b[None, :, word])
    return distances


def _compare(a: Fingerprint, b: Fingerprint) -> tuple[OverlapKind, int]:
    distance = int(np.bitwise_count(a.hash ^ b.hash).sum())
    if a.file == b.file:
        return OverlapKind.FILE, distance
    return OverlapKind.PIXELS if a.pixels == b.pixels else OverlapKind.NEAR, distance


def _rank(overlap: Overlap) -> tuple[int, int, str, str, str, str]:
    a, b = overlap.case_a, overlap.case_b
    strength = list(OverlapKind).index(overlap.kind)
    return strength, overlap.distance, a.dataset, a.id, b.dataset, b.id
