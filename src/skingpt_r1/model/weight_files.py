"""Weight files: which they are, what their headers say, and that their numbers are numbers.

Everything that is read of a directory of weights goes through here, and everything that does not
hold is a CheckpointError; `refusing` makes one error of ours of what other libraries raise.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.records import read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHOWN = 10
_SHARD = re.compile(r"model-\d{1,9}-of-\d{1,9}\.safetensors")
FAILURES = (
    OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError,
    RuntimeError, ImportError, MemoryError, EOFError, SafetensorError, StrictDataclassError,
)  # fmt: skip


class Header(NamedTuple):
    """What a file says of one tensor: its type, as `F16` or `I32`, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def weight_files(folder: Path) -> dict[Path, dict[str, Header]]:
    """The safetensors files that hold a directory's model weights, and what is in each.

    Raises:
        CheckpointError: there are none; one is damaged; a tensor is in two files; or the index is
            unreadable, names a file that is absent or outside the directory, leaves weights out
            that lie there, or says something else than the files.
    """
    index = folder / INDEX
    said = _read_index(index) if index.is_file() else None
    names = [WEIGHTS] if said is None else sorted(set(said.values()))
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise CheckpointError(
            f"{folder} lacks the weight files {listed(absent)}; download it again, completely"
        )
    there = {p.name for p in folder.iterdir() if _SHARD.fullmatch(p.name) or p.name == WEIGHTS}
    if said is not None and (hidden := sorted(there - set(names))):
        raise CheckpointError(
            f"{index} does not name the weight files {listed(hidden)}, which lie beside it; "
            "delete the index or the files, whichever is left over from another download"
        )
    found: dict[Path, dict[str, Header]] = {}
    places: dict[str, str] = {}
    for name in names:
        headers = found[folder / name] = read_headers(folder / name)
        if twice := sorted(places.keys() & headers.keys()):
            raise CheckpointError(
                f"{folder} has the weights {listed(twice)} in {name} and in another file; "
                "delete the file that is left over from another download"
            )
        places |= dict.fromkeys(headers, name)
    if said is not None and (wrong := sorted({n for n, _ in said.items() ^ places.items()})):
        raise CheckpointError(
            f"{index} and the weight files differ on where {listed(wrong)} lie; index and files "
            "are of different downloads: fetch all of them again"
        )
    return found


def _read_index(path: Path) -> dict[str, str]:
    """Tensor to file name, in the directory of the index."""
    places = read_json(path, CheckpointError).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(
            f"{path} has no weight_map of tensors to files; download it again, or delete it where "
            f"{WEIGHTS} holds all weights"
        )
    names = (name if isinstance(name, str) else repr(name) for name in places.values())
    for name in dict.fromkeys(names):
        if not _is_inside(path.parent, name):
            raise CheckpointError(
                f"{path} names the weight file {name!r:.200}; allowed are names of .safetensors "
                "files in the same directory"
            )
    return places


def _is_inside(folder: Path, name: str) -> bool:
    """Whether a name is that of a safetensors file in the folder.

    A link must not leave the folder either, but for the store that Hugging Face's cache links to.
    """
    if not re.fullmatch(r"[\w.-]{1,200}\.safetensors", name):
        return False
    real, home = (folder / name).resolve(), folder.resolve()
    cache = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    return real.is_relative_to(home) or real.is_relative_to(cache)


def read_headers(path: Path) -> dict[str, Header]:
    """Type and shape of every tensor in a safetensors file; no tensor is read."""
    with refusing(f"{path} cannot be read; download it again"), safe_open(path, "pt") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {n: Header(p.get_dtype(), tuple(p.get_shape())) for n, p in parts.items()}


def weights_revision(files: Iterable[Path]) -> str:
    """sha256 over the files of `weight_files`, in the order of their names."""
    stats = [(path, path.stat()) for path in files]
    return _hash_files(
        tuple((str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in stats)
    )


@lru_cache(maxsize=16)
def _hash_files(stamps: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _size, _modified in stamps:
        with Path(name).open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def refuse_differences(
    where: Path,
    *,
    missing: Iterable[str] = (),
    unexpected: Iterable[str] = (),
    shapes: Iterable[tuple[str, Sequence[int], Sequence[int]]] = (),
) -> None:
    """Stop when weights are not exactly a model's own; the message lists all that are wrong.

    `shapes` are those that differ: name, shape in the file, in the model.
    """
    lines = [f"  missing: {key}" for key in sorted(missing)]
    lines += [f"  unexpected: {key}" for key in sorted(unexpected)]
    lines += [
        f"  {name}: {tuple(saved)} in the file, {tuple(own)} in the model"
        for name, saved, own in shapes
    ]
    if lines:
        head = f"the weights in {where} do not fit the model; nothing was loaded"
        raise CheckpointError("\n".join([head, *lines]))


def refuse_misfits(
    where: Path, saved: Mapping[str, Tensor | Header], own: Mapping[str, Tensor]
) -> None:
    """Stop when saved weights are not exactly a model's own, in name and shape."""
    both = [(name, saved[name].shape, own[name].shape) for name in own if name in saved]
    refuse_differences(
        where,
        missing=own.keys() - saved.keys(),
        unexpected=saved.keys() - own.keys(),
        shapes=[row for row in both if tuple(row[1]) != tuple(row[2])],
    )


def refuse_other_types(where: Path, headers: Mapping[str, Header]) -> None:
    """Stop when weights that must be floating-point numbers are not."""
    types = {name: header.dtype for name, header in headers.items()}
    if wrong := [f"{n} ({kind})" for n, kind in types.items() if not kind.startswith(("F", "BF"))]:
        raise CheckpointError(
            f"{where} holds weights that are no floating-point numbers: {listed(wrong)}; save "
            "them as float32, float16 or bfloat16"
        )


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the tensors that have a NaN or an infinite element.

    Smallest and largest element tell, as NaN takes the place of both. Integers, and the bytes of
    quantised weights, are passed over.
    """
    return [
        name
        for name, value in tensors
        if value.is_floating_point() and value.itemsize > 1 and value.numel()
        and not bool(torch.stack(value.detach().aminmax()).isfinite().all())
    ]  # fmt: skip


def refuse_not_finite(where: Path, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Stop when a weight is NaN or infinite."""
    if wrong := not_finite(weights):
        raise CheckpointError(
            f"{where} holds weights that are not finite (NaN or infinity) in {listed(wrong)}; "
            "they overflowed when they were trained or converted: use another copy"
        )


def listed(names: Sequence[Any], most: int = SHOWN) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"{name:.200}" for name in names[:most]) + more


@contextmanager
def refusing(problem: str, error: type[SkinGPTError] = CheckpointError) -> Iterator[None]:
    """Run a library on files that anyone may have written.

    A failure is raised as `error`; `problem` begins its message and names the directory or file.
    Of fields that pydantic refuses all are told.
    """
    try:
        yield
    except SkinGPTError:
        raise
    except ValidationError as failure:
        raise error(f"{problem}: {_fields(failure)}") from None
    except Exception as failure:
        # the tokenizers library raises the bare class
        if not isinstance(failure, FAILURES) and type(failure) is not Exception:
            raise
        reason = (str(failure).strip().splitlines() or ["no reason given"])[0]
        raise error(f"{problem}: {reason:.300} ({type(failure).__name__})") from failure


def _fields(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    lines = [
        f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}, found {one['input']!r:.60}"
        for one in found[:SHOWN]
    ]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "; ".join([*lines, *more])
