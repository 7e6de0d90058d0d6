"""HAM10000: dermoscopic pictures of pigmented lesions, seven diagnoses."""

from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.data.info import DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, first_file, read_csv
from skingpt_r1.text.values import lowered, rest, stated

LABELS = {
    "akiec": "actinic keratosis",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic nevus",
    "vasc": "vascular lesion",
}
INFO = DatasetInfo(
    name="ham10000",
    title="HAM10000",
    licence="CC BY-NC 4.0",
    citation=(
        "Tschandl P, Rosendahl C, Kittler H. The HAM10000 dataset, a large collection of"
        " multi-source dermatoscopic images of common pigmented skin lesions."
        " Scientific Data 5:180161 (2018)."
    ),
    url="https://doi.org/10.7910/DVN/DBW86T",
    layout="HAM10000_metadata.csv, HAM10000_images_part_1/ and HAM10000_images_part_2/",
    group_key="lesion (lesion_id)",
    labels=tuple(LABELS.values()),
    redistributable=True,
)
TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata.tab", "HAM10000_metadata")
PICTURES = r"HAM10000_images(_part_?\d)?|images"
COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def read(root: Path) -> Reading:
    """Read the tables and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    rows = read_csv(first_file(reading, TABLES), COLUMNS, reading)
    pictures = PictureIndex(root, PICTURES)
    for row in rows:
        _add(row, pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a HAM10000 folder, one picture each, grouped by lesion.

    Either part folder may be absent as long as the table names none of its pictures.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _add(row: Row, pictures: PictureIndex, reading: Reading) -> None:
    values, where = row.values, row.where
    name = reading.required(where, "image_id", values["image_id"])
    group = reading.required(where, "lesion_id", values["lesion_id"])
    label = reading.label(where, values["dx"], LABELS)
    age = reading.age(where, values["age"])
    if name is None or group is None or label is None:
        return
    picture = reading.picture(where, pictures, name)
    if picture is None:
        return
    reading.add(
        Case(
            id=name,
            images=(picture,),
            dataset=INFO.name,
            group=group,
            label=label,
            context=stated(site=lowered(values["localization"]), age=age),
            attributes={
                "raw_label": values["dx"],
                **rest(values, "image_id", "lesion_id", "dx", "age", "localization"),
            },
        ),
        where,
    )
