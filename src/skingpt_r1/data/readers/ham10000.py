"""HAM10000: dermoscopic pictures of pigmented lesions, seven diagnoses."""

from skingpt_r1.data.reading import Reader
from skingpt_r1.data.table import Table

LABELS = {
    "akiec": "actinic keratosis", "bcc": "basal cell carcinoma", "bkl": "benign keratosis",
    "df": "dermatofibroma", "mel": "melanoma", "nv": "melanocytic nevus", "vasc": "vascular lesion",
}  # fmt: skip
READER = Reader(
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
    fill=Table(
        files=("HAM10000_metadata.csv", "HAM10000_metadata.tab", "HAM10000_metadata"),
        columns=("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"),
        folders=r"HAM10000_images(_part_?\d)?|images",
        pictures=("image_id",),
        id="image_id",
        group="lesion_id",
        label="dx",
        names=LABELS,
        age="age",
        site="localization",
    ),
)
