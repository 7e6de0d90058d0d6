"""ISIC 2019 challenge: dermoscopic pictures, eight diagnoses as one-hot columns."""

from collections.abc import Iterator
from typing import Any

from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.data.table import Row, Table, first_file, read_csv, rows_by_id
from skingpt_r1.text.values import given_text

LABELS = {
    "MEL": "melanoma", "NV": "melanocytic nevus", "BCC": "basal cell carcinoma",
    "AK": "actinic keratosis", "BKL": "benign keratosis", "DF": "dermatofibroma",
    "VASC": "vascular lesion", "SCC": "squamous cell carcinoma",
}  # fmt: skip
CODES = {**LABELS, "UNK": ""}  # none of the eight diagnoses: no label
CODE = "code"  # a column that we add
TRUTHS = ("ISIC_2019_Training_GroundTruth.csv", "GroundTruth.csv")
FACTS = ("ISIC_2019_Training_Metadata.csv", "Metadata.csv")


def _fill(reading: Reading) -> None:
    truths = read_csv(first_file(reading, TRUTHS), ("image", *LABELS), reading)
    facts = rows_by_id(
        read_csv(first_file(reading, FACTS), TABLE.columns, reading), "image", reading
    )
    TABLE.add(_joined(truths, facts, reading), reading)


def _joined(truths: list[Row], facts: dict[str, Row], reading: Reading) -> Iterator[Row]:
    for row in truths:
        name = reading.required(row.where, "image", row.values["image"])
        code = _code(row, reading)
        if name is None or code is None:
            continue
        if name not in facts:
            reading.problem(row.where, f"picture {name} has no row in the metadata table")
            continue
        values = facts[name].values
        age = reading.age(facts[name].where, values["age_approx"])
        yield Row(row.where, {**values, "image": name, "age_approx": age or "", CODE: code})


def _code(row: Row, reading: Reading) -> str | None:
    """The one column that is 1; None, and a problem, unless exactly one is."""
    cells = {code: row.values[code].strip() for code in CODES if code in row.values}
    ones = [code for code, cell in cells.items() if cell in {"1", "1.0"}]
    if len(ones) == 1 and all(cell in {"0", "0.0", "1", "1.0"} for cell in cells.values()):
        return ones[0]
    reading.problem(row.where, f"not one-hot: {', '.join(f'{c}={v}' for c, v in cells.items())}")
    return None


def _more(row: Row, _: Reading) -> dict[str, Any]:
    lesion = given_text(row.values["lesion_id"])
    return {} if lesion is None else {"group": lesion}


TABLE = Table(
    columns=("image", "age_approx", "anatom_site_general", "lesion_id", "sex"),
    folders="ISIC_2019_Training_Input",
    pictures=("image",),
    id="image",
    label=CODE,
    names=CODES,
    age="age_approx",
    site="anatom_site_general",
    used=("lesion_id",),
    more=_more,
)
READER = Reader(
    name="isic_2019",
    title="ISIC 2019",
    licence="CC BY-NC 4.0 as a set; the archive gives each picture its own licence",
    citation=(
        "Tschandl P et al., Scientific Data 5:180161 (2018); Codella NCF et al., ISBI (2018);"
        " Combalia M et al., BCN20000, arXiv:1908.02288 (2019)."
    ),
    url="https://challenge.isic-archive.com/data/#2019",
    layout=(
        "ISIC_2019_Training_GroundTruth.csv, ISIC_2019_Training_Metadata.csv and"
        " ISIC_2019_Training_Input/"
    ),
    group_key="lesion (lesion_id); the picture itself where it is empty",
    labels=tuple(LABELS.values()),
    redistributable=True,
    fill=_fill,
)
