"""SkinCAP: pictures of Fitzpatrick17k and DDI with captions by dermatologists."""

from pathlib import Path
from typing import Any

from skingpt_r1.data.readers.ddi import read_tone
from skingpt_r1.data.reading import Reader, Reading, label_set
from skingpt_r1.data.table import Row, Table, read_csv
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.values import given_text, truth

# v240623 has the polished translation, v240715 one English caption.
CAPTIONS = ("caption_zh_polish_en", "caption_en")
EXCLUDED = "Do not consider this image"
CONCEPTS = label_set("skincon")  # columns


def _fill(reading: Reading) -> None:
    rows = read_csv(_table(reading), TABLE.columns, reading)
    if rows and not set(CAPTIONS) & set(rows[0].values):
        raise DatasetError(f"skincap: wrong columns: no {' or '.join(CAPTIONS)}")
    kept = [row for row in rows if not truth(row.values.get(EXCLUDED, ""))]
    reading.notes[f"left out, marked {EXCLUDED!r}"] += len(rows) - len(kept)
    TABLE.add(kept, reading)


def _table(reading: Reading) -> Path:
    tables = sorted(reading.root.glob("skincap_v*.csv"))
    if tables:
        return tables[-1]
    books = sorted(reading.root.glob("skincap_v*.xlsx"))
    advice = f"; save {books[-1].name} as CSV (UTF-8)" if books else ""
    raise DatasetError(f"skincap: no skincap_v*.csv in {reading.root}{advice}")


def _more(row: Row, reading: Reading) -> dict[str, Any]:
    values = row.values
    original = given_text(values.get("ori_file_path"))
    present = [name for name in CONCEPTS if truth(values.get(name, ""))]
    captions = (given_text(values.get(name)) for name in CAPTIONS)
    return {
        **({"group": Path(original).stem} if original else {}),
        "tone": read_tone(row.where, values.get("skin_tone", ""), reading),
        "attributes": {"concepts": "; ".join(present)} if present else {},
        "narrative": next(filter(None, captions), None),
    }


TABLE = Table(
    columns=("id", "skincap_file_path", "disease"),
    folders="skincap",
    pictures=("skincap_file_path",),
    id="id",
    label="disease",
    fitzpatrick="fitzpatrick_scale",
    used=(*CAPTIONS, *CONCEPTS, EXCLUDED),
    unknown="-1",
    more=_more,
)
READER = Reader(
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
    fill=_fill,
)
