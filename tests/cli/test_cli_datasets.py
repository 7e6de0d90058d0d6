"""`skingpt datasets`: cards, counts, and every problem of a folder at once."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image
from test_cli_bad_pictures import empty_png

from skingpt_r1.cli.main import run
from skingpt_r1.data import READERS


def make_folder(root: Path, rows: list[dict[str, str]]) -> Path:
    root.mkdir()
    for row in rows:
        Image.new("RGB", (8, 8), "pink").save(root / f"{row['file_name']}")
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def test_list_prints_every_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["datasets", "list"]) == 0
    out = capsys.readouterr().out
    for name, reader in READERS.items():
        assert f"{name} " in out
        assert reader.licence in out


def test_list_prints_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["datasets", "list", "ham10000"]) == 0
    assert "Licence:" in capsys.readouterr().out


def test_check_prints_licence_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(tmp_path / "set", [{"file_name": f"{n}.png", "label": "wart"} for n in "ab"])
    assert run(["datasets", "check", "folder", str(root)]) == 0
    out = capsys.readouterr().out
    assert "wart 2" in out
    assert "Licence" in out


def test_missing_files_stop_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(tmp_path / "set", [{"file_name": f"{n}.png", "label": "wart"} for n in "ab"])
    (root / "b.png").unlink()
    assert run(["datasets", "check", "folder", str(root)]) == 1
    assert "--allow-missing" in capsys.readouterr().err
    assert run(["datasets", "check", "folder", str(root), "--allow-missing"]) == 0
    assert "file missing: 1" in capsys.readouterr().out


def test_check_opens_every_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["page.jpg", "empty.jpg", "bomb.png", "cut.jpg", "link.png", "strip.png", "sound.png"]
    root = make_folder(tmp_path / "set", [{"file_name": name, "label": "wart"} for name in names])
    (root / "page.jpg").write_text("<html><title>404 Not Found</title></html>")
    (root / "empty.jpg").write_bytes(b"")
    (root / "bomb.png").write_bytes(empty_png(20_000, 20_000))
    Image.effect_noise((64, 64), 80).save(root / "cut.jpg")
    (root / "cut.jpg").write_bytes((root / "cut.jpg").read_bytes()[:-500])
    Image.new("RGB", (8, 8)).save(tmp_path / "elsewhere.png")
    (root / "link.png").unlink()
    (root / "link.png").symlink_to(tmp_path / "elsewhere.png")
    Image.new("RGB", (2000, 5)).save(root / "strip.png")
    assert run(["datasets", "check", "folder", str(root), "--allow-missing"]) == 1
    message = capsys.readouterr().err
    assert "problems: 6" in message
    for name, words in {
        "page.jpg": "not a picture in a known format",
        "empty.jpg": "the file is empty (0 bytes)",
        "bomb.png": "far too many pixels",
        "cut.jpg": "the picture is damaged or cut short",
        "link.png": "a link out of the folder",
        "strip.png": "2000 x 5 pixels are too long and narrow",
    }.items():
        assert f"{root / name}: {words}" in message
    assert "sound.png" not in message


def test_check_says_when_no_picture_was_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(tmp_path / "set", [{"file_name": "a.jpg", "label": "wart"}])
    (root / "a.jpg").write_bytes(b"")
    assert run(["datasets", "check", "folder", str(root), "--quick"]) == 0
    assert "The pictures were not opened" in capsys.readouterr().out
    assert run(["datasets", "check", "folder", str(root)]) == 1


def test_check_tells_problems_of_table_and_pictures_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"file_name": f"{n}.png", "label": "wart", "fitzpatrick": n} for n in "19"]
    root = make_folder(tmp_path / "set", [*rows, {"file_name": "gone.png", "label": "wart"}])
    (root / "1.png").write_bytes(b"")
    (root / "gone.png").unlink()
    assert run(["datasets", "check", "folder", str(root)]) == 1
    message = capsys.readouterr().err
    for words in ("Fitzpatrick type '9'", "1.png: the file is empty", "no picture gone.png"):
        assert words in message


def test_folders_of_pictures_may_be_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_folder(tmp_path / "disk", [{"file_name": "a.png", "label": "wart"}])
    root = tmp_path / "set"
    root.mkdir()
    (root / "part").symlink_to(tmp_path / "disk")
    (root / "metadata.csv").write_text("file_name,label\npart/a.png,wart\n")
    assert run(["datasets", "check", "folder", str(root)]) == 0
    assert "in a folder that is a link to elsewhere: 1" in capsys.readouterr().out
    (tmp_path / "alias").symlink_to(tmp_path / "disk")
    assert run(["datasets", "check", "folder", str(tmp_path / "alias")]) == 0
    assert "elsewhere" not in capsys.readouterr().out


def test_overlap_finds_copies_between_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"file_name": f"{name}.png", "label": "wart"} for name in "ab"]
    train, test = make_folder(tmp_path / "train", rows), make_folder(tmp_path / "test", rows)
    for folder in (train, test):
        noise = Image.effect_noise((64, 64), 80)
        noise.save(folder / "b.png")
    assert run(["datasets", "overlap", f"folder={train}", f"folder={test}", "--json"]) == 0
    pairs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    copies = [pair for pair in pairs if pair["kind"] == "identical file"]
    assert [(pair["case_a"], pair["case_b"]) for pair in copies] == [("a", "a")]
    assert run(["datasets", "overlap", f"folder={train}", f"folder={test}"]) == 0
    assert "identical file: 1" in capsys.readouterr().out


def test_overlap_names_what_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["datasets", "overlap", "folder"]) == 2
    assert "NAME=ROOT" in capsys.readouterr().err


def test_synthetic_writes_a_layout_that_the_reader_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rendered"
    words = ["datasets", "synthetic", "ham10000", str(folder), "--count", "4", "--size", "32"]
    assert run(words) == 0
    out = capsys.readouterr().out
    assert "rendered pictures in the layout of ham10000" in out
    assert "Cases:             4" in out
    assert len(READERS["ham10000"].load(folder)) == 4
    assert run([*words, "--seed", "1"]) == 1
    assert "give the same values, or another folder" in capsys.readouterr().err


def test_synthetic_knows_three_layouts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["datasets", "synthetic", "ddi", str(tmp_path / "x")]) == 1
    assert "known: ham10000, pad_ufes_20, fitzpatrick17k" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
