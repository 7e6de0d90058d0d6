"""What each data set does its own way."""

import os
import shutil
from pathlib import Path

import pytest
from small_sets import CLASS, build, edit, picture, rows_of, table

from skingpt_r1.case import Case, SkinTone, Split
from skingpt_r1.data import check_dataset, load_cases
from skingpt_r1.data.reading import label_set
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.values import file_series, given_text, truth, whole_number


def one(name: str, root: Path, number: int = 0) -> Case:
    return load_cases(name, root)[number]


def test_label_sets_have_their_published_sizes() -> None:
    assert [
        len(set(names)) for names in map(label_set, ("dermnet", "fitzpatrick17k", "ddi", "skincon"))
    ] == [23, 114, 78, 48]


@pytest.mark.parametrize(
    ("stem", "series"),
    [
        ("acne-cystic-101", "acne-cystic"),
        ("Acne-Cystic-7", "acne-cystic"),
        ("07Rhinophyma1", "07rhinophyma"),
        ("hives", "hives"),
        ("eczema_hand 12", "eczema_hand"),
        ("12345", "12345"),
    ],
)
def test_file_series(stem: str, series: str) -> None:
    assert file_series(stem) == series


@pytest.mark.parametrize("cell", ["", " ", "NaN", "nan", "UNK", "unknown", "None", "N/A"])
def test_unknown_cells(cell: str) -> None:
    assert given_text(cell) is None


def test_cells() -> None:
    assert [whole_number(t) for t in ("63", "63.0", "-1", "6.5", "x", "1e3", "٣")] == [
        63, 63, -1, None, None, None, None,
    ]  # fmt: skip
    assert [truth(t) for t in ("True", "0", "1.0", "No", "UNK")] == [True, False, True, False, None]


def test_ham10000_facts(tmp_path: Path) -> None:
    cases = load_cases("ham10000", build("ham10000", tmp_path))
    assert cases[0].label == "melanoma"
    assert cases[0].group == cases[1].group == "HAM_0"
    assert cases[0].context == {"site": "lower extremity", "age": "50"}
    assert cases[0].attributes == {"raw_label": "mel", "dx_type": "histo", "sex": "male"}
    assert cases[4].context == {}


def test_ham10000_needs_only_the_folders_it_names(tmp_path: Path) -> None:
    root = build("ham10000", tmp_path)
    for path in (root / "HAM10000_images_part_2").iterdir():
        shutil.copy(path, root / "HAM10000_images_part_1")
    shutil.rmtree(root / "HAM10000_images_part_2")
    assert len(load_cases("ham10000", root)) == 5


def test_a_pipe_among_the_pictures_is_a_problem_of_its_row(tmp_path: Path) -> None:
    root = build("ham10000", tmp_path)
    first, second = (case.images[0] for case in load_cases("ham10000", root)[:2])
    first.unlink()
    os.mkfifo(first)
    second.unlink()
    second.symlink_to("/dev/zero")
    with pytest.raises(DatasetError) as caught:
        load_cases("ham10000", root, allow_missing=True)
    assert [problem.split(": ", 1)[1] for problem in caught.value.problems] == [
        f"{first}: a pipe, not a picture",
        f"{second}: a device, not a picture",
    ]
    assert "row 2: " in str(caught.value)


def test_ham10000_as_published_with_tabs(tmp_path: Path) -> None:
    root = build("ham10000", tmp_path)
    path = root / "HAM10000_metadata.csv"
    (root / "HAM10000_metadata.tab").write_text(path.read_text().replace(",", "\t"))
    path.unlink()
    assert len(load_cases("ham10000", root)) == 5


def test_pad_ufes_20_facts(tmp_path: Path) -> None:
    cases = load_cases("pad_ufes_20", build("pad_ufes_20", tmp_path))
    assert cases[0].id == "PAT_0"
    assert cases[0].label == "melanocytic nevus"
    assert cases[0].fitzpatrick == 3
    assert cases[0].tone is SkinTone.MEDIUM
    assert cases[0].findings == {"elevation": "elevated", "bleeding": "bleeding"}
    assert cases[0].context == {"site": "forearm", "age": "40"}
    assert cases[0].attributes["raw_label"] == "NEV"
    assert cases[0].attributes["biopsed"] == "True"
    assert "grew" not in cases[0].attributes
    assert cases[4].findings == {"elevation": "flat"}
    assert cases[4].fitzpatrick is None
    assert cases[4].tone is None


