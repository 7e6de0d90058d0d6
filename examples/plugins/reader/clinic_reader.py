"""The pictures of one clinic: `clinic.csv`, and beside it the pictures that it names."""

from skingpt_r1.data import Reader
from skingpt_r1.data.table import Table

READER = Reader(
    name="clinic",
    title="Pictures of our clinic",
    licence="ours; not to be passed on",
    citation="none",
    url="none",
    layout="clinic.csv and the pictures that it names",
    group_key="patient",
    fill=Table(
        files=("clinic.csv",),
        columns=("file", "patient", "diagnosis", "age"),
        pictures=("file",),
        group="patient",
        label="diagnosis",
        age="age",
    ),
)
