"""Derm7pt: a clinical and a dermoscopic picture of each lesion, with the seven-point checklist."""

from pathlib import Path

from skingpt_r1.case import Case, Split
from skingpt_r1.data.info import DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, first_file, read_csv
from skingpt_r1.text.values import lowered, rest, stated, whole_number

LABELS = (
    "basal cell carcinoma", "blue nevus", "clark nevus", "combined nevus", "congenital nevus",
    "dermal nevus", "dermatofibroma", "lentigo", "melanoma", "melanoma (in situ)",
    "melanoma (less than 0.76 mm)", "melanoma (0.76 to 1.5 mm)", "melanoma (more than 1.5 mm)",
    "melanoma metastasis", "melanosis", "miscellaneous", "recurrent nevus", "reed or spitz nevus",
    "seborrheic keratosis", "vascular lesion",
)  # fmt: skip
INFO = DatasetInfo(
    name="derm7pt",
    title="Derm7pt (seven-point checklist)",
    licence="non-commercial research use, on the terms of the download page",
    citation=(
        "Kawahara J, Daneshvar S, Argenziano G, Hamarneh G. Seven-point checklist and skin lesion"
        " classification using multitask multimodal neural nets."
        " IEEE J Biomed Health Inform 23(2):538-546 (2019)."
    ),
    url="https://derm.cs.sfu.ca",
    layout="images/, meta/meta.csv and meta/train_indexes.csv, valid_indexes.csv, test_indexes.csv",
    group_key="lesion (case_num)",
    labels=LABELS,
)
COLUMNS = ("case_num", "diagnosis", "clinic", "derm", "elevation", "location")
SPLITS = {"train": Split.TRAIN, "valid": Split.VALIDATION, "test": Split.TEST}
ELEVATIONS = {"flat": "flat", "palpable": "elevated", "nodular": "elevated"}


def read(root: Path) -> Reading:
    """Read the tables and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    rows = read_csv(first_file(reading, ("meta/meta.csv",)), COLUMNS, reading)
    splits = _read_splits(len(rows), reading)
    # Names in the table and on disk differ in letter case; the index does not mind.
    pictures = PictureIndex(root, "images")
    for position, row in enumerate(rows):
        _add(row, splits.get(position), pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a Derm7pt folder: clinical picture first, then the dermoscopic one.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _read_splits(num_rows: int, reading: Reading) -> dict[int, Split]:
    """Position of a row of meta.csv, from 0 -> its official split."""
    splits: dict[int, Split] = {}
    for name, split in SPLITS.items():
        path = first_file(reading, (f"meta/{name}_indexes.csv",))
        for row in read_csv(path, ("indexes",), reading):
            position = whole_number(row.values["indexes"])
            if position is None or not 0 <= position < num_rows:
                reading.problem(
                    row.where, f"index {row.values['indexes']!r} is not 0..{num_rows - 1}"
                )
            elif position in splits:
                reading.problem(row.where, f"index {position} is already in {splits[position]}")
            else:
                splits[position] = split
    return splits


def _add(row: Row, split: Split | None, pictures: PictureIndex, reading: Reading) -> None:
    values, where = row.values, row.where
    number = reading.required(where, "case_num", values["case_num"])
    label = reading.label(where, values["diagnosis"], LABELS)
    names = [reading.required(where, column, values[column]) for column in ("clinic", "derm")]
    if number is None or label is None:
        return
    paths = [reading.picture(where, pictures, name) for name in names if name is not None]
    found = tuple(path for path in paths if path is not None)
    if len(found) < 2:
        return
    elevation = ELEVATIONS.get(values["elevation"].strip().lower())
    reading.add(
        Case(
            id=number,
            images=found,
            dataset=INFO.name,
            group=number,
            label=label,
            split=split,
            findings=stated(elevation=elevation),
            context=stated(site=lowered(values["location"])),
            attributes=rest(values, "case_num", "diagnosis", "clinic", "derm", "location"),
        ),
        where,
    )