def test_pad_ufes_20_reencoded_and_flat(tmp_path: Path) -> None:
    root = build("pad_ufes_20", tmp_path)
    for path in list((root / "images").rglob("*.png")):
        path.rename(root / "images" / f"{path.stem}.jpg")
    assert one("pad_ufes_20", root).images[0].suffix == ".jpg"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"fitspatrick": "7"}, "Fitzpatrick type '7'"),
        ({"age": "old"}, "age 'old'"),
        ({"bleed": "maybe"}, "bleed 'maybe'"),
        ({"diagnostic": "BBC"}, "unknown label 'BBC'; nearest: 'bcc'"),
        ({"patient_id": ""}, "patient_id is empty"),
    ],
)
def test_pad_ufes_20_bad_cells(cells: dict[str, str], message: str, tmp_path: Path) -> None:
    root = build("pad_ufes_20", tmp_path)
    edit(root / "metadata.csv", 3, **cells)
    with pytest.raises(DatasetError) as caught:
        load_cases("pad_ufes_20", root)
    assert f"metadata.csv row 5: {message}" in str(caught.value)


def test_a_corrected_spelling_is_pointed_out(tmp_path: Path) -> None:
    root = build("pad_ufes_20", tmp_path)
    path = root / "metadata.csv"
    path.write_text(path.read_text().replace("fitspatrick", "fitzpatrick"))
    with pytest.raises(DatasetError, match="no column 'fitspatrick'; is it 'fitzpatrick'"):
        load_cases("pad_ufes_20", root)


def test_fitzpatrick17k_unknown_type(tmp_path: Path) -> None:
    cases = load_cases("fitzpatrick17k", build("fitzpatrick17k", tmp_path))
    assert [case.fitzpatrick for case in cases] == [None, 1, 3, 5, 6]
    assert [case.tone for case in cases][:2] == [None, SkinTone.LIGHT]
    assert "fitzpatrick_centaur" not in cases[0].attributes


def test_ddi_tones_are_pairs(tmp_path: Path) -> None:
    root = build("ddi", tmp_path)
    cases = load_cases("ddi", root)
    assert [case.tone for case in cases][:3] == list(SkinTone)
    assert all(case.fitzpatrick is None for case in cases)
    assert cases[0].label == "melanoma in situ"
    assert cases[0].attributes["raw_label"] == "melanoma-in-situ"
    edit(root / "ddi_metadata.csv", 0, skin_tone="2")
    with pytest.raises(DatasetError, match="skin_tone '2' is not 12, 34 or 56"):
        load_cases("ddi", root)


def test_ddi_first_release(tmp_path: Path) -> None:
    root = build("ddi", tmp_path)
    path = root / "ddi_metadata.csv"
    path.write_text(path.read_text().replace("malignant", "malignancy(malig=1)"))
    for image in list((root / "images").iterdir()):
        image.rename(root / image.name)
    (root / "images").rmdir()
    assert one("ddi", root).attributes["malignant"] == "True"


def test_derm7pt_pairs_whatever_the_letter_case(tmp_path: Path) -> None:
    cases = load_cases("derm7pt", build("derm7pt", tmp_path))
    assert [path.name for path in cases[0].images] == ["NEL000.JPG", "Nel000d.jpg"]
    assert [case.split for case in cases] == [Split.TRAIN] * 3 + [Split.VALIDATION, Split.TEST]
    assert cases[0].findings == {"elevation": "elevated"}
    assert cases[0].context == {"site": "lower limbs"}


@pytest.mark.parametrize(("index", "message"), [("9", "is not 0..4"), ("0", "already in train")])
def test_derm7pt_bad_index(index: str, message: str, tmp_path: Path) -> None:
    root = build("derm7pt", tmp_path)
    table(root / "meta" / "test_indexes.csv", [{"indexes": index}])
    with pytest.raises(DatasetError, match=message):
        load_cases("derm7pt", root)


