"""DermCoT: a corpus that `skingpt dermcot publish` wrote, pictures and narratives in Parquet."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skingpt_r1.case import Case, SkinTone, Split, id_problem
from skingpt_r1.data.intake import SUFFIXES
from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.findings import check_findings
from skingpt_r1.text.values import stated

# Certified cases are for testing and are never trained on.
SPLITS = {"train": Split.TRAIN, "certified": Split.TEST}
COLUMNS = (
    "id", "dataset", "group", "diagnosis", "site", "age", "tone", "fitzpatrick", "images",
    "image_sha256", "findings", "narrative", "synthetic", "narrator", "corrected",
)  # fmt: skip
TEXTS = ("id", "dataset", "group", "diagnosis", "narrative", "site", "age", "tone", "narrator")
LISTS: Mapping[str, Mapping[str, type]] = {
    "findings": {"slot": str, "value": str},
    "images": {"path": str, "bytes": bytes},
}
PICTURES = "pictures"
_SHARD = re.compile(r"(train|certified)-(\d{5})-of-(\d{5})\.parquet")
_ROWS = 64  # held at once


def _fill(reading: Reading) -> None:
    """Pictures lie inside the table; they are unpacked once, into the folder `pictures`."""
    unpacked: dict[str, bytes] = {}
    for path, split in _shards(reading):
        for number, values in enumerate(_rows(path), start=1):
            _add(f"{path.name} row {number}", values, split, unpacked, reading)


def _shards(reading: Reading) -> list[tuple[Path, Split]]:
    folder = reading.root / "data"
    found = sorted(folder.glob("*.parquet"))
    matches = [(path, _SHARD.fullmatch(path.name)) for path in found]
    shards = [(path, match) for path, match in matches if match is not None]
    if not shards:
        raise DatasetError(f"dermcot: no shard in {folder}; expected {reading.info.layout}")
    for split in SPLITS:
        parts = [match for _, match in shards if match[1] == split]
        if parts and [int(match[2]) for match in parts] != list(range(int(parts[0][3]))):
            reading.problem("data", f"shards of {split} are missing; {len(parts)} of {parts[0][3]}")
    return [(path, SPLITS[match[1]]) for path, match in shards]


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a shard, few of them in memory at any time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        absent = [name for name in COLUMNS if name not in file.schema_arrow.names]
        if absent:
            raise DatasetError(f"dermcot: wrong columns in {path}: no {', '.join(absent)}")
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(COLUMNS)):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(
            f"dermcot: {path} cannot be read as Parquet ({type(error).__name__}); copy the "
            "corpus again"
        ) from error


def _add(
    where: str, values: Mapping[str, Any], split: Split, unpacked: dict[str, bytes],
    reading: Reading,
) -> None:  # fmt: skip
    before = len(reading.problems)
    if problem := _unfit(values):
        reading.problem(where, problem)
        return
    findings = {item["slot"]: item["value"] for item in values["findings"] or ()}
    for problem in check_findings(findings):
        reading.problem(where, problem)
    for name in ("id", "dataset", "group", "diagnosis", "narrative"):
        reading.required(where, name, values[name] or "")
    tone = values["tone"]
    if tone is not None and tone not in list(SkinTone):
        reading.problem(where, f"tone {tone!r} is not one of {', '.join(SkinTone)}")
    scale = reading.fitzpatrick(where, str(values["fitzpatrick"] or ""))
    if len(reading.problems) > before:
        return
    images = _pictures(where, values, unpacked, reading)
    if images is None:
        return
    reading.add(
        Case(
            id=values["id"],
            images=images,
            dataset=reading.info.name,
            group=f"{values['dataset']}/{values['group']}",
            label=values["diagnosis"],
            split=split,
            fitzpatrick=scale,
            tone=None if tone is None else SkinTone(tone),
            findings=findings,
            context=stated(site=values["site"], age=values["age"]),
            attributes={
                "source": values["dataset"],
                "synthetic": str(values["synthetic"]).lower(),
                "corrected": str(values["corrected"]).lower(),
                "narrator": values["narrator"] or "unknown",
            },
            narrative=values["narrative"],
        ),
        where,
    )


def _unfit(values: Mapping[str, Any]) -> str | None:
    """What is of another kind than a published row has it; None when nothing is."""
    for name in TEXTS:
        if not isinstance(values[name], str | None):
            return f"{name} is {type(values[name]).__name__}, not text"
    for name in (*LISTS, "image_sha256"):
        if not isinstance(values[name], list | None):
            return f"{name} is {type(values[name]).__name__}, not a list"
    for name, keys in LISTS.items():
        for item in values[name] or ():
            fields = item if isinstance(item, dict) else {}
            if not all(isinstance(fields.get(key), kind) for key, kind in keys.items()):
                return f"{name} holds an item without {' and '.join(keys)}"
    return None


def _pictures(
    where: str, values: Mapping[str, Any], unpacked: dict[str, bytes], reading: Reading
) -> tuple[Path, ...] | None:
    """The pictures of a row, added to `unpacked` (lower-case name -> hash); None if none."""
    images = values["images"] or ()
    if not images:
        number = len(values["image_sha256"] or ())
        reading.miss(where, f"published without its pictures ({number}); publish with them")
        return None
    names = [image["path"] for image in images]
    if not all(map(_is_file_name, names)):
        reading.problem(
            where, "a picture's name is a path or no picture; plain file names are allowed"
        )
        return None
    for image in images:
        digest = hashlib.sha256(image["bytes"]).digest()
        if unpacked.setdefault(image["path"].casefold(), digest) != digest:
            reading.problem(where, "another picture of the corpus has the same name")
            return None
    folder = reading.root / PICTURES
    return tuple(
        _unpacked(folder / name, image["bytes"]) for name, image in zip(names, images, strict=True)
    )


def _is_file_name(name: str) -> bool:
    plain = id_problem(name) is None and not {"/", "\\"} & set(name) and name[0] != "."
    return plain and Path(name).suffix.lower() in SUFFIXES


def _unpacked(path: Path, content: bytes) -> Path:
    try:
        if path.is_file() and path.read_bytes() == content:
            return path
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise DatasetError(
            f"dermcot: cannot unpack pictures into {path.parent}: {error.strerror}; copy the "
            "corpus to a folder that can be written to"
        ) from error
    return path


READER = Reader(
    name="dermcot",
    title="A published DermCoT corpus",
    licence="that of each source; see README.md of the corpus",
    citation="DermCoT, with SkinGPT-R1 in arXiv:2511.15242 (2025).",
    url="https://arxiv.org/abs/2511.15242",
    layout="data/train-*.parquet and, optional, data/certified-*.parquet",
    group_key="column group, within each source",
    tone_field="fitzpatrick, tone",
    keeps_split=True,
    fill=_fill,
)
