"""Where the pictures of a data set are: the documented place first, then by name or stem."""

import filecmp
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from skingpt_r1.data.intake import SUFFIXES
from skingpt_r1.errors import DatasetError

# Words in the names of folders and files that lie beside photos and bear their names.
_BESIDE = frozenset((
    "mask", "masks", "gt", "truth", "groundtruth", "seg", "segs", "segmentation", "segmentations",
    "annotation", "annotations", "label", "labels", "superpixels", "heatmap", "heatmaps",
    "overlay", "overlays", "thumb", "thumbs", "thumbnail", "thumbnails", "macosx",
))  # fmt: skip


class PictureIndex:
    """Finds the pictures that a table names, whatever their letter case and suffix.

    The folder that the table names wins, then its sub-folders. In one folder the exact name wins
    over another suffix; two folders never decide by suffix, for a mask often has the suffix that a
    photo had. `documented` is a pattern of folder names; where there are such directly in `root`,
    nothing else is searched. Hidden files are passed over.
    """

    def __init__(self, root: Path, documented: str = "") -> None:
        self.root = root
        self._documented = re.compile(documented, re.IGNORECASE)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        inside = sorted(path for path in self.root.iterdir() if path.is_dir())
        folders = [path for path in inside if self._documented.fullmatch(path.name)]
        found: dict[str, list[Path]] = defaultdict(list)
        for folder in folders or [self.root]:
            # A pipe under a picture's name is found, so that it is told and not called missing.
            for path in filter(is_there, pictures_below(folder)):
                found[_folded(path.stem)].append(path)
        return dict(found)

    def namesakes(self, name: str) -> list[Path]:
        """All pictures of that stem, wherever they are."""
        return self._by_stem.get(_folded(without_suffix(_as_path(name).name)), [])

    def find(self, name: str) -> Path | None:
        """The picture of that relative path, name or stem; None if there is none.

        A suffix in `name` need not be the file's: tables often outlive a re-encoding. Identical
        files are one picture. A picture in a folder of masks or small copies is none, unless the
        table names that folder.

        Raises:
            DatasetError: two pictures answer to the name, and the place does not decide.
        """
        wanted = _as_path(name)
        place = self._place(wanted)
        near = [path for path in self.namesakes(name) if _agree(self._place_of(path), place)]
        there = [path for path in near if self._place_of(path) == place]
        best = _unlike(_best_named(there or near, wanted.name))
        if len(best) > 1:
            shown = " and ".join(map(self.shown, best[:3]))
            raise DatasetError(
                f"picture {name}: {len(best)} files answer to it: {shown}; keep one of them there"
            )
        return best[0] if best and (there or not self._is_beside(best[0])) else None

    def shown(self, path: Path) -> str:
        """A picture's path as messages have it."""
        return path.relative_to(self.root).as_posix()

    def _place_of(self, path: Path) -> tuple[str, ...]:
        return self._place(PurePosixPath(self.shown(path)))

    def _place(self, path: PurePosixPath) -> tuple[str, ...]:
        """The folders of a relative path, without the documented ones that it begins with."""
        folders = path.parts[:-1]
        while folders and self._documented.fullmatch(folders[0]):
            folders = folders[1:]
        return tuple(map(_folded, folders))

    def _is_beside(self, path: Path) -> bool:
        return any(
            not self._documented.fullmatch(part) and _tells_beside(part)
            for part in path.relative_to(self.root).parts[:-1]
        )


def is_there(path: Path) -> bool:
    """Whether something is there; not where no file can have the name, or nobody may look."""
    try:
        return path.exists()
    except OSError:
        return False


def without_suffix(name: str) -> str:
    """A name or relative path without its picture suffix; other suffixes belong to the name."""
    path = PurePosixPath(name)
    return path.with_suffix("").as_posix() if path.suffix.lower() in SUFFIXES else name


def photos_below(folder: Path) -> tuple[list[Path], int]:
    """The photos below a folder, and how many masks, maps and small copies lie beside them.

    Those are told by their folder (`masks/`) or by their name beside the photo's (`x_mask.png`).
    """
    found = pictures_below(folder)
    stems = {(path.parent, _folded(path.stem)) for path in found}

    def is_beside(path: Path) -> bool:
        if any(map(_tells_beside, path.relative_to(folder).parts[:-1])):
            return True
        named = re.fullmatch(r"(.+)[-_ .]([A-Za-z]+)", path.stem)
        if named is None or _folded(named[2]) not in _BESIDE:
            return False
        return (path.parent, _folded(named[1])) in stems

    photos = [path for path in found if not is_beside(path)]
    return photos, len(found) - len(photos)


def pictures_below(folder: Path) -> list[Path]:
    """All picture files below a folder, sorted; links to folders are followed, each once."""
    found: list[Path] = []
    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__MACOSX"))
            and os.path.realpath(f"{parent}/{name}") not in visited
        ]
        found += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found)


def _as_path(name: str) -> PurePosixPath:
    return PurePosixPath(name.strip().replace("\\", "/"))


def _folded(text: str) -> str:
    """One spelling for all letter cases, and for accents written as one character or as two."""
    return normalize("NFC", text).casefold()


def _agree(found: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a picture may lie there: `a/b` is found in `b`, `x/a/b` and `a/b/x`, not in `c`."""
    shared = min(len(found), len(wanted))
    ends_alike = found[len(found) - shared :] == wanted[len(wanted) - shared :]
    return ".." not in wanted and (ends_alike or found[: len(wanted)] == wanted)


def _best_named(paths: list[Path], name: str) -> list[Path]:
    """Within one folder the exact name, else that name in another letter case, else all."""
    if len({path.parent for path in paths}) > 1:
        return paths
    whole = without_suffix(name) != name
    for spelled in (lambda text: normalize("NFC", text), _folded):
        exact = [p for p in paths if spelled(p.name if whole else p.stem) == spelled(name)]
        if exact:
            return exact
    return paths


def _unlike(paths: Iterable[Path]) -> list[Path]:
    """The paths without those that are the same to the byte as one before them."""
    kept: list[Path] = []
    for path in paths:
        if not any(_same_bytes(path, other) for other in kept):
            kept.append(path)
    return kept


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:  # a file that cannot be read is told by who opens it
        return False


def _tells_beside(name: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return not _BESIDE.isdisjoint({_folded(name), *map(_folded, words)})
