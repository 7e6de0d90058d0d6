"""Model directories that are changed a little, without copying their weights."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def copy_model(source: Path, folder: Path) -> Path:
    """A copy whose weights are the same files (hard links), to be replaced and never changed."""
    folder.mkdir(parents=True)
    for path in source.iterdir():
        put = os.link if path.suffix == ".safetensors" else shutil.copyfile
        put(path, folder / path.name)
    return folder


def change_json(path: Path, changes: Mapping[str, Any]) -> None:
    """Set values by dotted names; None in place of a value removes it."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *outer, last = name.split(".")
        place = content
        for key in outer:
            place = place[key]
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    path.write_text(json.dumps(content))


def save_weights(state: Mapping[str, Any], path: Path) -> None:
    """Replace a weight file, also one that is a hard link."""
    from safetensors.torch import save_file

    path.unlink(missing_ok=True)
    save_file(dict(state), path, metadata={"format": "pt"})
