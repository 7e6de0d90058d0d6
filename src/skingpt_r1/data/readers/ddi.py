"""DDI, Diverse Dermatology Images: biopsy-proven lesions over the range of skin tones."""

from typing import Any

from skingpt_r1.case import SkinTone
from skingpt_r1.data.reading import Reader, Reading, label_set
from skingpt_r1.data.table import Row, Table
from skingpt_r1.text.values import given_text, whole_number

LABELS = {raw: raw.replace("-", " ") for raw in label_set("ddi")}  # column `disease`
TONES = {12: SkinTone.LIGHT, 34: SkinTone.MEDIUM, 56: SkinTone.DARK}
EARLY = "malignancy(malig=1)"  # what early releases call the column `malignant`


def read_tone(where: str, value: str, reading: Reading) -> SkinTone | None:
    """Tone of a 12/34/56 cell; None when unknown, a problem when it is something else."""
    if given_text(value) is None or whole_number(value) == -1:
        return None
    tone = TONES.get(whole_number(value) or 0)
    if tone is None:
        reading.problem(where, f"skin_tone {value!r} is not 12, 34 or 56")
    return tone


def _more(row: Row, reading: Reading) -> dict[str, Any]:
    """The tone, which is a pair of skin types, so that no type is known."""
    early = given_text(row.values.get(EARLY))
    return {
        "tone": read_tone(row.where, row.values["skin_tone"], reading),
        "attributes": {} if early is None else {"malignant": early},
    }


READER = Reader(
    name="ddi",
    title="DDI (Diverse Dermatology Images)",
    licence="Stanford AIMI terms: research use, no redistribution",
    citation=(
        "Daneshjou R, Vodrahalli K, Novoa RA, et al. Disparities in dermatology AI performance on a"
        " diverse, curated clinical image set. Science Advances 8:eabq6147 (2022)."
    ),
    url="https://ddi-dataset.github.io",
    layout="ddi_metadata.csv and pictures 000001.png..., in images/ or beside the table",
    group_key="picture (DDI_file): no patient is published",
    tone_field="skin_tone (12, 34 or 56: two Fitzpatrick types each)",
    labels=tuple(LABELS.values()),
    fill=Table(
        files=("ddi_metadata.csv",),
        columns=("DDI_file", "skin_tone", "disease"),
        folders="images",
        pictures=("DDI_file",),
        label="disease",
        names=LABELS,
        used=(EARLY,),
        more=_more,
    ),
)
