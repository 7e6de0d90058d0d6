"""`skingpt datasets`: cards, counts, and every problem of a folder at once."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from skingpt_r1.cli.main import run
from skingpt_r1.datasets import READERS


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
        assert reader.INFO.licence in out


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
