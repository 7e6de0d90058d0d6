"""Publication: a corpus as a Hugging Face data set directory, or a refusal with every reason.

The directory appears whole: shards are written into a hidden folder that no loader reads, and one
rename makes them visible. The same corpus gives the same bytes. For research, not for diagnosis.
"""

import importlib.metadata
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.data.overlap import MAX_DISTANCE
from skingpt_r1.dermcot.card import (
    CERTIFIED,
    TRAIN,
    Facts,
    Source,
    Tally,
    refuse_pictures,
    sources_of,
    write_card,
)
from skingpt_r1.dermcot.certify import certified, history_path
from skingpt_r1.dermcot.corpus import Part, corpus_path, noted_root, picture_root, read_corpus
from skingpt_r1.dermcot.croissant import CORPUS_VERSION, croissant
from skingpt_r1.dermcot.disjoint import FINGERPRINTS, Compared, compared, find_leaks
from skingpt_r1.dermcot.table import Entry, Shard, write_split
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.agreement import rater_agreement
from skingpt_r1.ratings.certification import STATES, CertifyRules, History, read_history
from skingpt_r1.records import read_json, sha256_file, write_bytes_atomic, write_json_atomic
from skingpt_r1.runs import Progress

CARD, METADATA, CORPUS, DATA = "README.md", "croissant.json", "corpus.json", "data"


class Options(NamedTuple):
    """How to publish.

    Attributes:
        licences: source of own pictures -> terms under which they may be passed on.
        max_distance: bits of 256 up to which two pictures are near-identical.
        workers: processes that read pictures for the comparison.
    """

    name: str
    with_images: bool = True
    licences: Mapping[str, str] = {}
    max_distance: int = MAX_DISTANCE
    workers: int = 1


class Published(NamedTuple):
    """What was published; nothing was written where the same corpus `existed` there before.

    Attributes:
        folder: the directory.
        cases: split -> number of cases.
    """

    folder: Path
    cases: Mapping[str, int]
    existed: bool


@dataclass(slots=True)
class _Split:
    """One pass over a split: counts, and what is compared of its cases."""

    tally: Tally = field(default_factory=Tally)
    compared: list[Compared] = field(default_factory=list)


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
    splits = {name: _scan(_entries(folder, name), root) for name in (TRAIN, CERTIFIED)}
    if not any(split.tally.cases for split in splits.values()):
        raise DatasetError(f"{folder} has no case to publish")
    names = {source for split in splits.values() for source in split.tally.sources}
    sources = sources_of(names, options.licences)
    if options.with_images:
        refuse_pictures(sources)
    refuse_leaks(folder, splits[TRAIN].compared, splits[CERTIFIED].compared, options, progress)
    facts = _facts(folder, history, splits, sources, options)
    _write(folder, root, out, history, facts, inputs, progress)
    return Published(out, {name: tally.cases for name, tally in facts.tallies.items()}, False)


def refuse_leaks(
    folder: Path,
    training: list[Compared],
    certified_cases: list[Compared],
    options: Options,
    progress: Progress | None = None,
) -> None:
    """Stop when training and certified cases have anything in common.

    Raises:
        DatasetError: everything that they share.
    """
    leaks = find_leaks(
        training,
        certified_cases,
        store=folder / FINGERPRINTS,
        max_distance=options.max_distance,
        workers=options.workers,
        progress=progress and (lambda done, total: progress("reading pictures", done, total)),
    )
    if leaks:
        raise DatasetError(
            f"training and certified cases are not disjoint in {len(leaks)} places; nothing was "
            "published; build the corpus again so that selection leaves these cases out",
            [str(leak) for leak in leaks],
        )


def _inputs(folder: Path, options: Options) -> dict[str, Any]:
    """What the bytes of a published corpus depend on."""
    parts: tuple[Part, ...] = ("candidate", "held_out")
    paths = [*(corpus_path(folder, part) for part in parts), history_path(folder)]
    return {
        **{path.name: sha256_file(path) if path.is_file() else None for path in paths},
        "name": options.name,
        "with_images": options.with_images,
        "licences": dict(options.licences),
        "layout": CORPUS_VERSION,
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
    return (Entry(*found) for found in certified(folder))


def _scan(entries: Iterator[Entry], root: Path) -> _Split:
    split = _Split()
    for entry in entries:
        split.tally.add(entry.record)
        split.compared.append(compared(entry.record, root))
    return split


def _facts(
    folder: Path,
    history: History,
    splits: Mapping[str, _Split],
    sources: tuple[Source, ...],
    options: Options,
) -> Facts:
    states = Counter(decision.state for decision in history.decisions.values())
    return Facts(
        name=options.name,
        tallies={name: split.tally for name, split in splits.items()},
        sources=sources,
        with_images=options.with_images,
        states={state: states[state] for state in STATES} if history.decisions else {},
        rules=None if history.limits is None else CertifyRules.model_validate(history.limits),
        simulated_raters=history.simulated if history.decisions else None,
        agreement=rater_agreement(of.values() for of in history.ratings.values()),
        corrected=sum(d.corrected is not None for d in history.decisions.values()),
        version=importlib.metadata.version("skingpt-r1"),
    )


def _write(
    folder: Path,
    root: Path,
    out: Path,
    history: History,
    facts: Facts,
    inputs: Mapping[str, Any],
    progress: Progress | None,
) -> None:
    # Loaders pass over hidden folders, so that what a killed run leaves cannot be loaded.
    partial = out.with_name(f".{out.name}.partial")
    hidden = partial / f".{DATA}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        hidden.mkdir(parents=True)
        shards: list[Shard] = []
        for split, tally in facts.tallies.items():
            shards += write_split(
                hidden,
                split,
                _told(_entries(folder, split), f"writing {split}", tally.cases, progress),
                tally.cases,
                root=root,
                licences={source.name: source.licence for source in facts.sources},
                pseudonyms=_pseudonyms(history),
                with_images=facts.with_images,
            )
        cases = {split: tally.cases for split, tally in facts.tallies.items()}
        write_bytes_atomic(partial / CARD, write_card(facts).encode())
        write_json_atomic(partial / METADATA, croissant(facts, shards))
        manifest = {"inputs": inputs, "cases": cases, "shards": [s._asdict() for s in shards]}
        write_json_atomic(partial / CORPUS, manifest)
        hidden.replace(partial / DATA)
        partial.replace(out)
    except OSError as error:
        raise DatasetError(f"cannot write {out}: {error.strerror}") from error


def _told(
    entries: Iterator[Entry], stage: str, total: int, progress: Progress | None
) -> Iterator[Entry]:
    for number, entry in enumerate(entries, 1):
        yield entry
        if progress is not None:
            progress(stage, number, total)


def _pseudonyms(history: History) -> dict[str, str]:
    """Rater -> neutral name; simulated raters are called so."""
    raters = sorted({rater for of_case in history.ratings.values() for rater in of_case})
    kind = "simulated-rater" if history.simulated else "rater"
    return {rater: f"{kind}-{number:02d}" for number, rater in enumerate(raters, 1)}
