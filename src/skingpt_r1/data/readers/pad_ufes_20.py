"""PAD-UFES-20: clinical pictures taken with phones, with what the patients told."""

from pathlib import Path

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data.info import DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, first_file, read_csv
from skingpt_r1.text.values import known, lowered, rest, stated, truth

LABELS = {
    "ACK": "actinic keratosis",
    "BCC": "basal cell carcinoma",
    "MEL": "melanoma",
    "NEV": "melanocytic nevus",
    "SCC": "squamous cell carcinoma",
    "SEK": "seborrheic keratosis",
}
INFO = DatasetInfo(
    name="pad_ufes_20",
    title="PAD-UFES-20",
    licence="CC BY 4.0",
    citation=(
        "Pacheco AGC, Lima GR, Salomao AS, et al. PAD-UFES-20: a skin lesion dataset composed of"
        " patient data and clinical images collected from smartphones."
        " Data in Brief 32:106221 (2020)."
    ),
    url="https://doi.org/10.17632/zr7vgbcyr2.1",
    layout="metadata.csv and images/, with or without imgs_part_1..3/ inside",
    group_key="patient (patient_id)",
    tone_field="fitspatrick",
    labels=tuple(LABELS.values()),
    redistributable=True,
)
# `fitspatrick` and `biopsed` are how the published table spells them.
COLUMNS = (
    "patient_id", "age", "fitspatrick", "region", "diagnostic", "bleed", "elevation", "img_id",
)  # fmt: skip
FINDINGS = {
    "elevation": {True: "elevated", False: "flat"},
    "bleed": {True: "bleeding", False: "not bleeding"},
}
SLOTS = {"elevation": "elevation", "bleed": "bleeding"}


def read(root: Path) -> Reading:
    """Read the table and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    rows = read_csv(first_file(reading, ("metadata.csv",)), COLUMNS, reading)
    pictures = PictureIndex(root, r"images|imgs_part_\d")
    for row in rows:
        _add(row, pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a PAD-UFES-20 folder, one picture each, grouped by patient.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _add(row: Row, pictures: PictureIndex, reading: Reading) -> None:
    values, where = row.values, row.where
    name = reading.required(where, "img_id", values["img_id"])
    patient = reading.required(where, "patient_id", values["patient_id"])
    label = reading.label(where, values["diagnostic"], LABELS)
    scale = reading.fitzpatrick(where, values["fitspatrick"])
    age = reading.age(where, values["age"])
    findings = _findings(row, reading)
    if name is None or patient is None or label is None:
        return
    picture = reading.picture(where, pictures, name)
    if picture is None:
        return
    reading.add(
        Case(
            id=Path(name).stem,
            images=(picture,),
            dataset=INFO.name,
            group=patient,
            label=label,
            fitzpatrick=scale,
            tone=None if scale is None else SkinTone.from_fitzpatrick(scale),
            findings=findings,
            context=stated(site=lowered(values["region"]), age=age),
            attributes={"raw_label": values["diagnostic"], **rest(values, *COLUMNS)},
        ),
        where,
    )


def _findings(row: Row, reading: Reading) -> dict[str, str]:
    """What the table says about elevation and bleeding; unknown stays out."""
    findings = {}
    for column, names in FINDINGS.items():
        value = known(row.values[column])
        if value is None:
            continue
        answer = truth(value)
        if answer is None:
            reading.problem(row.where, f"{column} {value!r} is not True, False, UNK or empty")
            continue
        findings[SLOTS[column]] = names[answer]
    return findings
