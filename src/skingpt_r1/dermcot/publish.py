"""Publication: a corpus as a Hugging Face data set directory, or a refusal with every reason.

The directory appears whole: shards are written into a hidden folder that no loader reads, and one
rename makes them visible. The same corpus gives the same bytes. The table has the column types of
the Hugging Face library and is written a few rows at a time. For research, not for diagnosis.
"""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from skingpt_r1.data.intake import open_image
from skingpt_r1.data.overlap import MAX_DISTANCE
from skingpt_r1.dermcot.card import (
    CERTIFIED,
    LAYOUT,
    TRAIN,
    Facts,
    Shard,
    Tally,
    croissant,
    sources_of,
    write_card,
)
from skingpt_r1.dermcot.certify import Entry, certified, history_path
from skingpt_r1.dermcot.corpus import FILES, CorpusRecord, noted_root, picture_root, read_corpus
from skingpt_r1.dermcot.disjoint import FINGERPRINTS, Compared, compared, find_shared
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.certification import CertifyRules, History, read_history, standing
from skingpt_r1.ratings.rating import SCORE_COLUMNS
from skingpt_r1.records import read_json, sha256_file, write_bytes_atomic, write_json_atomic
from skingpt_r1.render.layouts import DATASET
from skingpt_r1.runs import Progress, picture_paths
from skingpt_r1.text.rubric import DIMENSIONS

CARD, METADATA, CORPUS, DATA = "README.md", "croissant.json", "corpus.json", "data"
SHARD_CASES = 2000
"""Cases in one file; our choice. Results do not depend on it."""
_GROUP_ROWS, _GROUP_BYTES = 64, 16_000_000  # what is held before it is written


class Options(NamedTuple):
    """How to publish.

    `licences` are the terms under which own pictures may be passed on, by source; `max_distance`
    the bits of 256 up to which two pictures are near-identical; `workers` the processes that read
    pictures for the comparison.
    """

    name: str
    with_images: bool = True
    licences: Mapping[str, str] = {}
    max_distance: int = MAX_DISTANCE
    workers: int = 1


class Published(NamedTuple):
    """Number of cases by split; nothing was written where the same corpus `existed` before."""

    folder: Path
    cases: Mapping[str, int]
    existed: bool


def publish(
    folder: Path, out: Path, options: Options, progress: Progress | None = None
) -> Published:
    """Write the corpus of a folder as a data set directory.

    A directory `out` that holds the same corpus already is left as it is.

    Raises:
        DatasetError: training and certified cases are not disjoint, a source's pictures must not
            be passed on, pictures have changed, the directory exists, or cannot be written.
        RecordError: the corpus is not finished.
    """
    inputs = _inputs(folder, options)
    if out.exists():
        return _existing(out, inputs)
    history = read_history(history_path(folder))
    root = picture_root(folder) if options.with_images else noted_root(folder)
    tallies = {TRAIN: Tally(), CERTIFIED: Tally()}
    items: dict[str, list[Compared]] = {TRAIN: [], CERTIFIED: []}
    for split, tally in tallies.items():
        for entry in _entries(folder, split):
            tally.add(entry.record)
            items[split].append(compared(entry.record, root))
    if not any(tally.cases for tally in tallies.values()):
        raise DatasetError(f"{folder} has no case to publish")
    names = [name for tally in tallies.values() for name in tally.counts["source"]]
    sources = sources_of(names, options.licences)
    closed = [
        f"{source.name}: {source.licence}" for source in sources if not source.redistributable
    ]
    if options.with_images and closed:
        raise DatasetError(
            "pictures of these sources must not be passed on; publish --without-images, or, for "
            "your own pictures, state their terms with --licence NAME=TERMS",
            closed,
        )
    _refuse_shared(folder, items, options, progress)
    decisions = list(history.decisions.values())
    facts = Facts(
        name=options.name,
        tallies=tallies,
        sources=sources,
        with_images=options.with_images,
        rules=None if history.limits is None else CertifyRules.model_validate(history.limits),
        certification=standing(history, decisions) if decisions else None,
    )
    rows = partial(_rows, folder, root, history, facts, progress)
    return _write(out, facts, inputs, rows)


