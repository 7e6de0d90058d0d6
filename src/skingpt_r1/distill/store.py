"""Features on disk: what the frozen backbone computed for each case, once.

    features/
      index.json                 the key: recipe part, backbone, processor, data manifest
      shard-00000.safetensors    tensors of `shard_cases` cases, one after the other, with offsets

A shard is written beside its name, flushed and renamed, so a file with the right name is complete;
its header is checked all the same. Reading maps the files into memory.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic_core import to_jsonable_python
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from skingpt_r1.errors import FeatureStoreError, RecordError
from skingpt_r1.model.weight_files import not_finite
from skingpt_r1.records import differences, read_json, write_bytes_atomic, write_json_atomic
from skingpt_r1.runs import Count

logger = logging.getLogger(__name__)

FORMAT = 1
OFFSETS = ".offsets"

# Case tensors by field name: ragged in the first dimension, equal in the others.
Features = Mapping[str, Tensor]


class FeatureStore:
    """A complete store, read through memory maps.

    Attributes:
        ids: the cases, in order.
        key: what the features were made from.
    """

    def __init__(self, folder: Path) -> None:
        index = _read_index(folder)
        self.folder = folder
        self.key: dict[str, Any] = index["key"]
        self.ids: list[str] = index["ids"]
        self._shard_cases: int = index["shard_cases"]
        paths = [_shard_path(folder, number) for number in range(_num_shards(index))]
        absent = [
            path.name for number, path in enumerate(paths) if not _is_complete(path, index, number)
        ]
        if absent:
            raise FeatureStoreError(
                f"{folder} is not complete: {len(absent)} of {len(paths)} shards are missing or "
                f"torn ({', '.join(absent[:5])}); run the same feature pass again to finish it"
            )
        self._shards = [_load_shard(path) for path in paths]
        self._checked: set[int] = set()
        self.nbytes = sum(path.stat().st_size for path in paths)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The tensors of one case, views of the mapped file.

        Raises:
            FeatureStoreError: one of them is not finite.
        """
        number, row = divmod(index, self._shard_cases)
        tensors, offsets = self._shards[number]
        case = {name: tensors[name][ends[row] : ends[row + 1]] for name, ends in offsets.items()}
        if index not in self._checked:
            if wrong := not_finite(case.items()):
                raise FeatureStoreError(
                    f"{_shard_path(self.folder, number)} holds numbers that are not finite for "
                    f"case {self.ids[index]}: {', '.join(wrong)}; delete it and run the same "
                    "feature pass again"
                )
            self._checked.add(index)
        return case

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (self[index] for index in range(len(self)))


