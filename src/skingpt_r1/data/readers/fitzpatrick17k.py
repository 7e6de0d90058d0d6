"""Fitzpatrick17k: clinical pictures from two atlases, 114 diagnoses, with skin types."""

from pathlib import Path

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data.info import FITZPATRICK17K, DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, first_file, read_csv
from skingpt_r1.text.values import rest

INFO = DatasetInfo(
    name="fitzpatrick17k",
    title="Fitzpatrick17k",
    licence="CC BY-NC-SA 3.0 (annotations); the atlases keep the rights to the pictures",
    citation=(
        "Groh M, Harris C, Soenksen L, et al. Evaluating deep neural networks trained on clinical"
        " images in dermatology with the Fitzpatrick 17k dataset. CVPR Workshops (2021)."
    ),
    url="https://github.com/mattgroh/fitzpatrick17k",
    layout="fitzpatrick17k.csv and pictures <md5hash>.jpg, in images/ or anywhere below",
    group_key="picture (md5hash): no patient is known; look for near-duplicates before splitting",
    tone_field="fitzpatrick_scale (-1 = unknown)",
    labels=FITZPATRICK17K,
)
COLUMNS = ("md5hash", "fitzpatrick_scale", "label")


def read(root: Path) -> Reading:
    """Read the table and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    rows = read_csv(first_file(reading, ("fitzpatrick17k.csv",)), COLUMNS, reading)
    pictures = PictureIndex(root, "images")
    for row in rows:
        _add(row, pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a Fitzpatrick17k folder, one picture each.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _add(row: Row, pictures: PictureIndex, reading: Reading) -> None:
    values, where = row.values, row.where
    name = reading.required(where, "md5hash", values["md5hash"])
    label = reading.label(where, values["label"], FITZPATRICK17K)
    scale = reading.fitzpatrick(where, values["fitzpatrick_scale"])
    if name is None or label is None:
        return
    picture = reading.picture(where, pictures, name)
    if picture is None:
        return
    attributes = rest(values, *COLUMNS)
    if attributes.get("fitzpatrick_centaur") == "-1":
        del attributes["fitzpatrick_centaur"]
    reading.add(
        Case(
            id=name,
            images=(picture,),
            dataset=INFO.name,
            group=name,
            label=label,
            fitzpatrick=scale,
            tone=None if scale is None else SkinTone.from_fitzpatrick(scale),
            attributes=attributes,
        ),
        where,
    )
