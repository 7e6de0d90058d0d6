"""Every promised format is read; what is no file, or no picture for a model, is refused by name."""

import os
import socket
import struct
import time
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from profiles import DISPLAY_P3, rgb_profile

from skingpt_r1.data import intake
from skingpt_r1.data.intake import FORMATS, MAX_ASPECT, SUFFIXES, find_images, open_image
from skingpt_r1.errors import ImageError, SkinGPTError
from skingpt_r1.model.prompt import Request

ORIENTATION = 0x0112
# One way or more of writing each format: name, mode, options, and how far a colour may be off.
WRITTEN = [
    ("JPEG", "a.jpg", "RGB", {"quality": 95}, 6),
    ("JPEG", "a.jfif", "L", {"quality": 95}, 6),
    ("JPEG", "a.mpo", "RGB", {"format": "MPO", "save_all": True, "quality": 95}, 6),
    ("PNG", "a.png", "RGBA", {}, 0),
    ("WEBP", "a.webp", "RGB", {"lossless": True}, 0),
    ("BMP", "a.bmp", "RGB", {}, 0),
    ("TIFF", "a.tif", "RGB", {"compression": "tiff_lzw"}, 0),
    ("TIFF", "a.tiff", "RGB", {"compression": "jpeg", "quality": 95}, 6),
    ("GIF", "a.gif", "L", {}, 0),
    ("JPEG2000", "a.jp2", "RGB", {"irreversible": False}, 0),
    ("JPEG2000", "a.jp2", "RGBA", {"irreversible": False}, 0),
    ("JPEG2000", "a.jp2", "L", {"irreversible": False}, 0),
    ("JPEG2000", "a.j2k", "RGB", {"irreversible": False}, 0),
    ("AVIF", "a.avif", "RGB", {"quality": 100, "subsampling": "4:4:4"}, 3),
    ("AVIF", "a.avif", "RGBA", {"quality": 100, "subsampling": "4:4:4"}, 3),
    ("AVIF", "a.avif", "L", {"quality": 100}, 3),
]


def stripes():
    """Three grey stripes, which every mode can hold."""
    array = np.repeat([30, 120, 220], 16)[:, None].repeat(32, 1).astype(np.uint8)
    return Image.fromarray(array).convert("RGB")


def test_formats_are_those_that_pillow_can_open():
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
    assert {format_ for format_, *_ in WRITTEN} == set(FORMATS)
    assert {Path(name).suffix for _, name, *_ in WRITTEN} <= SUFFIXES


@pytest.mark.parametrize(("format_", "name", "mode", "options", "tolerance"), WRITTEN)
def test_every_promised_format_is_read(tmp_path, format_, name, mode, options, tolerance):
    stripes().convert(mode).save(tmp_path / name, **options)
    renamed = tmp_path / "renamed.jpg"
    renamed.write_bytes((tmp_path / name).read_bytes())
    for path in (tmp_path / name, renamed):
        difference = np.asarray(open_image(path)).astype(int) - np.asarray(stripes())
        assert np.abs(difference[8::16]).max() <= tolerance
    assert find_images([tmp_path]) == sorted([tmp_path / name, renamed])


