"""Pictures that cannot be diagnosed: one message, exit code 1, before a model is loaded."""

import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from skingpt_r1.cli.main import run

NARRATIVE = (
    "<think> Observation: A red patch with scale. Reasoning: Scale on red skin fits psoriasis. "
    "Differential: eczema </think> <answer> psoriasis </answer>"
)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must fail on its input, and give its message."""
    assert run(words) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_unreadable_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "photo.jpg"
    picture.write_text("not a picture")
    message = refused(capsys, "diagnose", str(picture))
    assert "photo.jpg" in message
    assert "not a picture" in message


def test_missing_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refused(capsys, "diagnose", str(tmp_path / "photo.jpg"))


def test_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no picture in this folder" in refused(capsys, "diagnose", str(tmp_path))
    assert "metadata" in refused(capsys, "datasets", "check", "folder", str(tmp_path))


def test_huge_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "huge.png"
    picture.write_bytes(empty_png(20_000, 20_000))
    message = refused(capsys, "diagnose", str(picture))
    assert "huge.png" in message
    assert "pixels" in message


def test_what_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    for name, kind in (("pipe.jpg", "a pipe"), ("endless.jpg", "a device")):
        message = refused(capsys, "diagnose", str(tmp_path / name))
        assert f"{name}: {kind}, not a picture" in message
    # In a folder they are told, and not passed over.
    (tmp_path / "endless.jpg").unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert "pipe.jpg: a pipe" in refused(capsys, "diagnose", str(tmp_path))


def strips(folder: Path) -> Path:
    """A folder of cases, one of which is 2000 x 5 pixels."""
    folder.mkdir()
    rows = []
    for number in range(4):
        size = (2000, 5) if number == 2 else (32, 32)
        Image.new("RGB", size, "pink").save(folder / f"{number}.png")
        label = "eczema" if number % 2 else "psoriasis"
        row = {"file_name": f"{number}.png", "label": label, "narrative": NARRATIVE}
        rows.append({**row, "split": "test" if number == 3 else "train"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("diagnose", "{folder}/2.png", "--json"),
        ("diagnose", "{folder}", "--one-case"),
        ("datasets", "check", "folder", "{folder}"),
        ("datasets", "overlap", "folder={folder}"),
        ("bench", "run", "{bench}", "--system", "skingpt/nano", "--out", "{out}"),
        ("dermeval", "score", "{narratives}", "--brief", "--out", "{out}"),
        ("distill", "{recipe}", "--set", "data.root={folder}", "--out", "{out}"),
    ],
    ids=lambda words: " ".join(words[:2]),
)  # fmt: skip
def test_strip(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    folder = strips(tmp_path / "set")
    bench = tmp_path / "bench.yaml"
    bench.write_text(
        f"name: strips\ndata: {{dataset: folder, root: {folder}, form: narrative, split: train}}\n"
    )
    narratives = tmp_path / "narratives.jsonl"
    row = {"id": "a", "image": str(folder / "2.png"), "diagnostic_text": NARRATIVE}
    narratives.write_text(json.dumps(row) + "\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "extends: nano_bias_text\nname: strips\n"
        "data: {dataset: folder, split: official, narratives: given}\n"
    )
    places = {"bench": bench, "narratives": narratives, "recipe": recipe}
    places |= {"folder": folder, "out": tmp_path / "out"}
    # A second try with the same command ends as the first one does.
    for _ in range(2):
        assert run([word.format(**places) for word in words]) == 1
        message = capsys.readouterr().err
        assert "Traceback" not in message
        assert "2.png: 2000 x 5 pixels are too long and narrow" in message


def empty_png(width: int, height: int) -> bytes:
    """A complete black picture, small on disk and huge in memory."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)  # one bit a pixel
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
