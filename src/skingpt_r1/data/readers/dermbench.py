"""DermBench: certified reference narratives for pictures of the DermNet test set."""

import hashlib
from pathlib import PurePosixPath

from skingpt_r1.case import Case, Split
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.readers.dermnet import LABELS
from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.data.table import Row, first_file, read_jsonl
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.values import file_series, given_text, tidy

MANIFEST = "data/manifest/dermbench_test.jsonl"
COLUMNS = ("id", "source", "split", "category", "diagnosis", "dermnet_image_path", "cot")
HASH = "cot_sha256"
# Where a DermNet test set may have been put: test/, data/images/ and so on.
PICTURES = "data|images|test"


def _fill(reading: Reading) -> None:
    """A case without its picture names where it is looked for first, and says that it is absent.

    The pictures are not part of DermBench: absent ones are noted; absent or altered texts are
    problems.
    """
    pictures = PictureIndex(reading.root, PICTURES)
    for row in read_jsonl(first_file(reading, (MANIFEST,)), COLUMNS, reading):
        _add(row, pictures, reading)


def _add(row: Row, pictures: PictureIndex, reading: Reading) -> None:
    where = row.where
    texts = {name: value.strip() for name, value in row.values.items() if isinstance(value, str)}
    wrong = [name for name in COLUMNS if given_text(texts.get(name)) is None]
    if wrong:
        reading.problem(where, f"{', '.join(wrong)} must be text that is not empty")
        return
    if any(_leaves(texts[name]) for name in ("cot", "dermnet_image_path")):
        reading.problem(where, "cot and dermnet_image_path must be paths inside the folder")
        return
    category = reading.label(where, texts["category"], LABELS)
    narrative = _reference(where, texts, reading)
    if category is None or narrative is None:
        return
    try:
        found = pictures.find(texts["dermnet_image_path"])
    except DatasetError as error:
        reading.problem(where, str(error))
        return
    if found is None:
        reading.notes["pictures absent, references kept"] += 1
    reading.add(
        Case(
            id=texts["id"],
            images=(found or reading.root / "images" / texts["dermnet_image_path"],),
            dataset=reading.info.name,
            group=file_series(PurePosixPath(texts["dermnet_image_path"]).stem),
            label=tidy(texts["diagnosis"]),
            split=Split.TEST,
            attributes={
                "category": category,
                "source": texts["source"],
                **({} if found else {"picture": "absent"}),
            },
            narrative=narrative,
        ),
        where,
    )


def _leaves(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def _reference(where: str, values: dict[str, str], reading: Reading) -> str | None:
    """The reference text, checked against the hash that the manifest gives for it."""
    path = reading.root / values["cot"]
    text = reading.text(where, path)
    wanted = values.get(HASH)
    if text is None or wanted is None:
        return text
    if hashlib.sha256(path.read_bytes()).hexdigest() != wanted.lower():
        reading.problem(where, f"{values['cot']} is not the text that the manifest was made for")
        return None
    return text


READER = Reader(
    name="dermbench",
    title="DermBench",
    licence="CC BY-NC 4.0 for the references; the pictures are DermNet's and are not included",
    citation="Shen et al., DermBench; with DermEval in arXiv:2511.09195 (2025).",
    url="https://github.com/yuhos16/DermBench",
    layout=(
        "data/manifest/dermbench_test.jsonl, data/cot/<class>/*.jpg.txt and, optional, the DermNet"
        " test pictures in images/<class>/"
    ),
    group_key="file series (picture name without trailing number), over classes",
    fill=_fill,
)
