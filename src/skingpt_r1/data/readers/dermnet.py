"""DermNet as a tree of folders: 23 classes, with or without train/ and test/."""

from pathlib import Path

from skingpt_r1.case import Case, Split
from skingpt_r1.data.info import DERMNET, DatasetInfo
from skingpt_r1.data.pictures import photos_below
from skingpt_r1.data.reading import BESIDE, Reading
from skingpt_r1.text.values import file_series

INFO = DatasetInfo(
    name="dermnet",
    title="DermNet (23 classes)",
    licence="unclear; DermNet forbids training on its free pictures: ask before use",
    citation="DermNet, dermnet.com; arranged as 23 classes on Kaggle by shubhamgoel27.",
    url="https://www.kaggle.com/datasets/shubhamgoel27/dermnet",
    layout="train/<class>/*.jpg and test/<class>/*.jpg, or <class>/*.jpg",
    group_key="file series (name without trailing number), over classes and splits",
    labels=DERMNET,
)
SPLITS = {"train": Split.TRAIN, "test": Split.TEST}


def read(root: Path) -> Reading:
    """Walk the folders; the problems stay in the result."""
    reading = Reading(INFO, root)
    parts = {name: split for name, split in SPLITS.items() if (root / name).is_dir()}
    if parts:
        for name, split in parts.items():
            _add_classes(root / name, split, reading)
    else:
        _add_classes(root, None, reading)
    seen = {split: {case.images[0].name for case in reading.cases if case.split is split}
            for split in SPLITS.values()}  # fmt: skip
    if both := len(seen[Split.TRAIN] & seen[Split.TEST]):
        reading.notes["file names that stand in both train and test"] = both
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a DermNet tree, one picture each, labelled by folder.

    The official split leaks: pictures of one series, and even the same file names, stand on both
    sides. Splitting by `group` does not.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _add_classes(folder: Path, split: Split | None, reading: Reading) -> None:
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if path.name.startswith("."):
            continue
        where = path.relative_to(reading.root).as_posix()
        label = reading.label(where, path.name, DERMNET)
        if label is None:
            continue
        photos, beside = photos_below(path)
        if beside:
            reading.notes[BESIDE] += beside
        documented = {photo.stem: photo for photo in photos if photo.parent == path}
        for picture in photos:
            name = picture.relative_to(reading.root)
            first = documented.get(picture.stem)
            if first is not None and first.parent != picture.parent:
                reading.problem(name.as_posix(), f"bears the name of {first.name} above; keep one")
                continue
            reading.add(
                Case(
                    id=name.with_suffix("").as_posix().strip(),
                    images=(picture,),
                    dataset=INFO.name,
                    group=file_series(picture.stem),
                    label=label,
                    split=split,
                ),
                name.as_posix(),
            )
