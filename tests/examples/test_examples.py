"""The five programs of examples/ run as they stand."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from skingpt_r1.case import Case
from skingpt_r1.data import write_folder

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def picture_folder(folder: Path) -> Path:
    folder.mkdir()
    cases = []
    for number in range(6):
        path = folder / f"{number}.png"
        Image.new("RGB", (16, 16), (200, 150, 30 * number)).save(path)
        label = ("wart", "nevus")[number % 2]
        cases.append(
            Case(id=str(number), images=(path,), dataset="folder", group=str(number), label=label)
        )
    write_folder(folder, cases)
    return folder


def test_there_are_five() -> None:
    assert len(list(EXAMPLES.glob("*.py"))) == 5


def test_parse_narrative(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_example(monkeypatch, "parse_narrative.py")
    assert "basal cell carcinoma" in capsys.readouterr().out
    unclear = tmp_path / "text.txt"
    unclear.write_text("", "utf-8")
    with pytest.raises(SystemExit, match="not a narrative"):
        run_example(monkeypatch, "parse_narrative.py", unclear)


def test_read_data_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_example(monkeypatch, "read_data_set.py", "folder", picture_folder(tmp_path / "set"))
    out = capsys.readouterr().out
    assert "6 cases of 6 groups" in out
    assert "train" in out


def test_render_skin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_example(monkeypatch, "render_skin.py", tmp_path / "skin", 3)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_score_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run_example(monkeypatch, "score_text.py")
    assert "4.5" in capsys.readouterr().out


def test_diagnose(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = picture_folder(tmp_path / "set")
    run_example(monkeypatch, "diagnose.py", folder / "0.png")
    assert "diagnosis: " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["diagnose.py", "read_data_set.py", "render_skin.py"])
def test_usage_is_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(SystemExit, match="usage: "):
        run_example(monkeypatch, name)
