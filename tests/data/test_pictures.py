"""Which file is the picture that a table names: the photo, or an error; never a mask in silence."""

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_sets import CLASS, build, edit, picture, rows_of, table

from skingpt_r1.data import check_dataset, load_cases
from skingpt_r1.data.pictures import PictureIndex, photos_below
from skingpt_r1.errors import DatasetError

# Where the photos of each small set lie, and how their names end.
PHOTOS = {
    "ham10000": ("HAM10000_images_part_1", ".jpg"),
    "pad_ufes_20": ("images/imgs_part_1", ".png"),
    "fitzpatrick17k": ("images", ".jpg"),
    "ddi": ("images", ".png"),
    "derm7pt": ("images/NEL", ".jpg"),
    "isic_2019": ("ISIC_2019_Training_Input", ".jpg"),
    "scin": ("dataset/images", ".png"),
    "skincap": ("skincap", ".png"),
}
NAMES = sorted(PHOTOS)


def photos_of(name: str, root: Path) -> list[Path]:
    return [path for case in load_cases(name, root) for path in case.images]


def masked(root: Path, photos: Path, masks: Path, suffix: str) -> None:
    """A mask for every photo of a folder, under its name."""
    for path in sorted((root / photos).iterdir()):
        if path.is_file():
            picture(root / masks / f"{path.stem}{suffix}", 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".PNG"])
