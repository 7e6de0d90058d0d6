"""Derm7pt: a clinical and a dermoscopic picture of each lesion, with the seven-point checklist."""

from typing import Any

from skingpt_r1.case import Split
from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.data.table import Row, Table, first_file, read_csv
from skingpt_r1.text.values import stated, whole_number

LABELS = (
    "basal cell carcinoma", "blue nevus", "clark nevus", "combined nevus", "congenital nevus",
    "dermal nevus", "dermatofibroma", "lentigo", "melanoma", "melanoma (in situ)",
    "melanoma (less than 0.76 mm)", "melanoma (0.76 to 1.5 mm)", "melanoma (more than 1.5 mm)",
    "melanoma metastasis", "melanosis", "miscellaneous", "recurrent nevus", "reed or spitz nevus",
    "seborrheic keratosis", "vascular lesion",
)  # fmt: skip
SPLITS = {"train": Split.TRAIN, "valid": Split.VALIDATION, "test": Split.TEST}
ELEVATIONS = {"flat": "flat", "palpable": "elevated", "nodular": "elevated"}
SPLIT = "split"  # a column that we add


def _fill(reading: Reading) -> None:
    rows = read_csv(first_file(reading, TABLE.files), TABLE.columns, reading)
    splits = _read_splits(len(rows), reading)
    split_rows = [
        Row(row.where, {**row.values, SPLIT: splits.get(position)})
        for position, row in enumerate(rows)
    ]
    # Names in the table and on disk differ in letter case; the index does not mind.
    TABLE.add(split_rows, reading)


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


def _more(row: Row, _: Reading) -> dict[str, Any]:
    elevation = ELEVATIONS.get(row.values["elevation"].strip().lower())
    return {"split": row.values[SPLIT], "findings": stated(elevation=elevation)}


TABLE = Table(
    files=("meta/meta.csv",),
    columns=("case_num", "diagnosis", "clinic", "derm", "elevation", "location"),
    folders="images",
    pictures=("clinic", "derm"),
    id="case_num",
    label="diagnosis",
    names=LABELS,
    site="location",
    used=(SPLIT,),
    more=_more,
)
READER = Reader(
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
    fill=_fill,
)
