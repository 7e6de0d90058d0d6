"""A reader of a data set: its card, and one pass over its folder.

The pass collects the cases found and every problem met on the way, so that all can be told at once.
"""

import difflib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from skingpt_r1.case import Case, id_problem
from skingpt_r1.data.intake import open_image, special_kind
from skingpt_r1.data.pictures import PictureIndex, photos_below
from skingpt_r1.errors import DatasetError, ImageError
from skingpt_r1.text.values import file_series, given_text, tidy, whole_number

logger = logging.getLogger(__name__)

Track = Callable[[Sequence[Path]], Iterable[Path]]
_SHOWN_ID = 80  # characters of an id that messages show


def label_set(name: str) -> tuple[str, ...]:
    """A long label set of `labels/`, as its data set spells it, misspellings included."""
    path = files("skingpt_r1.data") / "labels" / f"{name}.txt"
    return tuple(path.read_text(encoding="utf-8").splitlines())


def nearest_hint(name: str, names: Iterable[str]) -> str:
    """The name most like a wrong one, as the next part of a message; empty if none is like it."""
    return "".join(f"; nearest: {near!r}" for near in difflib.get_close_matches(name, names, n=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """The card of a data set: what is known before a file of it is read."""

    name: str  # the reader's name, as in `READERS`
    title: str  # the name its authors use
    licence: str  # terms of use, in a few words; the data set's own text is what counts
    citation: str
    url: str  # where the data set is described
    layout: str  # the folders and tables that the reader looks for, in words
    group_key: str  # what must not be split, and the column or file name it is read from
    tone_field: str | None = None  # column that holds the skin tone
    labels: tuple[str, ...] = ()  # empty where any diagnosis name may stand
    redistributable: bool = False  # the licence certainly lets anybody pass the pictures on
    keeps_split: bool = False  # its own parts must be kept, whatever a recipe asks for


class Reading:
    """Collects cases and problems, so that all problems can be told at once.

    Raises:
        DatasetError: the root is not a folder.
    """

    def __init__(self, info: DatasetInfo, root: Path) -> None:
        if not root.is_dir():
            raise DatasetError(
                f"{info.name}: {root} is not a folder; expected a folder with {info.layout}"
            )
        self.info = info
        self.root = root
        self.cases: list[Case] = []
        # Wrong columns, unknown labels, duplicate ids, malformed rows; these always stop.
        self.problems: list[str] = []
        # Files that a table names and that are not there; these may be allowed.
        self.missing: list[str] = []
        # Why rows were left out, or what is special about them.
        self.notes: Counter[str] = Counter()
        self._first_seen: dict[str, str] = {}
        self._first_case: dict[Path, Case] = {}

    def problem(self, where: str, what: str) -> None:
        """Record a problem that no option can excuse; `where` names file and row."""
        self.problems.append(f"{where}: {what}")

    def miss(self, where: str, what: str) -> None:
        """Record a file that is named but absent."""
        self.missing.append(f"{where}: {what}")

    def add(self, case: Case, where: str) -> None:
        """Keep a case, unless its id is unfit or was seen before, or a picture is no file."""
        if (unfit := id_problem(case.id)) is not None:
            self.problem(where, f"id {case.id[:_SHOWN_ID]!r} cannot be used: {unfit}")
            return
        for path in case.images:
            if (kind := special_kind(path)) is not None:
                self.problem(where, f"{path}: {kind}, not a picture")
                return
        first = self._first_seen.setdefault(case.id, where)
        if first != where:
            self.problem(where, f"duplicate id {case.id!r}, first seen in {first}")
            return
        self.cases.append(case)
        self._note_shared(case)

    def _note_shared(self, case: Case) -> None:
        """Count pictures of which another case has been told before."""
        others = (self._first_case.setdefault(path, case) for path in dict.fromkeys(case.images))
        for other in others:
            if other is case:
                continue
            self.notes["pictures of more than one case; see `skingpt datasets overlap`"] += 1
            if (other.dataset, other.group) != (case.dataset, case.group):
                self.notes["pictures of more than one group, so that splits can share them"] += 1
            if other.split is not case.split:
                self.notes["pictures of more than one official split"] += 1
            if other.label != case.label:
                self.notes["pictures with more than one label"] += 1

    def required(self, where: str, column: str, value: str) -> str | None:
        """The value of a column that may not be empty; None, and a problem, if it is."""
        said = given_text(value)
        if said is None:
            self.problem(where, f"{column} is empty; every row needs one")
        return said

    def label(self, where: str, value: str, names: Mapping[str, str] | Iterable[str]) -> str | None:
        """The label of a raw value, letter case aside; None, and a problem, if there is none."""
        table = names if isinstance(names, Mapping) else {name: name for name in names}
        folded = {raw.casefold(): label for raw, label in table.items()}
        wanted = tidy(value).casefold()
        if wanted in folded:
            return folded[wanted]
        allowed = ", ".join(list(table)[:30]) + (", ..." if len(table) > 30 else "")
        hint = nearest_hint(wanted, folded)
        self.problem(where, f"unknown label {value!r}{hint}; allowed: {allowed}")
        return None

    def picture(self, where: str, pictures: PictureIndex, name: str) -> Path | None:
        """The picture of that name; None, and why, if there is none or more than one."""
        try:
            path = pictures.find(name)
        except DatasetError as error:
            self.problem(where, str(error))
            return None
        if path is None:
            passed = [pictures.shown(other) for other in pictures.namesakes(name)[:1]]
            hint = "; {} bears the name, but lies where no photo belongs" if passed else ""
            self.miss(where, f"no picture {name}{hint.format(*passed)}")
            return None
        beside = (other for other in pictures.namesakes(name) if other.parent == path.parent)
        if len({other.suffix.lower() for other in beside}) > 1:
            self.notes["pictures of one name with two suffixes; the table's suffix was taken"] += 1
        return path

    def add_photo(self, picture: Path, name: Path, label: str, **fields: Any) -> None:
        """Add the case of one photo; the id is its relative path, the group its file series."""
        case = Case(
            id=name.with_suffix("").as_posix().strip(),
            images=(picture,),
            dataset=self.info.name,
            group=file_series(picture.stem),
            label=label,
            **fields,
        )
        self.add(case, name.as_posix())

    def photos(self, folder: Path) -> list[Path]:
        """The photos below a folder; masks, maps and small copies beside them are noted."""
        photos, beside = photos_below(folder)
        self.notes["masks, maps and small copies beside the photos, left out"] += beside
        return photos

    def text(self, where: str, path: Path) -> str | None:
        """What a text file says; None, and a problem, if it is absent, empty or not UTF-8."""
        if not path.is_file():
            self.miss(where, f"no text {path.name}")
            return None
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            self.problem(where, f"{path.name} is not UTF-8 text: {error.reason}")
            return None
        if text.strip():
            return text
        self.problem(where, f"{path.name} is empty")
        return None

    def age(self, where: str, value: str) -> str | None:
        """Age in whole years as text; None when unknown; a problem when it is no age."""
        if (said := given_text(value)) is None:
            return None
        years = whole_number(said)
        if years is None or not 0 <= years <= 120:
            self.problem(where, f"age {value!r} is not a number of years from 0 to 120")
            return None
        return str(years)

    def fitzpatrick(self, where: str, value: str) -> int | None:
        """Fitzpatrick type 1..6; None when unknown (empty or -1); a problem otherwise."""
        said = given_text(value)
        if said is None or (scale := whole_number(said)) == -1:
            return None
        if scale is None or not 1 <= scale <= 6:
            self.problem(where, f"Fitzpatrick type {value!r} is not 1..6, -1 or empty")
            return None
        return scale

    def open_pictures(self, track: Track = iter) -> None:
        """Open every picture but those said to be absent; one that cannot be read is a problem.

        So is a file that is a link out of the folder; it is not opened. A folder of pictures may be
        a link, and is noted. `track` wraps the list of files, for a progress bar.
        """
        present = (case for case in self.cases if case.attributes.get("picture") != "absent")
        root = self.root.resolve()
        for path in track(list(dict.fromkeys(path for case in present for path in case.images))):
            place = path.resolve()
            inside = place.is_relative_to(root)
            if path.is_symlink() and not (inside or place.is_relative_to(path.parent.resolve())):
                self.problem(str(path), f"a link out of the folder, to {place}; copy the file here")
                continue
            self.notes["in a folder that is a link to elsewhere"] += not inside
            try:
                open_image(path)
            except ImageError as error:
                self.problems.append(str(error))

    def settle(self, *, allow_missing: bool = False) -> list[Case]:
        """The cases, if nothing stands against them; missing files may be allowed.

        Raises:
            DatasetError: with all problems together; or no case is left.
        """
        name = self.info.name
        stopping = sorted(self.problems + ([] if allow_missing else self.missing), key=_place)
        if stopping:
            advice = "; missing files can be passed over with --allow-missing"
            raise DatasetError(
                f"{name} in {self.root}: problems: {len(self.problems)},"
                f" missing files: {len(self.missing)}{advice if self.missing else ''}",
                stopping,
            )
        if not self.cases:
            raise DatasetError(
                f"{name}: no case in {self.root} ({len(self.missing)} missing files);"
                f" expected {self.info.layout}",
                self.missing,
            )
        for reason, count in self.counts().items():
            logger.warning("%s: %s: %d", name, reason, count)
        return self.cases

    def counts(self) -> dict[str, int]:
        """What was passed over and why, reason -> number of rows."""
        counts = {reason: count for reason, count in self.notes.items() if count}
        if self.missing:
            counts["left out, file missing"] = len(self.missing)
        return counts


def _place(problem: str) -> tuple[str, int, str]:
    """Sorts by file, then by row, as a reader goes through a table."""
    match = re.match(r"(.*?) row (\d+): ", problem)
    return (match[1], int(match[2]), problem) if match else (problem, 0, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader(DatasetInfo):
    """A card and how to read the data set: `fill` adds cases and problems to a pass.

    Every file of `readers/` defines one as `READER`; other packages name theirs as entry points.
    """

    fill: Callable[[Reading], None]

    def read(self, root: Path) -> Reading:
        """Cases and problems, without raising on problems of single rows."""
        reading = Reading(self, root)
        self.fill(reading)
        return reading

    def load(self, root: Path, *, allow_missing: bool = False) -> list[Case]:
        """The cases, or one `DatasetError` with every problem."""
        return self.read(root).settle(allow_missing=allow_missing)
