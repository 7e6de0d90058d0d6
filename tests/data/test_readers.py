"""What holds for every reader, on a five-case copy of its data set's layout."""

import logging
from pathlib import Path

import pytest
from small_sets import BUILDERS, TABLES, build, drop_column, edit, picture, rows_of, table

from skingpt_r1.case import Case
from skingpt_r1.data import READERS, check_dataset, describe, describe_cases, load_cases
from skingpt_r1.data.pictures import PictureIndex, pictures_below
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.findings import check_findings

ALL = sorted(BUILDERS)
TABLED = sorted(TABLES)


def test_every_reader_has_a_fixture() -> None:
    assert set(READERS) == set(BUILDERS)


@pytest.mark.parametrize("name", ALL)
def test_five_cases(name: str, tmp_path: Path) -> None:
    cases = load_cases(name, build(name, tmp_path))
    assert len(cases) == 5
    assert len({case.id for case in cases}) == 5
    for case in cases:
        assert isinstance(case, Case)
        assert case.dataset == name
        assert case.images
        assert case.group
        assert not check_findings(case.findings)
        assert all(case.context.values())
        if name != "dermbench":
            assert all(path.is_file() for path in case.images)
        if READERS[name].labels and case.label is not None:
            assert case.label in READERS[name].labels
    grouped = {"fitzpatrick17k", "ddi", "derm7pt", "scin"}
    assert (len({case.group for case in cases}) == 5) == (name in grouped)


@pytest.mark.parametrize("name", ALL)
def test_reading_twice_is_the_same(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    assert load_cases(name, root) == load_cases(name, str(root))


@pytest.mark.parametrize("name", ALL)
def test_card_and_counts(name: str, tmp_path: Path) -> None:
    info = READERS[name]
    assert info.name == name
    card = describe(name)
    for text in (info.licence, info.citation, info.url, info.group_key):
        assert text
        assert text in card
    counts = describe_cases(load_cases(name, build(name, tmp_path)))
    assert "Cases:             5" in counts


@pytest.mark.parametrize("name", ALL)
def test_empty_and_absent_folders(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected|no skincap_v"):
        load_cases(name, tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        load_cases(name, tmp_path / "absent")


@pytest.mark.parametrize("name", sorted(set(ALL) - {"dermnet", "dermbench", "dermcot"}))
def test_missing_picture(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = build(name, tmp_path)
    victim = pictures_below(root)[-1]
    victim.unlink()
    with pytest.raises(DatasetError, match="missing files: 1") as caught:
        load_cases(name, root)
    assert len(caught.value.problems) == 1
    assert "--allow-missing" in str(caught.value)
    caplog.set_level(logging.WARNING)
    assert len(load_cases(name, root, allow_missing=True)) == 4
    assert "file missing: 1" in caplog.text
    assert victim.name not in caplog.text


@pytest.mark.parametrize("name", sorted(set(TABLED)))
def test_every_picture_missing_leaves_nothing(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    for path in pictures_below(root):
        path.unlink()
    with pytest.raises(DatasetError, match="no case"):
        load_cases(name, root, allow_missing=True)


@pytest.mark.parametrize("name", TABLED)
def test_all_problems_at_once(name: str, tmp_path: Path) -> None:
    """A missing picture, a duplicate id, a bad label and a torn row: one error, row numbers."""
    root = build(name, tmp_path)
    file, _, label = TABLES[name]
    path = root / file
    rows = rows_of(path)
    table(path, [*rows, rows[0]])
    if label:
        edit(path, 1, **{label: "banana"})
    with path.open("a", encoding="utf-8") as stream:
        stream.write("torn\n")
    pictures_below(root)[-1].unlink()
    with pytest.raises(DatasetError) as caught:
        load_cases(name, root)
    text = str(caught.value)
    assert f"{path.name} row 7: duplicate id" in text
    assert f"{path.name} row 8: 1 cells where the heading has" in text
    assert "no picture" in text
    if label:
        assert f"{path.name} row 3: " in text
        assert "banana" in text
    assert len(caught.value.problems) == (4 if label else 3)
    with pytest.raises(DatasetError, match="duplicate id"):
        load_cases(name, root, allow_missing=True)


@pytest.mark.parametrize("name", TABLED)
def test_wrong_columns(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    file, key, _ = TABLES[name]
    drop_column(root / file, key)
    with pytest.raises(DatasetError, match="wrong columns") as caught:
        load_cases(name, root)
    assert f"no column {key!r}" in str(caught.value)


@pytest.mark.parametrize("name", TABLED)
def test_empty_id(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    file, key, _ = TABLES[name]
    edit(root / file, 2, **{key: ""})
    with pytest.raises(DatasetError, match="row 4: "):
        load_cases(name, root)


@pytest.mark.parametrize("name", TABLED)
def test_not_utf8(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    path = root / TABLES[name][0]
    path.write_bytes(path.read_bytes() + b"\xff\xfe")
    with pytest.raises(DatasetError, match="not UTF-8"):
        load_cases(name, root)


def test_unknown_name() -> None:
    with pytest.raises(DatasetError, match="nearest: 'ham10000'"):
        load_cases("ham1000", ".")


def test_check_hands_back_problems(tmp_path: Path) -> None:
    root = build("ham10000", tmp_path)
    edit(root / "HAM10000_metadata.csv", 0, dx="nevus", age="old")
    reading = check_dataset("ham10000", root)
    assert len(reading.problems) == 2
    assert len(reading.cases) == 4
    assert reading.counts() == {}


def test_picture_index_prefers_the_exact_name(tmp_path: Path) -> None:
    png, jpg = picture(tmp_path / "a" / "x.png"), picture(tmp_path / "a" / "X.jpg")
    other = picture(tmp_path / "b" / "y.jpeg")
    (tmp_path / "a" / "._x.png").write_bytes(b"")
    index = PictureIndex(tmp_path)
    assert index.find("._x.png") is None
    assert index.find("x.jpg") == jpg
    assert index.find("a/x.PNG") == png
    assert index.find("X.PNG") == png
    assert index.find("x") == png
    assert index.find("b\\y.jpeg") == index.find("y.bmp") == other
    assert index.find("z") is None
    assert index.find("") is None
    with pytest.raises(DatasetError, match=r"2 files answer to it: a/X.jpg and a/x.png"):
        index.find("x.bmp")


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    picture(tmp_path / "real" / "x.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "part").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "set")
    assert [path.name for path in pictures_below(tmp_path / "set")] == ["x.png"]
