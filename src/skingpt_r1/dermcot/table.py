"""The published table: its columns, and a writer that holds a few rows at a time.

Column types are those of the Hugging Face library, which reads pictures back from `images`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from skingpt_r1.data.intake import open_image
from skingpt_r1.dermcot.corpus import CorpusRecord, picture_paths
from skingpt_r1.ratings.certification import Decision
from skingpt_r1.ratings.rating import SCORE_COLUMNS, Rating
from skingpt_r1.records import sha256_file
from skingpt_r1.render.folder import DATASET
from skingpt_r1.text.rubric import DIMENSIONS

SHARD_CASES = 2000
"""Cases in one file; our choice. Results do not depend on it."""

_GROUP_ROWS, _GROUP_BYTES = 64, 16_000_000  # what is held before it is written


class Entry(NamedTuple):
    """A case to be published, with its certification where there is one."""

    record: CorpusRecord
    decision: Decision | None = None
    ratings: Sequence[Rating] = ()


class Shard(NamedTuple):
    """One file of a split: its name, number of cases, size and hash."""

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str


def features() -> datasets.Features:
    """Columns of the published table and their types."""
    text, number = datasets.Value("string"), datasets.Value("float64")
    six = dict.fromkeys(SCORE_COLUMNS, number)
    return datasets.Features(
        {
            **dict.fromkeys(("id", "dataset", "group", "diagnosis", "site", "age", "tone"), text),
            "fitzpatrick": datasets.Value("int8"),
            "images": datasets.List(datasets.Image()),
            "image_sha256": datasets.List(text),
            "findings": datasets.List({"slot": text, "value": text}),
            "narrative": text,
            "synthetic": datasets.Value("bool"),
            "licence": text,
            "narrator": text,
            "evaluator": text,
            "evaluator_scores": six,
            "certified_scores": six,
            "corrected": datasets.Value("bool"),
            "ratings": datasets.List(
                {"rater": text, "simulated": datasets.Value("bool"), "scores": six}
            ),
        }
    )


def write_split(
    folder: Path,
    split: str,
    entries: Iterable[Entry],
    count: int,
    *,
    root: Path,
    licences: Mapping[str, str],
    pseudonyms: Mapping[str, str],
    with_images: bool,
) -> list[Shard]:
    """Write the cases of a split as shards; few of them are in memory at any time.

    Args:
        folder: where the files go.
        split: its name.
        entries: the cases, streamed.
        count: how many they are.
        root: the folder that their picture paths begin at.
        licences: source -> its terms.
        pseudonyms: rater -> name in the published table.
        with_images: embed the pictures, decoded and written anew as PNG without metadata.

    Raises:
        ImageError: a picture cannot be read.
    """
    total = math.ceil(count / SHARD_CASES)
    schema = features().arrow_schema
    rows = (
        _row(entry, f"{split}-{place:06d}", root if with_images else None, licences, pseudonyms)
        for place, entry in enumerate(entries)
    )
    shards = []
    for number in range(total):
        path = folder / f"{split}-{number:05d}-of-{total:05d}.parquet"
        size = 0
        with pq.ParquetWriter(path, schema) as writer:
            for group in _groups(islice(rows, SHARD_CASES)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                size += len(group)
        shards.append(Shard(path.name, split, size, path.stat().st_size, sha256_file(path)))
    assert sum(shard.rows for shard in shards) == count, "the corpus changed while it was published"
    return shards


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    held = 0
    for row in rows:
        group.append(row)
        held += sum(len(image["bytes"]) for image in row["images"])
        if len(group) >= _GROUP_ROWS or held >= _GROUP_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _row(
    entry: Entry,
    name: str,
    root: Path | None,
    licences: Mapping[str, str],
    pseudonyms: Mapping[str, str],
) -> dict[str, Any]:
    record, decision = entry.record, entry.decision
    scores = record.scores and [record.scores[name] for name in DIMENSIONS]
    return {
        "id": record.id,
        "dataset": record.dataset,
        "group": record.group,
        "diagnosis": record.diagnosis,
        "site": record.context.get("site"),
        "age": record.context.get("age"),
        "tone": None if record.tone is None else str(record.tone),
        "fitzpatrick": record.fitzpatrick,
        "images": [] if root is None else _pictures(record, name, root),
        "image_sha256": list(record.sha256),
        "findings": [{"slot": slot, "value": word} for slot, word in record.findings.items()],
        "narrative": record.narrative,
        "synthetic": record.dataset == DATASET,
        "licence": licences[record.dataset],
        "narrator": record.reason.narrator,
        "evaluator": record.evaluator,
        "evaluator_scores": _six(scores or None),
        "certified_scores": _six(None if decision is None else decision.consensus),
        "corrected": decision is not None and decision.corrected is not None,
        "ratings": [
            {
                "rater": pseudonyms[rating.rater],
                "simulated": rating.simulated,
                "scores": rating.six.model_dump(),
            }
            for rating in entry.ratings
        ],
    }


def _six(values: Iterable[float] | None) -> dict[str, float] | None:
    return None if values is None else dict(zip(SCORE_COLUMNS, values, strict=True))


def _pictures(record: CorpusRecord, name: str, root: Path) -> list[dict[str, Any]]:
    pictures = []
    for place, path in enumerate(picture_paths(record.images, root), 1):
        buffer = BytesIO()
        open_image(path).save(buffer, format="PNG")
        pictures.append({"bytes": buffer.getvalue(), "path": f"{name}-{place}.png"})
    return pictures
