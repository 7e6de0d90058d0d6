"""Reading one small JSON file that may have been written, cut or changed by anyone."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from skingpt_r1.errors import RecordError, SkinGPTError

MAX_JSON_MIB = 64  # the largest file in use, a tokenizer's, has about ten


def read_json(path: Path, error: type[SkinGPTError] = RecordError) -> dict[str, Any]:
    """The object in a JSON file, read strictly.

    Refused are: other values than an object, NaN and Infinity, bytes that are no UTF-8, a
    byte-order mark, half a surrogate pair, a key that stands twice in one object, numbers of
    thousands of digits, hundreds of levels, and more than `MAX_JSON_MIB`.

    Args:
        path: the file.
        error: the class to raise.

    Raises:
        SkinGPTError: of the class given; the message names the file and the problem.
    """
    try:
        with path.open("rb") as file:
            content = file.read((MAX_JSON_MIB << 20) + 1)
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from problem
    if len(content) > MAX_JSON_MIB << 20:
        raise error(f"{path} has more than {MAX_JSON_MIB} MiB; a small JSON file is expected")
    if content.startswith(b"\xef\xbb\xbf"):
        raise error(f"{path} begins with a byte-order mark; save it as UTF-8 without one")
    try:
        from_json(content, allow_inf_nan=False)
        found = json.loads(content, object_pairs_hook=_keys_once)
    except ValueError as problem:
        raise error(
            f"{path} cannot be read: not JSON, {_cut(str(problem))}; fetch or write it again"
        ) from None
    if not isinstance(found, dict):
        raise error(f"{path} holds a JSON {type(found).__name__}; an object {{...}} is expected")
    return found


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {_cut(twice)!r} stands twice in one object")
    return found


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
