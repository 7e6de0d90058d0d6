"""Data sets that cannot be read: every problem, with its row, in one message."""

from pathlib import Path

import pytest
from PIL import Image

from skingpt_r1.cli.main import run

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(words) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    return err


def ham10000(root: Path, header: str, *rows: str) -> Path:
    """A folder in the layout of HAM10000, with a picture for each of img0, img1 and img2."""
    pictures = root / "HAM10000_images_part_1"
    pictures.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (8, 6), "pink").save(pictures / f"img{number}.jpg")
    (root / "HAM10000_metadata.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return root


def test_sound_folder_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ham10000(tmp_path, HEADER, "les0,img0,mel,histo,60,male,back")
    assert run(["datasets", "check", "ham10000", str(root)]) == 0
    assert "melanoma 1" in capsys.readouterr().out


def test_wrong_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ham10000(
        tmp_path, HEADER.replace("dx,", "diagnosis,"), "les0,img0,mel,histo,60,male,back"
    )
    message = refused(capsys, "datasets", "check", "ham10000", str(root))
    assert "dx" in message
    assert "diagnosis" in message


def test_unknown_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (
        "les0,img0,mel,histo,60,male,back",
        "les1,img1,mell,histo,60,male,back",
        "les2,img2,wart,histo,60,male,back",
    )
    message = refused(
        capsys, "datasets", "check", "ham10000", str(ham10000(tmp_path, HEADER, *rows))
    )
    assert "'mell'" in message
    assert "nearest: 'mel'" in message
    assert "'wart'" in message
    assert "3" in message


def test_no_such_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "datasets", "check", "ham10000", str(tmp_path / "nowhere"))
    assert "is not a folder" in message


def test_two_files_for_one_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DDI as downloaded, with a folder of masks beside the photos."""
    (tmp_path / "ddi_metadata.csv").write_text(
        "DDI_ID,DDI_file,skin_tone,malignant,disease\n1,000001.png,56,True,melanoma-in-situ\n"
    )
    for shade, folder in enumerate(("ddi_masks", "ddidiversedermatologyimages")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 6), (200, shade, 0)).save(tmp_path / folder / "000001.png")
    message = refused(capsys, "datasets", "check", "ddi", str(tmp_path))
    assert "ddi_metadata.csv row 2: picture 000001.png: 2 files answer to it" in message
    assert "ddi_masks/000001.png" in message
    assert "ddidiversedermatologyimages/000001.png" in message


@pytest.mark.parametrize("name", ["../x", "/etc/x", "..\\\\x", "x\\u0000"])
def test_an_id_that_leaves_the_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 6), "pink").save(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "a.png", "id": "{name}"}}')
    message = refused(capsys, "datasets", "check", "folder", str(tmp_path))
    assert "metadata.jsonl row 1: id '" in message
    assert "cannot be used: it " in message


def test_remarks_of_a_sound_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shade, name in enumerate("abc"):
        Image.new("RGB", (8, 6), (200, shade, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "metadata.csv").write_text(
        "file_name,id,label,group\na.png,1,NaN,P1\nb.png,2,wart ,p1\nc.png,3,wart,p2\n"
        "c.png,4,wart,p3\n"
    )
    assert run(["datasets", "check", "folder", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for line in (
        "Groups:            3",
        "Labels:            wart 3, unlabelled 1",
        "label 'NaN', taken as missing: 1",
        "label with spaces that do not count, left out: 1",
        "groups that differ in letter case alone, taken as one: 1",
        "pictures of more than one case; see `skingpt datasets overlap`: 1",
        "pictures of more than one group, so that splits can share them: 1",
    ):
        assert line in out
