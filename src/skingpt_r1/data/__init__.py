"""Public data sets of dermatology as cases; for research, not for diagnosis.

No data set is part of this package: each reader turns a folder that the user has obtained under
the data set's own terms into `Case` objects.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from skingpt_r1.case import Case
from skingpt_r1.data.info import DatasetInfo
from skingpt_r1.data.readers import (
    ddi,
    derm7pt,
    dermbench,
    dermcot,
    dermnet,
    fitzpatrick17k,
    folder,
    ham10000,
    isic_2019,
    pad_ufes_20,
    scin,
    skincap,
    skincot,
)
from skingpt_r1.data.readers.folder import write_folder
from skingpt_r1.data.reading import Reading
from skingpt_r1.errors import DatasetError


class Reader(Protocol):
    """What every reader module has."""

    @property
    def INFO(self) -> DatasetInfo:  # noqa: N802  (a module constant)
        """The card of the data set."""

    def read(self, root: Path) -> Reading:
        """Cases and problems, without raising on problems of single rows."""

    def load(self, root: Path, *, allow_missing: bool = False) -> list[Case]:
        """The cases, or one `DatasetError` with every problem."""


_MODULES: tuple[Reader, ...] = (
    ham10000,
    pad_ufes_20,
    dermnet,
    fitzpatrick17k,
    ddi,
    derm7pt,
    isic_2019,
    scin,
    skincap,
    skincot,
    dermbench,
    dermcot,
    folder,
)
READERS: Mapping[str, Reader] = MappingProxyType({reader.INFO.name: reader for reader in _MODULES})


def load_cases(name: str, root: str | Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a data set.

    Args:
        name: one of `READERS`.
        root: the folder of the data set; each reader's card tells the layout.
        allow_missing: leave out cases whose files are missing, and log how many.

    Raises:
        DatasetError: an unknown name; or every problem of the data set, with row numbers.
    """
    return _reader(name).load(Path(root), allow_missing=allow_missing)


def check_dataset(name: str, root: str | Path) -> Reading:
    """Read a data set and hand back cases, problems, missing files and counts together.

    Raises:
        DatasetError: an unknown name, or a table that cannot be read at all.
    """
    return _reader(name).read(Path(root))


def describe(name: str) -> str:
    """The card of a data set as text: licence, citation, layout, labels, groups, skin tone."""
    info = _reader(name).INFO
    labels = f"{len(info.labels)}: {', '.join(info.labels)}" if info.labels else "any"
    rows = {
        "Licence": info.licence,
        "Citation": info.citation,
        "Described at": info.url,
        "Layout": info.layout,
        "Never split": info.group_key,
        "Skin tone": info.tone_field or "not recorded",
        "Labels": labels,
    }
    return "\n".join([f"{info.title} ({info.name})", *_aligned(rows)])


def describe_cases(cases: Sequence[Case]) -> str:
    """Counts of a set of cases as text: pictures, groups, labels, splits and skin types."""
    rows: dict[str, str] = {
        "Cases": f"{len(cases):,}",
        "Pictures": f"{sum(len(case.images) for case in cases):,}",
        "Groups": f"{len({case.group for case in cases}):,}",
        "Labels": _tally(case.label or "unlabelled" for case in cases),
        "Official split": _tally(case.split or "none" for case in cases),
        "Fitzpatrick type": _tally(str(case.fitzpatrick or "unknown") for case in cases),
        "Skin tone": _tally(case.tone or "unknown" for case in cases),
        "With narrative": f"{sum(case.narrative is not None for case in cases):,}",
    }
    return "\n".join(_aligned(rows))


def _reader(name: str) -> Reader:
    if name not in READERS:
        near = difflib.get_close_matches(name, READERS, n=1)
        hint = f"; nearest: {near[0]!r}" if near else ""
        raise DatasetError(f"no data set is called {name!r}{hint}; known: {', '.join(READERS)}")
    return READERS[name]


def _aligned(rows: Mapping[str, str]) -> list[str]:
    return [f"  {name + ':':<18} {text}" for name, text in rows.items()]


def _tally(values: Iterable[str]) -> str:
    counts = Counter(values)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{value} {count:,}" for value, count in ordered[:30])
    return shown if len(ordered) <= 30 else f"{shown} and {len(ordered) - 30} more"


__all__ = [
    "READERS",
    "DatasetInfo",
    "Reader",
    "Reading",
    "check_dataset",
    "describe",
    "describe_cases",
    "load_cases",
    "write_folder",
]