def write_store(
    folder: Path,
    key: Mapping[str, Any],
    ids: Sequence[str],
    compute: Callable[[Sequence[int]], Sequence[Features]],
    *,
    shard_cases: int,
    progress: Count | None = None,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Make a store, or finish one that was begun; complete shards are kept.

    Args:
        folder: where the store is.
        key: names everything that the features depend on, nested as the user knows it.
        ids: all cases, in order.
        compute: features of the cases with the given indices; called shard by shard, so that a
            finished and an unbroken pass compute with the same neighbours.
        shard_cases: cases in one file.
        progress: callback(done, total) of this process's cases.
        part: (rank, processes); each process computes its own shards of the same store.

    Raises:
        FeatureStoreError: the folder holds features of another key, or cannot be written.
    """
    index = {
        "format": FORMAT,
        "key": to_jsonable_python(dict(key)),
        "shard_cases": shard_cases,
        "ids": list(ids),
    }
    if (folder / "index.json").exists():
        _refuse_changes(folder, _read_index(folder), index)
    _guard(folder, partial(write_json_atomic, folder / "index.json", index))
    rank, processes = part
    shards = range(rank, _num_shards(index), processes)
    todo = [n for n in shards if not _is_complete(_shard_path(folder, n), index, n)]
    own = sum(len(_rows(index, number)) for number in shards)
    done = own - sum(len(_rows(index, number)) for number in todo)
    for position, number in enumerate(todo):
        rows = _rows(index, number)
        features = compute(rows)
        if position == 0:
            _announce(folder, features, len(ids), len(todo) * shard_cases)
        content = save(_pack(features), metadata={"shard": _shard_stamp(index, number)})
        _guard(folder, partial(write_bytes_atomic, _shard_path(folder, number), content))
        done += len(rows)
        if progress is not None:
            progress(done, own)


def _announce(folder: Path, features: Sequence[Features], cases: int, missing: int) -> None:
    """Log the size before the long part, and stop when the disk cannot take it."""
    size = sum(tensor.nbytes for case in features for tensor in case.values()) / len(features)
    free = shutil.disk_usage(folder).free
    logger.info(
        "feature store: %d cases, %.1f KB each, %.1f MB in all",
        cases,
        size / 1e3,
        size * cases / 1e6,
    )
    if size * min(missing, cases) > free:
        raise FeatureStoreError(
            f"{folder} needs about {size * missing / 1e9:.2f} GB and the disk has "
            f"{free / 1e9:.2f} GB left; free some, or choose another folder"
        )


def _pack(features: Sequence[Features]) -> dict[str, Tensor]:
    packed: dict[str, Tensor] = {}
    for name in features[0]:
        parts = [case[name].detach().cpu() for case in features]
        lengths = torch.tensor([0, *(len(part) for part in parts)])
        packed[name] = torch.cat(parts).contiguous()
        packed[name + OFFSETS] = lengths.cumsum(0)
    return packed


def _load_shard(path: Path) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    offsets = {
        name.removesuffix(OFFSETS): tensor.tolist()
        for name, tensor in tensors.items()
        if name.endswith(OFFSETS)
    }
    return tensors, offsets


def _is_complete(path: Path, index: Mapping[str, Any], number: int) -> bool:
    """Whether a shard is there, whole, and of this store; a torn file is none."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return bool((file.metadata() or {}).get("shard") == _shard_stamp(index, number))
    except (SafetensorError, OSError):
        logger.warning("%s is torn; it is computed again", path.name)
        return False


def _shard_stamp(index: Mapping[str, Any], number: int) -> str:
    part = {"key": index["key"], "ids": [index["ids"][row] for row in _rows(index, number)]}
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()


def _num_shards(index: Mapping[str, Any]) -> int:
    cases, size = len(index["ids"]), int(index["shard_cases"])
    return -(-cases // size)


def _rows(index: Mapping[str, Any], number: int) -> range:
    size, cases = int(index["shard_cases"]), len(index["ids"])
    return range(number * size, min((number + 1) * size, cases))


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.safetensors"


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    if not path.is_file():
        raise FeatureStoreError(f"{folder} holds no feature store: there is no index.json")
    index = read_json(path, FeatureStoreError)
    if index.get("format") != FORMAT:
        raise FeatureStoreError(
            f"{path} has format {index.get('format')!r}, this version reads {FORMAT}; "
            "delete the folder and run the feature pass again"
        )
    ids, size = index.get("ids"), index.get("shard_cases")
    whole = isinstance(ids, list) and all(isinstance(name, str) for name in ids)
    if not whole or type(size) is not int or size < 1 or not isinstance(index.get("key"), dict):
        raise FeatureStoreError(
            f"{path} lacks key, ids or shard_cases, or has others than a store writes; delete the "
            "folder and run the feature pass again"
        )
    return index


def _refuse_changes(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    # The key's own names are shown as the user knows them, without the word "key".
    before, after = ({**index, **index["key"], "key": None} for index in (old, new))
    if changed := differences(before, after):
        raise FeatureStoreError(
            f"{folder} holds features of another run; changed: {'; '.join(changed[:10])}. "
            "Use another folder, or delete this one to make the features again"
        )


def _guard(folder: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except (OSError, RecordError) as error:
        raise FeatureStoreError(
            f"the feature store {folder} cannot be written: {error}; it needs a writable folder on "
            "a disk with space left. What is complete stays and is kept when you start again"
        ) from error