def _write(
    out: Path,
    facts: Facts,
    inputs: Mapping[str, Any],
    rows: Callable[[str], Iterator[dict[str, Any]]],
) -> Published:
    cases = {split: tally.cases for split, tally in facts.tallies.items()}
    # Loaders pass over hidden folders, so that what a killed run leaves cannot be loaded.
    beside = out.with_name(f".{out.name}.partial")
    hidden = beside / f".{DATA}"
    try:
        shutil.rmtree(beside, ignore_errors=True)
        hidden.mkdir(parents=True)
        shards = [
            shard
            for split, count in cases.items()
            for shard in _write_shards(hidden, split, rows(split), count)
        ]
        write_bytes_atomic(beside / CARD, write_card(facts).encode())
        write_json_atomic(beside / METADATA, croissant(facts, shards))
        manifest = {"inputs": inputs, "cases": cases, "shards": [s._asdict() for s in shards]}
        write_json_atomic(beside / CORPUS, manifest)
        hidden.replace(beside / DATA)
        beside.replace(out)
    except OSError as error:
        raise DatasetError(f"cannot write {out}: {error.strerror}") from error
    return Published(out, cases, False)


def _inputs(folder: Path, options: Options) -> dict[str, Any]:
    """What the bytes of a published corpus depend on."""
    paths = [*(folder / name for name in FILES.values()), history_path(folder)]
    return {
        **{path.name: sha256_file(path) if path.is_file() else None for path in paths},
        "name": options.name,
        "with_images": options.with_images,
        "licences": dict(options.licences),
        "layout": LAYOUT,
    }


def _existing(out: Path, inputs: Mapping[str, Any]) -> Published:
    path = out / CORPUS
    found = read_json(path, DatasetError) if path.is_file() else {}
    if found.get("inputs") != inputs:
        raise DatasetError(f"{out} exists and is not this corpus; name a new folder")
    return Published(out, found["cases"], True)


def _entries(folder: Path, split: str) -> Iterator[Entry]:
    if split == TRAIN:
        return (Entry(record) for record in read_corpus(folder))
    return certified(folder)


def _refuse_shared(
    folder: Path,
    items: Mapping[str, Sequence[Compared]],
    options: Options,
    progress: Progress | None,
) -> None:
    shared = find_shared(
        items[TRAIN],
        items[CERTIFIED],
        store=folder / FINGERPRINTS,
        max_distance=options.max_distance,
        workers=options.workers,
        progress=progress and (lambda done, total: progress("reading pictures", done, total)),
    )
    if shared:
        raise DatasetError(
            f"training and certified cases are not disjoint in {len(shared)} places; nothing was "
            "published; build the corpus again so that selection leaves these cases out",
            [part.told() for part in shared],
        )


def _rows(
    folder: Path, root: Path, history: History, facts: Facts, progress: Progress | None, split: str
) -> Iterator[dict[str, Any]]:
    raters = sorted({rater for of_case in history.ratings.values() for rater in of_case})
    kind = "simulated-rater" if history.simulated else "rater"
    pseudonyms = {rater: f"{kind}-{number:02d}" for number, rater in enumerate(raters, 1)}
    licences = {source.name: source.licence for source in facts.sources}
    for place, entry in enumerate(_entries(folder, split)):
        name = f"{split}-{place:06d}"
        pictures = _pictures(entry.record, name, root) if facts.with_images else []
        yield _row(entry, pictures, licences, pseudonyms)
        if progress is not None:
            progress(f"writing {split}", place + 1, facts.tallies[split].cases)


def _write_shards(
    folder: Path, split: str, rows: Iterator[dict[str, Any]], count: int
) -> list[Shard]:
    total = math.ceil(count / SHARD_CASES)
    schema = features().arrow_schema
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
    pictures: list[dict[str, Any]],
    licences: Mapping[str, str],
    pseudonyms: Mapping[str, str],
) -> dict[str, Any]:
    record, decision = entry.record, entry.decision
    scores = None if record.scores is None else [record.scores[name] for name in DIMENSIONS]
    return {
        **{name: getattr(record, name) for name in ("id", "dataset", "group", "diagnosis")},
        "site": record.context.get("site"),
        "age": record.context.get("age"),
        "tone": None if record.tone is None else str(record.tone),
        "fitzpatrick": record.fitzpatrick,
        "images": pictures,
        "image_sha256": list(record.sha256),
        "findings": [{"slot": slot, "value": word} for slot, word in record.findings.items()],
        "narrative": record.narrative,
        "synthetic": record.dataset == DATASET,
        "licence": licences[record.dataset],
        "narrator": record.reason.narrator,
        "evaluator": record.evaluator,
        "evaluator_scores": _six(scores),
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
    """The pictures, decoded and written anew as PNG without metadata."""
    pictures = []
    for place, path in enumerate(picture_paths(record.images, root), 1):
        buffer = BytesIO()
        open_image(path).save(buffer, format="PNG")
        pictures.append({"bytes": buffer.getvalue(), "path": f"{name}-{place}.png"})
    return pictures
