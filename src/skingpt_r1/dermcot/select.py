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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skingpt_r1.data.overlap import hamming
from skingpt_r1.dermcot.corpus import Candidate, StageRecord, Stratum, mean_score
from skingpt_r1.dermcot.recipe import SelectRecipe
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
    """Signatures of the texts kept so far, at most `capacity`."""

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
    """Perceptual hashes of the pictures kept so far, at most `capacity`."""

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


class SelectVerdict(NamedTuple):
    """What becomes of a candidate: kept, or a reason code with detail."""

    dropped: str | None = None
    detail: str = ""


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
    candidates: Callable[[], Iterable[Candidate]],
    held_out: Iterable[Candidate],
    recipe: SelectRecipe,
) -> Iterator[StageRecord]:
    """Who is kept; read twice: to compare all of them, then to give each its record.

    Pictures of the held-out cases must not be in the corpus.
    """
    rows = [_row(candidate) for candidate in candidates()]
    others = [read_hashes(candidate.case.phash) for candidate in held_out]
    verdicts = decide(rows, others, recipe)
    for candidate, verdict in zip(candidates(), verdicts, strict=True):
        yield StageRecord(
            id=candidate.case.id, stage="select", dropped=verdict.dropped, detail=verdict.detail
        )


def decide(
    rows: Sequence[ScoredRow], held_out: Sequence[Hashes], recipe: SelectRecipe
) -> list[SelectVerdict]:
    """A verdict for each row; equal means go by the order of the rows."""
    low = {place: _too_low(row, recipe) for place, row in enumerate(rows)}
    verdicts = {place: verdict for place, verdict in low.items() if verdict is not None}
    good = [place for place in _order(rows, recipe) if place not in verdicts]
    ranked = _ranked(rows, _different(rows, good, held_out, recipe, verdicts))
    if recipe.quota is not None:
        for rank, place in ranked:
            if rank >= recipe.quota:
                stratum = " x ".join(rows[place].stratum)
                verdicts[place] = SelectVerdict(
                    "over_quota", f"more than {recipe.quota} of {stratum}"
                )
    in_quota = (item for item in ranked if item[1] not in verdicts)
    # Sorting is stable: within a turn the better mean stays first.
    in_turn = sorted(in_quota, key=lambda item: item[0])
    for _, place in in_turn[recipe.keep :] if recipe.keep else ():
        verdicts[place] = SelectVerdict("not_among_best", f"mean {rows[place].mean:.2f}")
    return [verdicts.get(place, SelectVerdict()) for place in range(len(rows))]


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
        mean=round(mean_score(scores), 6),
        lowest=min((value, name) for name, value in scores.items()),
        signature=sign_text(candidate.text("normalise")),
        hashes=read_hashes(candidate.case.phash),
    )


def _too_low(row: ScoredRow, recipe: SelectRecipe) -> SelectVerdict | None:
    value, name = row.lowest
    if row.mean < recipe.minimum_mean:
        return SelectVerdict("below_mean", f"mean {row.mean:.2f}")
    if value < recipe.minimum:
        return SelectVerdict("below_minimum", f"{name} {value:g}")
    return None


def _different(
    rows: Sequence[ScoredRow],
    order: Sequence[int],
    held_out: Sequence[Hashes],
    recipe: SelectRecipe,
    verdicts: dict[int, SelectVerdict],
) -> list[int]:
    """Those that are no near-duplicate of a better one or of a held-out picture, in order."""
    pictures = KeptPictures(sum(len(row.hashes) for row in rows), recipe.picture_distance)
    apart = KeptPictures(sum(map(len, held_out)), recipe.picture_distance)
    for owner, hashes in enumerate(held_out):
        apart.add(hashes, owner)
    sizes = Counter(rows[place].stratum[0] for place in order)
    # Texts of different diagnoses differ in what they say, however alike their words are.
    texts = {name: KeptTexts(size, recipe.text_similarity) for name, size in sizes.items()}
    kept = []
    for place in order:
        row = rows[place]
        if apart.find(row.hashes) is not None:
            verdicts[place] = SelectVerdict("held_out_picture")
        elif (twin := pictures.find(row.hashes)) is not None:
            verdicts[place] = SelectVerdict("duplicate_picture", f"of {rows[twin].id}")
        elif (twin := texts[row.stratum[0]].find(row.signature)) is not None:
            verdicts[place] = SelectVerdict("duplicate_text", f"of {rows[twin].id}")
        else:
            pictures.add(row.hashes, place)
            texts[row.stratum[0]].add(row.signature, place)
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
