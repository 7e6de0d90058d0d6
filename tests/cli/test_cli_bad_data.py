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