def test_an_avif_of_the_shared_brand_is_not_taken_for_heic(tmp_path):
    stripes().save(tmp_path / "a.avif", quality=100)
    content = (tmp_path / "a.avif").read_bytes()
    assert content[8:12] == b"avif"
    assert b"avif" in content[16:40]
    (tmp_path / "b.avif").write_bytes(content[:8] + b"mif1" + content[12:])
    assert open_image(tmp_path / "b.avif").size == (32, 48)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_of_avif(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stripes().save(tmp_path / "a.avif", exif=exif, quality=100)
    array = np.asarray(open_image(tmp_path / "a.avif")).astype(int)
    first = {1: array[4, 4], 3: array[-4, -4], 6: array[4, -4], 8: array[-4, 4]}[orientation]
    assert array.shape[:2] == ((48, 32) if orientation in (1, 3) else (32, 48))
    assert np.abs(first - 30).max() <= 4


@pytest.mark.parametrize("name", ["a.jp2", "a.avif"])
def test_cut_files_of_the_newer_formats(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"damaged|known format"):
        open_image(tmp_path / name)


def special_files(folder):
    """Names of what is no regular file, and what the message calls it."""
    os.mkfifo(folder / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        # The name of a socket may be no longer than about a hundred bytes.
        os.chdir(folder)
        server.bind("sock.png")
        os.chdir(here)
    (folder / "folder.jpg").mkdir()
    for name, target in {
        "zero.jpg": "/dev/zero",
        "random.dcm": "/dev/urandom",
        "linked.png": folder / "fifo.jpg",
        "broken.tif": folder / "nowhere.tif",
        "loop.gif": "loop.gif",
    }.items():
        (folder / name).symlink_to(target)
    return {
        "fifo.jpg": "a pipe",
        "sock.png": "a socket",
        "folder.jpg": "a folder",
        "zero.jpg": "a device",
        "random.dcm": "a device",
        "linked.png": "a pipe",
        "broken.tif": "a link to a file that does not exist",
        "loop.gif": "cannot be opened",
    }


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    begun = time.monotonic()
    for name, words in special_files(tmp_path).items():
        with pytest.raises(ImageError, match=words) as caught:
            open_image(tmp_path / name)
        assert name in str(caught.value)
    assert time.monotonic() - begun < 5
    with pytest.raises(ImageError, match="no name of a file"):
        open_image("a\0b.jpg")


def test_a_folder_passes_over_none_of_them_in_silence(tmp_path):
    names = set(special_files(tmp_path)) - {"folder.jpg"}
    assert {path.name for path in find_images([tmp_path])} == names


@pytest.mark.parametrize("size", [(2000, 5), (5, 2000), (201, 1), (1, 201), (20_100, 100)])
def test_strips_are_refused(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "strip.png")
    with pytest.raises(ImageError, match="too long and narrow") as caught:
        open_image(tmp_path / "strip.png")
    assert "strip.png" in str(caught.value)
    assert f"{size[0]} x {size[1]}" in str(caught.value)
    with pytest.raises(SkinGPTError, match="too long and narrow"):
        Request.of(Image.new("RGB", size)).open()


@pytest.mark.parametrize("size", [(1, 1), (13, 13), (27, 300), (200, 1), (1, 200), (1000, 5)])
def test_small_and_narrow_pictures_are_read(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").size == size
    assert Request.of(Image.new("L", size)).open()[0].size == size


def test_the_limit_is_that_of_the_image_processor():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    assert smart_resize(MAX_ASPECT * 10, 10)
    with pytest.raises(ValueError, match="aspect ratio"):
        smart_resize(MAX_ASPECT * 10 + 1, 10)


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunks(*chunks):
    """A small PNG with chunks behind its header."""
    buffer = BytesIO()
    Image.new("RGB", (4, 4), "pink").save(buffer, "PNG")
    whole = buffer.getvalue()
    return whole[:33] + b"".join(chunks) + whole[33:]


def test_bombs_in_the_chunks_of_a_png(tmp_path):
    bomb = zlib.compress(bytes(50_000_000), 9)
    contents = {
        "text": with_chunks(chunk(b"zTXt", b"key\0\0" + bomb)),
        "international": with_chunks(chunk(b"iTXt", b"key\0\1\0\0\0" + bomb)),
        "many": with_chunks(*[chunk(b"tEXt", b"key\0" + b"a" * 50_000)] * 1500),
        "profile": with_chunks(chunk(b"iCCP", b"key\0\0" + bomb)),
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.png").write_bytes(content)
        with pytest.raises(ImageError, match="damaged"):
            open_image(tmp_path / f"{name}.png")
    sound = with_chunks(chunk(b"iCCP", b"key\0\0" + zlib.compress(rgb_profile(DISPLAY_P3))))
    (tmp_path / "sound.png").write_bytes(sound)
    assert open_image(tmp_path / "sound.png").size == (4, 4)


@pytest.mark.parametrize(("tag", "kind"), [(34675, 7), (700, 1), (270, 2)])
@pytest.mark.parametrize("count", [2**31 - 1, 2**60])
def test_tags_of_a_tiff_that_claim_to_be_huge(tmp_path, tag, kind, count):
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16), (tag, kind, count, 8)]
    content = struct.pack("<HHHHQQ", 0x4949, 43, 8, 0, 16, len(tags))
    content += b"".join(struct.pack("<HHQQ", *entry) for entry in sorted(tags)) + bytes(8)
    (tmp_path / "a.tif").write_bytes(content)
    try:
        assert open_image(tmp_path / "a.tif").size == (4, 4)
    except ImageError as error:
        assert "a.tif" in str(error)  # noqa: PT017


def test_memory_that_cannot_be_had_is_the_fault_of_the_picture(tmp_path, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(intake, "to_srgb", no_memory)
    with pytest.raises(ImageError, match="damaged"):
        open_image(tmp_path / "a.png")
