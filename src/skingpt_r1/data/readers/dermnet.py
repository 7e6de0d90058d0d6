"""DermNet as a tree of folders: 23 classes, with or without train/ and test/."""

from pathlib import Path

from skingpt_r1.case import Split
from skingpt_r1.data.reading import Reader, Reading, label_set

LABELS = label_set("dermnet")  # names of the folders
SPLITS = {"train": Split.TRAIN, "test": Split.TEST}


def _fill(reading: Reading) -> None:
    """The official split leaks: pictures of one series, even one name, stand on both sides.

    Splitting by `group` does not.
    """
    parts = {name: split for name, split in SPLITS.items() if (reading.root / name).is_dir()}
    for name, split in parts.items():
        _add_classes(reading.root / name, split, reading)
    if not parts:
        _add_classes(reading.root, None, reading)
    seen = {split: {case.images[0].name for case in reading.cases if case.split is split}
            for split in SPLITS.values()}  # fmt: skip
    both = len(seen[Split.TRAIN] & seen[Split.TEST])
    reading.notes["file names that stand in both train and test"] += both


def _add_classes(folder: Path, split: Split | None, reading: Reading) -> None:
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if path.name.startswith("."):
            continue
        where = path.relative_to(reading.root).as_posix()
        label = reading.label(where, path.name, LABELS)
        if label is None:
            continue
        photos = reading.photos(path)
        documented = {photo.stem: photo for photo in photos if photo.parent == path}
        for picture in photos:
            name = picture.relative_to(reading.root)
            first = documented.get(picture.stem)
            if first is not None and first.parent != picture.parent:
                reading.problem(name.as_posix(), f"bears the name of {first.name} above; keep one")
                continue
            reading.add_photo(picture, name, label, split=split)


READER = Reader(
    name="dermnet",
    title="DermNet (23 classes)",
    licence="unclear; DermNet forbids training on its free pictures: ask before use",
    citation="DermNet, dermnet.com; arranged as 23 classes on Kaggle by shubhamgoel27.",
    url="https://www.kaggle.com/datasets/shubhamgoel27/dermnet",
    layout="train/<class>/*.jpg and test/<class>/*.jpg, or <class>/*.jpg",
    group_key="file series (name without trailing number), over classes and splits",
    labels=LABELS,
    fill=_fill,
)
