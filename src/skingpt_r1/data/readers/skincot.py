"""SkinCoT: pictures of DermNet, each with a chain of reasoning checked by dermatologists."""

from pathlib import Path

from skingpt_r1.data.readers.dermnet import LABELS
from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.errors import DatasetError


def _fill(reading: Reading) -> None:
    """Pair pictures with English texts."""
    home = reading.root / "SkinCoT"
    home = home if home.is_dir() else reading.root
    images, texts = home / "images", home / "EN"
    for folder in (images, texts):
        if not folder.is_dir():
            raise DatasetError(f"skincot: no folder {folder}; expected {reading.info.layout}")
    pictures = reading.photos(images)
    for picture in pictures:
        _add(picture, images, texts, reading)
    named = {texts / f"{path.relative_to(images).as_posix()}.txt" for path in pictures}
    for text in sorted(set(texts.rglob("*.txt")) - named):
        reading.miss(text.relative_to(home).as_posix(), "a text without its picture")


def _add(picture: Path, images: Path, texts: Path, reading: Reading) -> None:
    name = picture.relative_to(images)
    where = name.as_posix()
    label = reading.label(where, name.parts[0] if len(name.parts) > 1 else "", LABELS)
    narrative = reading.text(where, texts / f"{where}.txt")
    if label is not None and narrative is not None:
        reading.add_photo(picture, name, label, narrative=narrative)


READER = Reader(
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
    labels=LABELS,
    fill=_fill,
)
