"""Whether certified cases and training cases have nothing in common: id, group, file, picture.

Pictures are read once: what is compared of them is kept in `fingerprints.jsonl` of the corpus, by
the hash of the file, so that a changed picture is read again.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skingpt_r1.case import Case
from skingpt_r1.data.overlap import Fingerprint, OverlapKind, find_overlap, fingerprint
from skingpt_r1.dermcot.corpus import CorpusRecord
from skingpt_r1.dermcot.write import blocks
from skingpt_r1.errors import DatasetError, ImageError
from skingpt_r1.records import Record, append_records, resume_records
from skingpt_r1.runs import Count, changed_pictures, picture_paths, process_map

FINGERPRINTS = "fingerprints.jsonl"
_BATCH = 256  # pictures between two lines of progress; a killed run repeats at most so many


class StoredPrint(Record):
    """A `data.overlap.Fingerprint` on disk, without its path; `hash` in hexadecimal digits."""

    file: str
    pixels: str
    hash: str

    def of(self, path: Path) -> Fingerprint:
        """What is compared of a picture with this file."""
        bits = np.frombuffer(bytes.fromhex(self.hash), np.uint64)
        return Fingerprint(path, self.file, self.pixels, bits)


class SharedPart(NamedTuple):
    """What a training case and a certified case have in common.

    `kind` is `same id`, `same group`, or how two pictures are the same; `detail` the group, or the
    distance of the pictures in bits.
    """

    kind: str
    training: str
    certified: str
    detail: str

    def told(self, certified: str = "certified case") -> str:
        """In words; `certified` is what the certified case is called."""
        detail = f" ({self.detail})" if self.detail else ""
        cases = f"training case {self.training!r}, {certified} {self.certified!r}"
        return f"{self.kind}{detail}: {cases}"


class Compared(NamedTuple):
    """What is compared of a case: id, group, source, pictures, and SHA-256 of each file."""

    case: Case
    sha256: tuple[str, ...]


def compared(record: CorpusRecord, root: Path) -> Compared:
    """What is compared of a record whose pictures are named from this folder."""
    images = picture_paths(record.images, root)
    case = Case(id=record.id, images=images, dataset=record.dataset, group=record.group)
    return Compared(case, record.sha256)


def find_shared(
    training: Sequence[Compared],
    certified: Sequence[Compared],
    *,
    store: Path,
    max_distance: int,
    workers: int = 1,
    progress: Count | None = None,
) -> list[SharedPart]:
    """Everything that a training case shares with a certified one; empty when they are disjoint.

    `store` is the file of fingerprints, made when missing and added to; `max_distance` the bits of
    256 up to which two pictures are near-identical.

    Raises:
        DatasetError: pictures are missing, unreadable, or not the files of the corpus; all of them.
    """
    prints = _fingerprints([*training, *certified], store, workers, progress)
    cases, others = ([item.case for item in items] for items in (training, certified))
    pairs = find_overlap(cases, others, max_distance=max_distance, prints=prints)
    pictures = [
        SharedPart(
            str(pair.kind),
            pair.case_a.id,
            pair.case_b.id,
            f"{pair.distance} bits of 256" if pair.kind is OverlapKind.NEAR else "",
        )
        for pair in pairs
    ]
    return [*_shared_names(training, certified), *dict.fromkeys(pictures)]


def _shared_names(
    training: Iterable[Compared], certified: Iterable[Compared]
) -> Iterator[SharedPart]:
    ids = {item.case.id for item in training}
    groups = {(item.case.dataset, item.case.group): item.case.id for item in training}
    for item in certified:
        case = item.case
        if case.id in ids:
            yield SharedPart("same id", case.id, case.id, "")
        elif (case.dataset, case.group) in groups:
            other = groups[case.dataset, case.group]
            yield SharedPart("same group", other, case.id, f"{case.dataset}: {case.group}")


def _fingerprints(
    items: Sequence[Compared], store: Path, workers: int, progress: Count | None
) -> dict[Path, Fingerprint]:
    stored = {row.file: row for row in resume_records(store, StoredPrint).records}
    files = _files(items)
    wanted = list({sha: path for path, sha in files.items() if sha not in stored}.values())
    problems: list[str] = []
    done = 0
    with process_map(workers if len(wanted) >= 2 * _BATCH else 1, chunk=32) as run:
        for rows in blocks(run(_print, wanted), _BATCH):
            problems += [row for row in rows if isinstance(row, str)]
            fresh = [row for row in rows if isinstance(row, StoredPrint)]
            append_records(store, fresh)
            stored.update({row.file: row for row in fresh})
            done += len(rows)
            if progress is not None:
                progress(done, len(wanted))
    if problems:
        raise DatasetError(f"{len(problems)} pictures cannot be compared", problems)
    return {path: stored[sha].of(path) for path, sha in files.items()}


def _files(items: Sequence[Compared]) -> dict[Path, str]:
    """Path -> SHA-256 of every picture file, which must be the one that the corpus was made of."""
    problems = [
        problem
        for case, sha256 in items
        for problem in changed_pictures(f"case {case.id!r}", case.images, sha256)
    ]
    if problems:
        raise DatasetError(
            f"{len(problems)} pictures are missing or have changed since the corpus was built; put "
            "the files back, or build the corpus again",
            problems,
        )
    named = (zip(case.images, sha256, strict=True) for case, sha256 in items)
    return dict(chain.from_iterable(named))


def _print(path: Path) -> StoredPrint | str:
    try:
        found = fingerprint(path)
    except ImageError as error:
        return str(error)
    return StoredPrint(file=found.file, pixels=found.pixels, hash=found.hash.tobytes().hex())
