"""The reader of published corpora: unpacking, and what stands against a damaged one."""

from pathlib import Path

import pytest
from small_sets import build, corpus_row, shard

from skingpt_r1.case import SkinTone, Split
from skingpt_r1.data import load_cases
from skingpt_r1.distill.data import load_parts
from skingpt_r1.distill.recipe import DataRecipe
from skingpt_r1.errors import DatasetError

ONE = "train-00000-of-00001.parquet"


def corpus(root: Path, *rows: dict) -> Path:
    shard(root / "data" / ONE, rows)
    return root


def test_every_column_arrives(tmp_path: Path) -> None:
    cases = load_cases("dermcot", build("dermcot", tmp_path))
    first, last = cases[0], cases[-1]
    assert {case.id: case.split for case in cases} == {
        "c0": Split.TRAIN, "c1": Split.TRAIN, "c2": Split.TRAIN, "c3": Split.TRAIN,
        "c4": Split.TEST,
    }  # fmt: skip
    assert first.id == "c4"
    assert last.group == "ham10000/g1"
    assert last.tone is SkinTone.DARK
    assert last.context == {"site": "arm"}
    assert last.findings == {"colour": "red"}
    assert last.attributes == {
        "source": "ham10000", "synthetic": "false", "corrected": "false", "narrator": "offline",
    }  # fmt: skip
    assert last.images == (tmp_path / "pictures" / "row-3.png",)


def test_pictures_are_unpacked_once_and_mended(tmp_path: Path) -> None:
    build("dermcot", tmp_path)
    path = load_cases("dermcot", tmp_path)[-1].images[0]
    content, inode = path.read_bytes(), path.stat().st_ino
    load_cases("dermcot", tmp_path)
    assert path.stat().st_ino == inode
    path.write_bytes(b"damaged")
    load_cases("dermcot", tmp_path)
    assert path.read_bytes() == content


def test_bad_rows_are_told_together(tmp_path: Path) -> None:
    picture = corpus_row(9)["images"][0]["bytes"]
    root = corpus(
        tmp_path,
        corpus_row(0),
        corpus_row(0),
        corpus_row(1, tone="beige", fitzpatrick=7),
        corpus_row(2, narrative="", findings=[{"slot": "colour", "value": "loud"}]),
        corpus_row(3, images=[{"bytes": picture, "path": "../../outside.png"}]),
    )
    with pytest.raises(DatasetError) as caught:
        load_cases("dermcot", root)
    text = "\n".join(caught.value.problems)
    for words in (
        f"{ONE} row 2: duplicate id 'c0'",
        f"{ONE} row 3: tone 'beige' is not one of light, medium, dark",
        f"{ONE} row 3: Fitzpatrick type '7'",
        f"{ONE} row 4: narrative is empty",
        f"{ONE} row 4: ",
        f"{ONE} row 5: a picture's name is a path",
    ):
        assert words in text
    assert not (tmp_path.parent / "outside.png").exists()


def test_damaged_shards(tmp_path: Path) -> None:
    root = build("dermcot", tmp_path)
    path = root / "data" / "train-00001-of-00002.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match="cannot be read as Parquet"):
        load_cases("dermcot", root)
    path.unlink()
    with pytest.raises(DatasetError, match="shards of train are missing; 1 of 00002"):
        load_cases("dermcot", root)
    shard(path, [{"id": "x"}])
    with pytest.raises(DatasetError, match=r"wrong columns in .*: no dataset, group"):
        load_cases("dermcot", root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": 7}, "id is int, not text"),
        ({"narrative": ["a"]}, "narrative is list, not text"),
        ({"site": 1.5}, "site is float, not text"),
        ({"images": ["a.png"]}, "images holds an item without path and bytes"),
        ({"images": [{"path": "a.png", "bytes": None}]}, "images holds an item without"),
        ({"images": "a.png"}, "images is str, not a list"),
        ({"image_sha256": 7}, "image_sha256 is int, not a list"),
        ({"findings": [{"slot": "colour"}]}, "findings holds an item without slot and value"),
        ({"id": "../c0"}, "id '../c0' cannot be used: it leads to another folder"),
    ],
)
def test_hostile_columns(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_cases("dermcot", corpus(tmp_path, corpus_row(0, **changes)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a/b.png", "..\\b.png", ".b.png", "..", "C:\\b.png", "b\0.png", "b.html", "b", ""]
)
def test_names_that_pictures_may_not_have(name: str, tmp_path: Path) -> None:
    row = corpus_row(0)
    row["images"][0]["path"] = name
    with pytest.raises(DatasetError, match="a picture's name is a path or no picture"):
        load_cases("dermcot", corpus(tmp_path, row))
    assert not (tmp_path / "pictures").exists()


def test_two_pictures_of_one_name(tmp_path: Path) -> None:
    rows = [corpus_row(0), corpus_row(1)]
    rows[1]["images"][0]["path"] = "ROW-0.png"
    with pytest.raises(DatasetError, match=f"{ONE} row 2: another picture of the corpus has"):
        load_cases("dermcot", corpus(tmp_path, *rows))


def test_without_pictures(tmp_path: Path) -> None:
    root = corpus(tmp_path, corpus_row(0), corpus_row(1, images=[]))
    with pytest.raises(DatasetError, match="missing files: 1"):
        load_cases("dermcot", root)
    assert [case.id for case in load_cases("dermcot", root, allow_missing=True)] == ["c0"]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    root = build("dermcot", tmp_path)
    (root / "pictures").write_text("in the way")
    with pytest.raises(DatasetError, match="cannot unpack pictures"):
        load_cases("dermcot", root)


def test_certified_cases_are_never_trained_on(tmp_path: Path) -> None:
    root = build("dermcot", tmp_path)
    shares = {Split.TRAIN: 0.5, Split.TEST: 0.5}
    recipe = DataRecipe(dataset="dermcot", root=root, split=shares, narratives="given")
    parts = load_parts(recipe, tmp_path / "unused")
    assert [case.id for case in parts[Split.TEST]] == ["c4"]
    assert sorted(case.id for case in parts[Split.TRAIN]) == ["c0", "c1", "c2", "c3"]
    whole = DataRecipe(dataset="dermcot", root=root, split="official", narratives="given")
    assert load_parts(whole, tmp_path / "unused") == parts


def test_a_corpus_without_certified_cases_is_cut_by_group(tmp_path: Path) -> None:
    root = corpus(tmp_path, *(corpus_row(n) for n in range(8)))
    recipe = DataRecipe(dataset="dermcot", root=root, narratives="given",
                        split={Split.TRAIN: 0.5, Split.TEST: 0.5})  # fmt: skip
    parts = load_parts(recipe, tmp_path / "unused")
    assert len(parts[Split.TRAIN]) == len(parts[Split.TEST]) == 4
    groups = [{case.group for case in parts[part]} for part in (Split.TRAIN, Split.TEST)]
    assert not groups[0] & groups[1]
