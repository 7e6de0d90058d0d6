"""Public data sets of dermatology as cases; for research, not for diagnosis.

No data set is part of this package: each reader turns a folder that the user has obtained under
the data set's own terms into `Case` objects.
"""

import pkgutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from skingpt_r1.case import Case
from skingpt_r1.data import readers as _folder
from skingpt_r1.data.readers.folder import write_folder
from skingpt_r1.data.reading import DatasetInfo, Reader, Reading, nearest_hint
from skingpt_r1.errors import DatasetError
from skingpt_r1.plugins import find_plugins


def _built_in() -> dict[str, Reader]:
    names = sorted(module.name for module in pkgutil.iter_modules(_folder.__path__))
    return {name: import_module(f"{_folder.__name__}.{name}").READER for name in names}


READERS: Mapping[str, Reader] = MappingProxyType(_built_in())
"""The readers of this package; every file of `readers/` is one, of the file's name."""


def find_readers() -> tuple[dict[str, Reader], dict[str, str]]:
    """All readers, ours first, then those of other packages; and what is wrong with the rest.

    Other packages name a `Reader` in the entry-point group `skingpt_r1.readers`. One that cannot
    be loaded, or has a name that is taken, is left out, with one line by its name.
    """
    found, broken = find_plugins("readers", Reader, taken=READERS)
    return {**READERS, **found}, broken


def reader_of(name: str) -> Reader:
    """The reader of a data set, ours or of another package.

    Raises:
        DatasetError: there is none of that name, or its package is broken.
    """
    if name in READERS:
        return READERS[name]
    readers, broken = find_readers()
    if name in broken:
        raise DatasetError(broken[name])
    if name not in readers:
        hint = nearest_hint(name, readers)
        raise DatasetError(f"no data set is called {name!r}{hint}; known: {', '.join(readers)}")
    return readers[name]


def load_cases(name: str, root: str | Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a data set in a folder; its reader's card tells the layout.

    With `allow_missing`, cases whose files are missing are left out, and counted in the log.

    Raises:
        DatasetError: an unknown name; or every problem of the data set, with row numbers.
    """
    return reader_of(name).load(Path(root), allow_missing=allow_missing)


def check_dataset(name: str, root: str | Path) -> Reading:
    """Read a data set and hand back cases, problems, missing files and counts together.

    Raises:
        DatasetError: an unknown name, or a table that cannot be read at all.
    """
    return reader_of(name).read(Path(root))


def describe(name: str) -> str:
    """The card of a data set as text: licence, citation, layout, labels, groups, skin tone."""
    info = reader_of(name)
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
    "find_readers",
    "load_cases",
    "reader_of",
    "write_folder",
]
