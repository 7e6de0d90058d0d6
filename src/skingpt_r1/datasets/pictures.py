"""Where the pictures of a data set are: by relative path, by name, or by name without suffix."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".heic", ".heif", ".dcm"}
)


class PictureIndex:
    """Finds pictures under some folders, whatever the letter case of their names.

    Sub-folders are searched, hidden files are not. Where two folders hold the same name the first
    one wins, in the order given and then by path.

    Args:
        folders: folders to search; those that do not exist are passed over.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._by_path: dict[str, Path] = {}
        self._by_name: dict[str, Path] = {}
        self._by_stem: dict[str, Path] = {}
        for folder in folders:
            for path in pictures_below(folder):
                self._by_path.setdefault(path.relative_to(folder).as_posix().casefold(), path)
                self._by_name.setdefault(path.name.casefold(), path)
                self._by_stem.setdefault(path.stem.casefold(), path)

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, name: str) -> Path | None:
        """The picture of that relative path, name or stem; None if there is none.

        A suffix in `name` need not be the file's: tables often outlive a re-encoding.
        """
        wanted = PurePosixPath(name.strip().replace("\\", "/").casefold())
        if not wanted.name:
            return None
        stem = wanted.stem if wanted.suffix in SUFFIXES else wanted.name
        return (
            self._by_path.get(wanted.as_posix())
            or self._by_name.get(wanted.name)
            or self._by_stem.get(stem)
        )


def pictures_below(folder: Path) -> list[Path]:
    """All picture files below a folder, sorted by path; none if the folder does not exist.

    Links to folders are followed, each folder once.
    """
    found: list[Path] = []
    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(f"{parent}/{name}") not in visited
        ]
        found += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found)