def test_isic_2019_one_hot(tmp_path: Path) -> None:
    root = build("isic_2019", tmp_path)
    cases = load_cases("isic_2019", root)
    assert [case.label for case in cases] == [
        "melanoma", "squamous cell carcinoma", "actinic keratosis", None, "dermatofibroma",
    ]  # fmt: skip
    assert cases[0].group == cases[0].id
    assert cases[2].group == cases[3].group == "BCN_1"
    assert cases[0].context == {"site": "anterior torso", "age": "55"}
    edit(root / "ISIC_2019_Training_GroundTruth.csv", 0, NV="1.0")
    edit(root / "ISIC_2019_Training_Metadata.csv", 1, image="other")
    with pytest.raises(DatasetError) as caught:
        load_cases("isic_2019", root)
    assert "row 2: not one-hot: MEL=1.0, NV=1.0" in str(caught.value)
    assert "row 3: picture ISIC_1_downsampled has no row" in str(caught.value)


def test_isic_2019_doubled_metadata(tmp_path: Path) -> None:
    root = build("isic_2019", tmp_path)
    path = root / "ISIC_2019_Training_Metadata.csv"
    table(path, [*rows_of(path), rows_of(path)[0]])
    with pytest.raises(DatasetError, match="row 7: duplicate id 'ISIC_0'"):
        load_cases("isic_2019", root)


def test_scin_facts(tmp_path: Path) -> None:
    reading = check_dataset("scin", build("scin", tmp_path))
    cases = reading.cases
    assert [len(case.images) for case in cases] == [1, 2, 3, 1, 2]
    assert cases[0].label == "Grover's"
    assert cases[4].label is None
    assert reading.counts() == {"unlabelled": 1}
    assert [case.fitzpatrick for case in cases][:2] == [4, 2]
    assert cases[0].context == {"site": "arm", "age": "18 to 29"}
    assert cases[0].attributes["weighted_skin_condition_label"].startswith("{'Acne'")


def test_scin_skin_type_by_majority(tmp_path: Path) -> None:
    root = build("scin", tmp_path)
    column = "dermatologist_fitzpatrick_skin_type_label_"
    path = root / "dataset" / "scin_labels.csv"
    edit(path, 0, **{f"{column}1": "FST5", f"{column}2": "FST4", f"{column}3": "FST5"})
    edit(path, 1, **{f"{column}1": "FST5", f"{column}2": "FST4"})
    assert [case.fitzpatrick for case in load_cases("scin", root)][:2] == [5, 2]


@pytest.mark.parametrize(
    ("file", "cells", "message"),
    [
        ("labels", {"weighted_skin_condition_label": "{'Acne': "}, "not a mapping"),
        ("labels", {"weighted_skin_condition_label": "['Acne']"}, "not a mapping"),
        ("labels", {"weighted_skin_condition_label": "__import__('os')"}, "not a mapping"),
        ("labels", {"case_id": "zzz"}, "is not in scin_cases.csv"),
        ("labels", {"case_id": "-1"}, "duplicate id '-1'"),
        ("cases", {"fitzpatrick_skin_type": "VI"}, "is not FST1..FST6"),
        ("cases", {"image_1_path": ""}, "no picture: image_1_path to image_3_path are empty"),
    ],
)
def test_scin_bad_cells(file: str, cells: dict[str, str], message: str, tmp_path: Path) -> None:
    root = build("scin", tmp_path)
    edit(root / "dataset" / f"scin_{file}.csv", 3, **cells)
    with pytest.raises(DatasetError) as caught:
        load_cases("scin", root)
    assert message in str(caught.value)


def test_skincap_facts(tmp_path: Path) -> None:
    root = build("skincap", tmp_path)
    edit(root / "skincap_v240623.csv", 1, **{"Do not consider this image": "1"})
    reading = check_dataset("skincap", root)
    assert reading.counts() == {"left out, marked 'Do not consider this image'": 1}
    assert [case.id for case in reading.cases] == ["1", "3", "4", "5"]
    first, _, fourth, _ = reading.settle()
    assert first.narrative == "Plaque 1,\nwith scale."
    assert first.attributes["concepts"] == "Plaque; Scale"
    assert (first.fitzpatrick, first.tone) == (2, SkinTone.LIGHT)
    assert (fourth.fitzpatrick, fourth.tone) == (None, SkinTone.DARK)


