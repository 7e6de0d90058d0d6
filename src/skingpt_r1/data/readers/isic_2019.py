"""ISIC 2019 challenge: dermoscopic pictures, eight diagnoses as one-hot columns."""

from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.data.info import DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, first_file, read_csv, rows_by_id
from skingpt_r1.text.values import known, lowered, rest, stated

LABELS = {
    "MEL": "melanoma",
    "NV": "melanocytic nevus",
    "BCC": "basal cell carcinoma",
    "AK": "actinic keratosis",
    "BKL": "benign keratosis",
    "DF": "dermatofibroma",
    "VASC": "vascular lesion",
    "SCC": "squamous cell carcinoma",
}
CODES = (*LABELS, "UNK")
INFO = DatasetInfo(
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
)
COLUMNS = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
TRUTHS = ("ISIC_2019_Training_GroundTruth.csv", "GroundTruth.csv")
FACTS = ("ISIC_2019_Training_Metadata.csv", "Metadata.csv")


def read(root: Path) -> Reading:
    """Read both tables and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    truths = read_csv(first_file(reading, TRUTHS), ("image", *CODES[:-1]), reading)
    facts = rows_by_id(read_csv(first_file(reading, FACTS), COLUMNS, reading), "image", reading)
    pictures = PictureIndex(root, "ISIC_2019_Training_Input")
    for row in truths:
        _add(row, facts, pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of the ISIC 2019 training set, one picture each, grouped by lesion.

    `UNK`, none of the eight diagnoses, gives an unlabelled case.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _code(row: Row, reading: Reading) -> str | None:
    """The one column that is 1; None, and a problem, unless exactly one is."""
    cells = {code: row.values[code].strip() for code in CODES if code in row.values}
    ones = [code for code, cell in cells.items() if cell in {"1", "1.0"}]
    if len(ones) == 1 and all(cell in {"0", "0.0", "1", "1.0"} for cell in cells.values()):
        return ones[0]
    reading.problem(row.where, f"not one-hot: {', '.join(f'{c}={v}' for c, v in cells.items())}")
    return None


def _add(row: Row, facts: dict[str, Row], pictures: PictureIndex, reading: Reading) -> None:
    where = row.where
    name = reading.required(where, "image", row.values["image"])
    code = _code(row, reading)
    if name is None or code is None:
        return
    if name not in facts:
        reading.problem(where, f"picture {name} has no row in the metadata table")
        return
    values = facts[name].values
    age = reading.age(facts[name].where, values["age_approx"])
    picture = reading.picture(where, pictures, name)
    if picture is None:
        return
    reading.add(
        Case(
            id=name,
            images=(picture,),
            dataset=INFO.name,
            group=known(values["lesion_id"]) or name,
            label=LABELS.get(code),
            context=stated(site=lowered(values["anatom_site_general"]), age=age),
            attributes={
                "raw_label": code,
                **rest(values, "image", "age_approx", "anatom_site_general", "lesion_id"),
            },
        ),
        where,
    )
