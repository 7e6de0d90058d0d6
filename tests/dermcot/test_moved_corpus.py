"""A corpus of real photos whose folder or whose photos have moved."""

import json
from pathlib import Path

import pytest
from small_corpus import contents, small_recipe, small_tools

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.certify import export_to_raters
from skingpt_r1.dermcot.pipeline import build
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.certification import CertifyRules
from skingpt_r1.render.layouts import write_pad_ufes_20


def recipe(root: Path):
    return small_recipe(
        cases={"dataset": "pad_ufes_20", "root": str(root), "count": None, "held_out": 4},
        narrators={"slips": 0.0},
        select={"keep": None, "minimum_mean": 0.0, "minimum": 0.0},
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `photos` and a corpus in `runs/corpus`, both given by relative paths."""
    place = tmp_path / "first"
    place.mkdir()
    monkeypatch.chdir(place)
    write_pad_ufes_20(Path("photos"), 16, 3, 48)
    build(recipe(Path("photos")), Path("runs/corpus"), small_tools(recipe(Path("photos"))))
    monkeypatch.chdir(tmp_path)
    return place


def found(folder: Path) -> bool:
    cases = list(corpus.corpus_cases(folder))
    return bool(cases) and all(path.is_file() for case in cases for path in case.images)


def test_records_name_photos_from_the_root_of_the_data(place: Path) -> None:
    path = corpus.cases_path(place / "runs" / "corpus")
    names = [json.loads(line)["images"] for line in path.read_text("utf-8").splitlines()]
    assert all(name.startswith("images/imgs_part_") for (name, *_) in names)


@pytest.mark.parametrize("what", ["nothing", "the corpus", "the corpus with its photos"])
def test_a_moved_corpus_finds_its_photos(place: Path, tmp_path: Path, what: str) -> None:
    folder = place / "runs" / "corpus"
    if what == "the corpus":
        folder = folder.rename(tmp_path / "moved")
    elif what != "nothing":
        folder = place.rename(tmp_path / "second") / "runs" / "corpus"
    assert found(folder)
    made = export_to_raters(folder, tmp_path / "sheet", ("a", "b"), CertifyRules(), seed=0)
    assert made.pictures >= 4


def test_photos_that_moved_are_named_by_the_command_that_began(place: Path, tmp_path: Path) -> None:
    folder = place / "runs" / "corpus"
    before = contents(folder)
    photos = (place / "photos").rename(tmp_path / "new")
    with pytest.raises(DatasetError, match=r"not in .*photos any more.*--set cases.root=DIR"):
        export_to_raters(folder, tmp_path / "sheet", ("a", "b"), CertifyRules(), seed=0)
    build(recipe(photos), folder, small_tools(recipe(photos)))
    assert found(folder)
    after = contents(folder)
    assert {name for name in before if before[name] != after[name]} == {"places.json"}


def test_a_corpus_without_the_note_names_pictures_from_its_own_folder(tmp_path: Path) -> None:
    build(small_recipe(), tmp_path / "drawn", small_tools(small_recipe()))
    assert not (tmp_path / "drawn" / "places.json").exists()
    (tmp_path / "drawn").rename(tmp_path / "moved")
    assert found(tmp_path / "moved")
