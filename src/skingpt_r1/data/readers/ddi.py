"""DDI, Diverse Dermatology Images: biopsy-proven lesions over the range of skin tones."""

from pathlib import Path

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data.info import DDI, DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, first_file, read_csv
from skingpt_r1.text.values import known, rest, whole_number

LABELS = {raw: raw.replace("-", " ") for raw in DDI}
TONES = {12: SkinTone.LIGHT, 34: SkinTone.MEDIUM, 56: SkinTone.DARK}
INFO = DatasetInfo(
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
)
COLUMNS = ("DDI_file", "skin_tone", "disease")


def read(root: Path) -> Reading:
    """Read the table and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    rows = read_csv(first_file(reading, ("ddi_metadata.csv",)), COLUMNS, reading)
    pictures = PictureIndex(root, "images")
    for row in rows:
        _add(row, pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a DDI folder, one picture each.

    The skin tone is a pair of types, so `tone` is set and `fitzpatrick` is not.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def read_tone(where: str, value: str, reading: Reading) -> SkinTone | None:
    """Tone of a 12/34/56 cell; None when unknown, a problem when it is something else."""
    if known(value) is None or whole_number(value) == -1:
        return None
    tone = TONES.get(whole_number(value) or 0)
    if tone is None:
        reading.problem(where, f"skin_tone {value!r} is not 12, 34 or 56")
    return tone


def _add(row: Row, pictures: PictureIndex, reading: Reading) -> None:
    values, where = row.values, row.where
    name = reading.required(where, "DDI_file", values["DDI_file"])
    label = reading.label(where, values["disease"], LABELS)
    tone = read_tone(where, values["skin_tone"], reading)
    if name is None or label is None:
        return
    picture = reading.picture(where, pictures, name)
    if picture is None:
        return
    stem = Path(name).stem
    attributes = {"raw_label": values["disease"], **rest(values, "DDI_file", "disease")}
    # Early releases name this column `malignancy(malig=1)`.
    if "malignancy(malig=1)" in attributes:
        attributes["malignant"] = attributes.pop("malignancy(malig=1)")
    reading.add(
        Case(
            id=stem,
            images=(picture,),
            dataset=INFO.name,
            group=stem,
            label=label,
            tone=tone,
            attributes=attributes,
        ),
        where,
    )