@pytest.mark.parametrize("place", ["{}/GT", "{}/masks", "{}/aaa", "HAM10000_images_masks", "A_seg"])
def test_masks_never_win_over_photos(name: str, place: str, suffix: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    before = photos_of(name, root)
    photos = Path(PHOTOS[name][0])
    masked(root, photos, Path(place.format(photos)), suffix)
    assert photos_of(name, root) == before


@pytest.mark.parametrize("name", NAMES)
def test_masks_win_over_no_reencoded_photo(name: str, tmp_path: Path) -> None:
    """The mask has the very name of the table; the photo has another suffix since."""
    root = build(name, tmp_path)
    place, suffix = PHOTOS[name]
    for path in sorted((root / place).iterdir()):
        path.rename(path.with_suffix(".webp"))
    masked(root, Path(place), Path(place, "Masks"), suffix)
    assert {path.suffix for path in photos_of(name, root) if path.parent == root / place} == {
        ".webp"
    }


@pytest.mark.parametrize("name", NAMES)
def test_two_folders_that_nothing_documents_are_an_error(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    place = root / PHOTOS[name][0]
    victim = sorted(place.iterdir())[-1]
    for folder in ("photographs", "copies"):
        picture(place / folder / victim.name, len(folder))
    victim.unlink()
    with pytest.raises(DatasetError) as caught:
        load_cases(name, root, allow_missing=True)
    (problem,) = caught.value.problems
    assert "2 files answer to it" in problem
    assert f"photographs/{victim.name}" in problem
    assert f"copies/{victim.name}" in problem
    shutil.copy(place / "copies" / victim.name, place / "photographs" / victim.name)
    assert len(load_cases(name, root)) == 5, "the same bytes twice are one picture"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folder", ["GT", "lesion-masks", "Thumbs", "PhotoSegmentations"])
def test_a_mask_is_no_photo_where_the_photo_is_missing(
    name: str, folder: str, tmp_path: Path
) -> None:
    root = build(name, tmp_path)
    place = root / PHOTOS[name][0]
    victim = sorted(place.iterdir())[-1]
    picture(place / folder / f"{victim.stem}.png")
    victim.unlink()
    with pytest.raises(DatasetError, match="missing files: 1") as caught:
        load_cases(name, root)
    assert f"{folder}/{victim.stem}.png bears the name" in caught.value.problems[0]
    assert len(load_cases(name, root, allow_missing=True)) == 4


def test_sub_folders_and_other_suffixes_are_still_found(tmp_path: Path) -> None:
    root = build("ddi", tmp_path)
    inner = root / "images" / "batch 1" / "a"
    inner.mkdir(parents=True)
    for path in sorted((root / "images").glob("*.png")):
        path.rename(inner / f"{path.stem}.JPEG")
    assert {path.parent for path in photos_of("ddi", root)} == {inner}


def test_two_parts_of_ham10000_with_one_name(tmp_path: Path) -> None:
    root = build("ham10000", tmp_path)
    part_1, part_2 = (root / f"HAM10000_images_part_{n}" for n in (1, 2))
    shutil.copy(part_1 / "ISIC_0.jpg", part_2 / "isic_0.JPG")
    assert photos_of("ham10000", root)[0] == part_1 / "ISIC_0.jpg"
    picture(part_2 / "isic_0.JPG", 77)
    with pytest.raises(DatasetError, match=r"part_1/ISIC_0.jpg and HAM.*part_2/isic_0.JPG"):
        load_cases("ham10000", root)


@pytest.mark.parametrize("merged", ["HAM10000_images", "images", "HAM10000_IMAGES_PART_1", "."])
def test_ham10000_in_one_folder(merged: str, tmp_path: Path) -> None:
    root = build("ham10000", tmp_path)
    for part in list(root.glob("HAM10000_images_part_*")):
        for path in part.iterdir():
            (root / merged).mkdir(exist_ok=True)
            path.rename(root / merged / path.name)
        part.rmdir()
    picture(root / "masks" / "ISIC_0.png")
    assert {path.parent for path in photos_of("ham10000", root)} == {root / merged}


def test_archives_unpacked_into_a_folder_of_their_own_name(tmp_path: Path) -> None:
    root = build("isic_2019", tmp_path)
    outer = root / "ISIC_2019_Training_Input"
    inner = outer / "ISIC_2019_Training_Input"
    outer.rename(root / "x")
    outer.mkdir()
    (root / "x").rename(inner)
    masked(root, inner.relative_to(root), outer.relative_to(root) / "GT", ".png")
    assert {path.parent for path in photos_of("isic_2019", root)} == {inner}


@pytest.mark.parametrize("tables_suffix", ["", ".png", ".jpg"])
def test_two_encodings_in_one_folder(tables_suffix: str, tmp_path: Path) -> None:
    """The suffix of the table decides; without one, nothing does."""
    root = build("pad_ufes_20", tmp_path)
    place = root / "images" / "imgs_part_1"
    picture(place / "PAT_0.jpg", 3)
    edit(root / "metadata.csv", 0, img_id=f"PAT_0{tables_suffix}")
    if tables_suffix:
        reading = check_dataset("pad_ufes_20", root)
        assert reading.settle()[0].images == (place / f"PAT_0{tables_suffix}",)
        assert reading.counts() == {
            "pictures of one name with two suffixes; the table's suffix was taken": 1
        }
        return
    with pytest.raises(DatasetError, match=r"PAT_0.jpg and images/imgs_part_1/PAT_0.png"):
        load_cases("pad_ufes_20", root)


def test_a_path_of_the_table_is_not_found_in_another_folder(tmp_path: Path) -> None:
    root = build("derm7pt", tmp_path)
    (root / "images" / "OTHER").mkdir()
    (root / "images" / "NEL" / "NEL000.JPG").rename(root / "images" / "OTHER" / "NEL000.JPG")
    with pytest.raises(DatasetError, match=r"no picture NEL/Nel000.jpg; images/OTHER/NEL000.JPG"):
        load_cases("derm7pt", root)


def test_what_systems_leave_behind_is_no_picture(tmp_path: Path) -> None:
    root = build("ddi", tmp_path)
    before = photos_of("ddi", root)
    for name in ("__MACOSX/images/000001.png", "images/._000001.png", "images/.thumbs/000001.png"):
        picture(root / name, 9)
    (root / "images" / "000009.png").symlink_to(root / "nowhere.png")
    assert photos_of("ddi", root) == before


def test_dermnet_leaves_masks_out_and_tells_of_copies(tmp_path: Path) -> None:
    root = build("dermnet", tmp_path)
    place = root / "train" / CLASS
    for name in ("masks/hives-1.png", "hives-1_mask.png", "hives-2-Thumbnail.jpg"):
        picture(place / name, 1)
    picture(place / "hives-9_mask.jpg")  # no photo hives-9: it is one itself
    reading = check_dataset("dermnet", root)
    assert len(reading.settle()) == 6
    assert reading.counts()["masks, maps and small copies beside the photos, left out"] == 3
    picture(place / "256" / "hives-2.jpg", 8)
    with pytest.raises(DatasetError, match=r"256/hives-2.jpg: bears the name of hives-2.jpg above"):
        load_cases("dermnet", root)
    shutil.rmtree(place / "256")
    picture(place / "hives-2.png", 8)
    with pytest.raises(DatasetError, match=r"hives-2.png: duplicate id .* in .*hives-2.jpg"):
        load_cases("dermnet", root)


def test_skincot_leaves_masks_out(tmp_path: Path) -> None:
    root = build("skincot", tmp_path)
    picture(root / "SkinCoT" / "images" / CLASS / "segmentation" / "hives-acute-0.png")
    reading = check_dataset("skincot", root)
    assert len(reading.settle()) == 5
    assert sum(reading.notes.values()) == 1


def test_dermbench_pictures_by_place_and_letter_case(tmp_path: Path) -> None:
    root = build("dermbench", tmp_path)
    photo = picture(root / "test" / CLASS.lower() / "Hives-0.JPG")
    picture(root / "images" / "Acne" / "hives-0.jpg", 4)
    assert load_cases("dermbench", root)[0].images == (photo,)
    picture(root / "images" / CLASS / "hives-0.jpg", 4)
    with pytest.raises(DatasetError, match="2 files answer to it"):
        load_cases("dermbench", root)


def test_accents_in_one_character_or_two(tmp_path: Path) -> None:
    photo = picture(tmp_path / "Ha\u0308nde" / "u\u0308ber.png")
    assert PictureIndex(tmp_path).find("h\u00e4nde/\u00dcBER.jpg") == photo


def test_names_by_letter_case_alone_are_two_pictures(tmp_path: Path) -> None:
    """Ids such as video codes differ in letter case only; the exact one is found."""
    names = ["aB1.png", "Ab1.png"]
    photos = [picture(tmp_path / name, shade) for shade, name in enumerate(names)]
    index = PictureIndex(tmp_path)
    assert [index.find(name) for name in names] == photos
    assert [index.find(name) for name in ("aB1", "Ab1")] == photos
    for name in ("AB1", "ab1.PNG"):
        with pytest.raises(DatasetError, match=r"Ab1.png and aB1.png"):
            index.find(name)


folders = st.sampled_from(["", "images/", "images/sub/", "GT/", "images/GT/", "copies/"])
kinds = st.sampled_from([".jpg", ".png", ".JPG"])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.sets(st.tuples(folders, kinds), min_size=1, max_size=5), suffix=kinds)
def test_one_picture_or_none_or_an_error_that_names_both(
    files: set[tuple[str, str]], suffix: str, tmp_path: Path
) -> None:
    """What is found is alone in its folder under that suffix, and no documented place has more."""
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    for shade, (folder, kind) in enumerate(sorted(files)):
        picture(tmp_path / "set" / f"{folder}x{kind}", 20 * shade)
    documented = [f"images/x{kind}" for folder, kind in files if folder == "images/"]
    try:
        found = PictureIndex(tmp_path / "set", "images").find(f"x{suffix}")
    except DatasetError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert sum(f"{folder}x{kind}" in message for folder, kind in files) >= 2
    elif found is None:
        assert not documented
    else:
        assert "GT" not in found.parts
        assert found.parent.name == "images" or not documented
        assert found.suffix == suffix or f"images/x{suffix}" not in documented


def test_photos_below_counts_what_it_leaves_out(tmp_path: Path) -> None:
    for name in ("a.png", "a_GT.png", "b.gt.png", "groundTruth/a.png", "ground/a.png"):
        picture(tmp_path / name)
    photos, beside = photos_below(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in photos] == [
        "a.png", "b.gt.png", "ground/a.png",
    ]  # fmt: skip
    assert beside == 2


def test_hostile_names_are_quick(tmp_path: Path) -> None:
    root = build("ddi", tmp_path)
    path = root / "ddi_metadata.csv"
    rows = rows_of(path)
    for name in (
        "../" * 30000,
        "a" * 100000,
        "\\" * 100000,
        " " * 100000 + "x",
        "\0",
        "GT" * 50000,
    ):
        table(path, [{**rows[0], "DDI_file": name}])
        start = time.perf_counter()
        with pytest.raises(DatasetError, match="no picture"):
            load_cases("ddi", root)
        assert time.perf_counter() - start < 0.5
