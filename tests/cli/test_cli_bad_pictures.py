"""Pictures that cannot be diagnosed: one message, exit code 1, before a model is loaded."""

import struct
import zlib
from pathlib import Path

import pytest

from skingpt_r1.cli.main import run


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
