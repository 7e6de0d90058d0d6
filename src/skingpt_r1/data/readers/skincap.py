"""SkinCAP: pictures of Fitzpatrick17k and DDI with captions by dermatologists."""

from pathlib import Path

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data.info import SKINCON, DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.readers.ddi import read_tone
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, read_csv
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.values import known, rest, tidy, truth

INFO = DatasetInfo(
    name="skincap",
    title="SkinCAP",
    licence="CC BY-NC-SA 4.0, gated",
    citation=(
        "Zhou J, Sun L, Xu Y, et al. SkinCAP: a multi-modal dermatology dataset annotated with rich"
        " medical captions. arXiv:2405.18004 (2024)."
    ),
    url="https://huggingface.co/datasets/joshuachou/SkinCAP",
    layout="skincap_v*.csv and skincap/*.png",
    group_key="original picture (ori_file_path)",
    tone_field="fitzpatrick_scale, for pictures of DDI skin_tone (12, 34 or 56)",
)
COLUMNS = ("id", "skincap_file_path", "disease")
# v240623 has the polished translation, v240715 one English caption.
CAPTIONS = ("caption_zh_polish_en", "caption_en")
EXCLUDED = "Do not consider this image"


def read(root: Path) -> Reading:
    """Read the newest table and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    rows = read_csv(_table(reading), COLUMNS, reading)
    if rows and not set(CAPTIONS) & set(rows[0].values):
        raise DatasetError(f"skincap: wrong columns: no {' or '.join(CAPTIONS)}")
    pictures = PictureIndex(root, "skincap")
    for row in rows:
        if truth(row.values.get(EXCLUDED, "")):
            reading.notes[f"left out, marked {EXCLUDED!r}"] += 1
        else:
            _add(row, pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a SkinCAP folder, one picture each; the caption is the narrative.

    Rows marked "Do not consider this image" are left out and counted.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _table(reading: Reading) -> Path:
    tables = sorted(reading.root.glob("skincap_v*.csv"))
    if tables:
        return tables[-1]
    books = sorted(reading.root.glob("skincap_v*.xlsx"))
    advice = f"; save {books[-1].name} as CSV (UTF-8)" if books else ""
    raise DatasetError(f"skincap: no skincap_v*.csv in {reading.root}{advice}")


def _add(row: Row, pictures: PictureIndex, reading: Reading) -> None:
    values, where = row.values, row.where
    number = reading.required(where, "id", values["id"])
    name = reading.required(where, "skincap_file_path", values["skincap_file_path"])
    label = reading.required(where, "disease", values["disease"])
    scale = reading.fitzpatrick(where, values.get("fitzpatrick_scale", ""))
    tone = read_tone(where, values.get("skin_tone", ""), reading)
    if number is None or name is None or label is None:
        return
    picture = reading.picture(where, pictures, name)
    if picture is None:
        return
    original = known(values.get("ori_file_path"))
    reading.add(
        Case(
            id=number,
            images=(picture,),
            dataset=INFO.name,
            group=Path(original).stem if original else number,
            label=tidy(label),
            fitzpatrick=scale,
            tone=tone if scale is None else SkinTone.from_fitzpatrick(scale),
            attributes=_attributes(values),
            narrative=next((text for name in CAPTIONS if (text := known(values.get(name)))), None),
        ),
        where,
    )


def _attributes(values: dict[str, str]) -> dict[str, str]:
    """The other columns; the concepts of SKINCON that are present, in one line."""
    used = (*COLUMNS, *CAPTIONS, *SKINCON, EXCLUDED, "fitzpatrick_scale")
    attributes = {name: text for name, text in rest(values, *used).items() if text != "-1"}
    present = [name for name in SKINCON if truth(values.get(name, ""))]
    return {**attributes, "concepts": "; ".join(present)} if present else attributes
