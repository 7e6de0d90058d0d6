"""Parts of a recipe's data: at random by group, or as the data set publishes them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from skingpt_r1.case import Split
from skingpt_r1.distill.data import load_parts
from skingpt_r1.distill.recipe import DataRecipe
from skingpt_r1.errors import DatasetError


def folder_with_splits(folder: Path, splits: list[str | None]) -> Path:
    rows = []
    for index, split in enumerate(splits):
        name = f"{index}.png"
        Image.new("RGB", (56, 56), (index, 9, 9)).save(folder / name)
        row = {"file_name": name, "id": str(index), "label": "wart"}
        rows.append(row if split is None else row | {"split": split})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_official_parts_are_those_of_the_data_set(tmp_path: Path) -> None:
    root = folder_with_splits(tmp_path, ["train", "test", "train", "test"])
    recipe = DataRecipe(dataset="folder", root=root, split="official")
    parts = load_parts(recipe, tmp_path / "unused")
    assert [case.id for case in parts[Split.TRAIN]] == ["0", "2"]
    assert [case.id for case in parts[Split.TEST]] == ["1", "3"]


@pytest.mark.parametrize(
    ("splits", "message"),
    [(["test", "test"], "no part `train`"), (["train", None], "no official split")],
)
def test_official_parts_that_cannot_be_learned_from(
    tmp_path: Path, splits: list[str | None], message: str
) -> None:
    root = folder_with_splits(tmp_path, splits)
    with pytest.raises(DatasetError, match=message):
        load_parts(DataRecipe(dataset="folder", root=root, split="official"), tmp_path / "unused")


def test_random_parts_keep_every_case(tmp_path: Path) -> None:
    root = folder_with_splits(tmp_path, [None] * 10)
    recipe = DataRecipe(dataset="folder", root=root, split={Split.TRAIN: 0.7, Split.TEST: 0.3})
    parts = load_parts(recipe, tmp_path / "unused")
    assert sorted(c.id for part in parts.values() for c in part) == [str(n) for n in range(10)]
