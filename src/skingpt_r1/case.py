"""The case: what every part of the system hands to the next one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PureWindowsPath
from unicodedata import category

MAX_ID = 1000
"""Longest id of a case, in characters; our choice, docs/sources.md."""


class SkinTone(StrEnum):
    """Apparent colour of the skin in the picture, in the three classes of the paper.

    Source: class order of the released code (0 light, 1 medium, 2 dark).
    """

    LIGHT = "light"
    MEDIUM = "medium"
    DARK = "dark"

    @property
    def class_index(self) -> int:
        """Class index for the tone classifier: light 0, medium 1, dark 2."""
        return list(SkinTone).index(self)

    @classmethod
    def from_fitzpatrick(cls, scale: int) -> "SkinTone":
        """Fitzpatrick I-II are light, III-IV medium, V-VI dark (our choice, docs/sources.md).

        Raises:
            ValueError: the scale is not 1..6.
        """
        if not 1 <= scale <= 6:
            raise ValueError(f"Fitzpatrick type {scale} is not one of 1..6")
        return list(cls)[(scale - 1) // 2]


class Split(StrEnum):
    """The part of a data set a case belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: one or more pictures of the same thing, and what is known about it.

    Attributes:
        id: unique within the data set.
        images: picture files, in order; never empty.
        dataset: name of the reader that made the case.
        group: what must not be split: patient, lesion or file series.
        label: diagnosis in the data set's own label set; None when unlabelled.
        split: the official split, where the data set has one.
        fitzpatrick: Fitzpatrick skin type 1..6; None when unknown.
        tone: apparent skin colour in three classes; None when unknown.
        findings: what is seen, slot -> value, in the vocabulary of `findings.py`.
        context: what the asker tells the model, `site` and `age`; goes into the prompt.
        attributes: every other column worth keeping, as text.
        narrative: a reference narrative, where the data set has one.
    """

    id: str
    images: tuple[Path, ...]
    dataset: str
    group: str
    label: str | None = None
    split: Split | None = None
    fitzpatrick: int | None = None
    tone: SkinTone | None = None
    findings: Mapping[str, str] = field(default_factory=dict, hash=False)
    context: Mapping[str, str] = field(default_factory=dict, hash=False)
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    narrative: str | None = None


def id_problem(identity: str) -> str | None:
    """Why a text cannot be the id of a case; None when it can.

    Ids become names of files and keys of records here and elsewhere, so none may lead out of a
    folder. Slashes inside are fine: sets of folders have ids such as `train/acne/acne-1`.
    """
    if not identity.strip():
        return "it is empty"
    if len(identity) > MAX_ID:
        return f"it has {len(identity):,} characters; at most {MAX_ID:,} are allowed"
    if identity != identity.strip():
        return "it begins or ends with a space"
    if any(category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in identity):
        return "it has control characters"
    # Read as Windows does, a path has both kinds of slashes and may begin with a drive.
    path = PureWindowsPath(identity)
    if path.root:
        return "it is an absolute path"
    if not path.parts or any(part.strip() == ".." for part in path.parts):
        return "it leads to another folder"
    return None
