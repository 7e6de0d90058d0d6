"""Stage 6: which scored narratives are kept, and why each of the others is not.

Minimum scores first; then near-duplicates go, the better one stays; then each diagnosis x body
site x skin tone gives its best in turn until enough are kept. A text is a signature of `SIGNATURE`
smallest hashes of its word triples, whose equal places estimate the share of triples that two texts
have in common (MinHash); a picture is its perceptual hash of 256 bits.
"""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skingpt_r1.data.overlap import hamming
from skingpt_r1.dermcot.corpus import Candidate, Problem, StageRecord, Stratum, stage_record
from skingpt_r1.dermcot.recipe import SelectRecipe
from skingpt_r1.errors import RecordError
from skingpt_r1.text.rubric import DIMENSIONS

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


@dataclass
class Kept:
    """What was kept so far, in the first rows of a table, and whose each row is.

    `distances` gives how far new rows are from each row that was kept; up to `limit` they are
    near-duplicates.
    """

    rows: NDArray[Any]
    distances: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
    limit: float
    owners: list[int] = field(default_factory=list)

    def find(self, new: NDArray[Any]) -> int | None:
        """The owner of the nearest near-duplicate; None when there is none."""
        if not self.owners:
            return None
        distances = self.distances(new, self.rows[: len(self.owners)])
        best = int(distances.argmin())
        return self.owners[best] if distances[best] <= self.limit else None

    def add(self, new: NDArray[Any], owner: int) -> None:
        """Keep rows."""
        begin = len(self.owners)
        self.rows[begin : begin + len(new)] = new
        self.owners += [owner] * len(new)


def kept_texts(capacity: int, similarity: float) -> Kept:
    """Signatures of texts; near-duplicates have at least a share of equal places."""
    room = np.empty((capacity, SIGNATURE), np.uint32)
    return Kept(room, lambda new, rows: -(rows == new).mean(axis=1), -similarity)


def kept_pictures(capacity: int, distance: int) -> Kept:
    """Perceptual hashes; of a case's pictures, the nearest one counts."""
    room = np.empty((capacity, 4), np.uint64)
    return Kept(room, lambda new, rows: hamming(new, rows).min(axis=0), distance)


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """What selection remembers of a case; never its text."""

    id: str
    stratum: Stratum
    mean: float  # of the six scores
    lowest: tuple[float, str]  # the lowest score, with its dimension
    signature: Signature = field(repr=False)
    hashes: Hashes = field(repr=False)


def select(
    candidates: Iterable[Candidate], held_out: Iterable[Candidate], recipe: SelectRecipe
) -> Iterator[StageRecord]:
    """Who is kept. Pictures of the held-out cases must not be in the corpus."""
    rows = [_row(candidate) for candidate in candidates]
    problems = decide(rows, [read_hashes(other.case.phash) for other in held_out], recipe)
    for row, problem in zip(rows, problems, strict=True):
        yield stage_record(row.id, "select", problem)


def decide(
    rows: Sequence[ScoredRow], held_out: Sequence[Hashes], recipe: SelectRecipe
) -> list[Problem | None]:
    """Why each row goes, None where it is kept; equal means go by the order of the rows."""
    low = {place: _too_low(row, recipe) for place, row in enumerate(rows)}
    problems = {place: problem for place, problem in low.items() if problem is not None}
    good = [place for place in _order(rows, recipe) if place not in problems]
    ranked = _ranked(rows, _different(rows, good, held_out, recipe, problems))
    if recipe.quota is not None:
        for rank, place in ranked:
            if rank >= recipe.quota:
                stratum = " x ".join(rows[place].stratum)
                problems[place] = ("over_quota", f"more than {recipe.quota} of {stratum}")
    in_quota = (item for item in ranked if item[1] not in problems)
    # Sorting is stable: within a turn the better mean stays first.
    in_turn = sorted(in_quota, key=lambda item: item[0])
    for _, place in in_turn[recipe.keep :] if recipe.keep else ():
        problems[place] = ("not_among_best", f"mean {rows[place].mean:.2f}")
    return [problems.get(place) for place in range(len(rows))]


def _order(rows: Sequence[ScoredRow], recipe: SelectRecipe) -> list[int]:
    """Places of the rows, the best first, or in an order that only the ids decide."""
    if recipe.order == "random":
        return sorted(range(len(rows)), key=lambda p: sha256(rows[p].id.encode()).digest())
    return sorted(range(len(rows)), key=lambda place: (-rows[place].mean, place))


def _row(candidate: Candidate) -> ScoredRow:
    scores = candidate.records["score"].scores
    assert scores is not None
    return ScoredRow(
        id=candidate.case.id,
        stratum=candidate.case.stratum,
        mean=round(sum(scores[name] for name in DIMENSIONS) / len(DIMENSIONS), 6),
        lowest=min((value, name) for name, value in scores.items()),
        signature=sign_text(candidate.text("normalise")),
        hashes=read_hashes(candidate.case.phash),
    )


def _too_low(row: ScoredRow, recipe: SelectRecipe) -> Problem | None:
    value, name = row.lowest
    if row.mean < recipe.minimum_mean:
        return "below_mean", f"mean {row.mean:.2f}"
    return ("below_minimum", f"{name} {value:g}") if value < recipe.minimum else None


def _different(
    rows: Sequence[ScoredRow],
    order: Sequence[int],
    held_out: Sequence[Hashes],
    recipe: SelectRecipe,
    problems: dict[int, Problem],
) -> list[int]:
    """Those that are no near-duplicate of a better one or of a held-out picture, in order."""
    pictures = kept_pictures(sum(len(row.hashes) for row in rows), recipe.picture_distance)
    apart = kept_pictures(sum(map(len, held_out)), recipe.picture_distance)
    for owner, hashes in enumerate(held_out):
        apart.add(hashes, owner)
    sizes = Counter(rows[place].stratum[0] for place in order)
    # Texts of different diagnoses differ in what they say, however alike their words are.
    texts = {name: kept_texts(size, recipe.text_similarity) for name, size in sizes.items()}
    kept = []
    for place in order:
        row = rows[place]
        if apart.find(row.hashes) is not None:
            problems[place] = ("held_out_picture", "")
        elif (twin := pictures.find(row.hashes)) is not None:
            problems[place] = ("duplicate_picture", f"of {rows[twin].id}")
        elif (twin := texts[row.stratum[0]].find(row.signature)) is not None:
            problems[place] = ("duplicate_text", f"of {rows[twin].id}")
        else:
            pictures.add(row.hashes, place)
            texts[row.stratum[0]].add(row.signature[None], place)
            kept.append(place)
    return kept


def _ranked(rows: Sequence[ScoredRow], order: Sequence[int]) -> list[tuple[int, int]]:
    """Each place with its rank in its stratum: 0 for the best."""
    ranks: dict[Stratum, int] = defaultdict(int)
    ranked = []
    for place in order:
        stratum = rows[place].stratum
        ranked.append((ranks[stratum], place))
        ranks[stratum] += 1
    return ranked
