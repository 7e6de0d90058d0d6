"""PAD-UFES-20: clinical pictures taken with phones, with what the patients told."""

from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.data.table import Row, Table
from skingpt_r1.text.values import given_text, truth

LABELS = {
    "ACK": "actinic keratosis", "BCC": "basal cell carcinoma", "MEL": "melanoma",
    "NEV": "melanocytic nevus", "SCC": "squamous cell carcinoma", "SEK": "seborrheic keratosis",
}  # fmt: skip
# Column -> slot of the findings, and its value where the column says True or False.
FINDINGS = {
    "elevation": ("elevation", "elevated", "flat"),
    "bleed": ("bleeding", "bleeding", "not bleeding"),
}
# `fitspatrick` and `biopsed` are how the published table spells them.
COLUMNS = (
    "patient_id", "age", "fitspatrick", "region", "diagnostic", "bleed", "elevation", "img_id",
)  # fmt: skip


def _findings(row: Row, reading: Reading) -> dict[str, dict[str, str]]:
    """What the table says about elevation and bleeding; unknown stays out."""
    findings = {}
    for column, (slot, yes, no) in FINDINGS.items():
        if (value := given_text(row.values[column])) is None:
            continue
        if (answer := truth(value)) is None:
            reading.problem(row.where, f"{column} {value!r} is not True, False, UNK or empty")
        else:
            findings[slot] = yes if answer else no
    return {"findings": findings}


READER = Reader(
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
    fill=Table(
        files=("metadata.csv",),
        columns=COLUMNS,
        folders=r"images|imgs_part_\d",
        pictures=("img_id",),
        group="patient_id",
        label="diagnostic",
        names=LABELS,
        age="age",
        site="region",
        fitzpatrick="fitspatrick",
        used=COLUMNS,
        more=_findings,
    ),
)
