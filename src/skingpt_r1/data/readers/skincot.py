"""SkinCoT: pictures of DermNet, each with a chain of reasoning checked by dermatologists."""

from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.data.info import DERMNET, DatasetInfo
from skingpt_r1.data.pictures import photos_below
from skingpt_r1.data.reading import BESIDE, Reading
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.values import file_series

INFO = DatasetInfo(
    name="skincot",
    title="SkinCoT (part of SkinCaRe)",
    licence=(
        "CC BY-NC-SA 4.0, gated: non-commercial, no redistribution, no derivatives;"
        " the pictures are DermNet's"
    ),
    citation="SkinCaRe (SkinCAP and SkinCoT), arXiv:2405.18004; data card on Hugging Face.",
    url="https://huggingface.co/datasets/yuhos16/SkinCaRe",
    layout="SkinCoT/images/<class>/*.jpg and SkinCoT/EN/<class>/*.jpg.txt",
    group_key="file series (name without trailing number), over classes",
    labels=DERMNET,
)


def read(root: Path) -> Reading:
    """Walk the folders and pair pictures with texts; the problems stay in the result."""
    reading = Reading(INFO, root)
    home = root / "SkinCoT" if (root / "SkinCoT").is_dir() else root
    images, texts = home / "images", home / "EN"
    for folder in (images, texts):
        if not folder.is_dir():
            raise DatasetError(f"skincot: no folder {folder}; expected {INFO.layout}")
    pictures, beside = photos_below(images)
    if beside:
        reading.notes[BESIDE] += beside
    for picture in pictures:
        _add(picture, images, texts, reading)
    named = {texts / f"{path.relative_to(images).as_posix()}.txt" for path in pictures}
    for text in sorted(set(texts.rglob("*.txt")) - named):
        reading.miss(text.relative_to(home).as_posix(), "a text without its picture")
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a SkinCoT folder, one picture each; the English text is the narrative.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def read_narrative(where: str, path: Path, reading: Reading) -> str | None:
    """The text of a narrative file; None, and a problem, if it is absent, empty or not UTF-8."""
    if not path.is_file():
        reading.miss(where, f"no text {path.name}")
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        reading.problem(where, f"{path.name} is not UTF-8 text: {error.reason}")
        return None
    if not text.strip():
        reading.problem(where, f"{path.name} is empty")
        return None
    return text


def _add(picture: Path, images: Path, texts: Path, reading: Reading) -> None:
    name = picture.relative_to(images)
    where = name.as_posix()
    label = reading.label(where, name.parts[0] if len(name.parts) > 1 else "", DERMNET)
    narrative = read_narrative(where, texts / f"{where}.txt", reading)
    if label is None or narrative is None:
        return
    reading.add(
        Case(
            id=name.with_suffix("").as_posix().strip(),
            images=(picture,),
            dataset=INFO.name,
            group=file_series(picture.stem),
            label=label,
            narrative=narrative,
        ),
        where,
    )