def test_skincap_versions(tmp_path: Path) -> None:
    root = build("skincap", tmp_path)
    old = root / "skincap_v240623.csv"
    new = root / "skincap_v240715.csv"
    new.write_text(old.read_text().replace("caption_zh_polish_en", "caption_en"))
    edit(new, 0, caption_en="Newer.")
    assert one("skincap", root).narrative == "Newer."
    new.write_text(new.read_text().replace("caption_en", "text"))
    with pytest.raises(DatasetError, match="no caption_zh_polish_en or caption_en"):
        load_cases("skincap", root)
    old.unlink()
    new.rename(root / "skincap_v240715.xlsx")
    with pytest.raises(DatasetError, match=r"save skincap_v240715.xlsx as CSV"):
        load_cases("skincap", root)


def test_dermnet_series_and_splits(tmp_path: Path) -> None:
    reading = check_dataset("dermnet", build("dermnet", tmp_path))
    assert reading.counts() == {"file names that stand in both train and test": 1}
    assert {case.group for case in reading.cases} == {"hives", "07rhinophyma"}
    assert {case.split for case in reading.cases} == {Split.TRAIN, Split.TEST}
    assert f"test/{CLASS}/07Rhinophyma1" in {case.id for case in reading.cases}


def test_dermnet_without_splits_and_strange_folders(tmp_path: Path) -> None:
    picture(tmp_path / CLASS / "a-1.JPG")
    assert one("dermnet", tmp_path).split is None
    picture(tmp_path / "Urticaria Hive" / "a-2.jpg")
    with pytest.raises(DatasetError, match="nearest: 'urticaria hives'"):
        load_cases("dermnet", tmp_path)


def test_skincot_pairs(tmp_path: Path) -> None:
    root = build("skincot", tmp_path)
    home = root / "SkinCoT"
    assert load_cases("skincot", home) == load_cases("skincot", root)
    assert one("skincot", root).narrative == "<think> wheals 0 </think> urticaria"
    (home / "EN" / CLASS / "hives-acute-0.jpg.txt").unlink()
    (home / "EN" / CLASS / "hives-acute-1.jpg.txt").write_text(" ")
    (home / "EN" / CLASS / "hives-acute-2.jpg.txt").write_bytes(b"\xff")
    (home / "images" / CLASS / "hives-acute-3.jpg").unlink()
    with pytest.raises(DatasetError) as caught:
        load_cases("skincot", root)
    text = str(caught.value)
    for part in ("no text hives-acute-0", "is empty", "is not UTF-8", "a text without its picture"):
        assert part in text


def test_dermbench_without_pictures(tmp_path: Path) -> None:
    root = build("dermbench", tmp_path)
    reading = check_dataset("dermbench", root)
    assert reading.counts() == {"pictures absent, references kept": 5}
    case = reading.settle()[0]
    assert case.images == (root / "images" / CLASS / "hives-0.jpg",)
    assert case.attributes["picture"] == "absent"
    assert case.narrative == "<think> wheals 0\n </think> Urticaria."
    assert (case.label, case.attributes["category"]) == ("urticaria", CLASS)
    picture(root / "data" / "test" / CLASS / "hives-0.jpg")
    found = one("dermbench", root)
    assert found.images[0].is_file()
    assert "picture" not in found.attributes


def test_dermbench_altered_and_strange_records(tmp_path: Path) -> None:
    root = build("dermbench", tmp_path)
    (root / "data" / "cot" / CLASS / "hives-1.jpg.txt").write_text("other")
    (root / "data" / "cot" / CLASS / "hives-2.jpg.txt").unlink()
    path = root / "data" / "manifest" / "dermbench_test.jsonl"
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace(f"data/cot/{CLASS}", "../cot")
    lines[4] = lines[4].replace('"urticaria"', "null")
    lines[0] = lines[0].replace(f'"{CLASS}"', '"Hives"')
    path.write_text("\n".join([*lines, "{}", "[1]", "{torn"]))
    with pytest.raises(DatasetError) as caught:
        load_cases("dermbench", root)
    text = str(caught.value)
    for part in (
        "row 2: data/cot/Urticaria Hives/hives-1.jpg.txt is not the text",
        "row 3: no text hives-2.jpg.txt",
        "row 4: cot and dermnet_image_path must be paths inside",
        "row 5: diagnosis must be text",
        "row 1: unknown label 'Hives'",
        "row 6: no id",
        "row 7: not a JSON object",
        "row 8: not JSON",
    ):
        assert part in text
