"""Fitzpatrick17k: clinical pictures from two atlases, 114 diagnoses, with skin types."""

from skingpt_r1.data.reading import Reader, label_set
from skingpt_r1.data.table import Table

LABELS = label_set("fitzpatrick17k")  # column `label`
READER = Reader(
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
    labels=LABELS,
    fill=Table(
        files=("fitzpatrick17k.csv",),
        columns=("md5hash", "fitzpatrick_scale", "label"),
        folders="images",
        pictures=("md5hash",),
        id="md5hash",
        label="label",
        names=LABELS,
        fitzpatrick="fitzpatrick_scale",
        unknown="-1",
    ),
)
