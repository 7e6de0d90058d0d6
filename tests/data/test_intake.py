import logging
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from skingpt_r1.data.intake import MAX_PIXELS, find_images, open_image
from skingpt_r1.errors import ImageError

ORIENTATION, ARTIST, GPS = 0x0112, 0x013B, 0x8825
SECRET = "Erika Mustermann"


def quadrants(width=40, height=24):
    """Red top left, green top right, blue bottom left, white bottom right."""
    array = np.zeros((height, width, 3), np.uint8)
    array[: height // 2, : width // 2] = (255, 0, 0)
    array[: height // 2, width // 2 :] = (0, 255, 0)
    array[height // 2 :, : width // 2] = (0, 0, 255)
    array[height // 2 :, width // 2 :] = (255, 255, 255)
    return Image.fromarray(array)


def close(image, expected, tolerance=40):
    assert image.size == expected.size
    difference = np.abs(np.asarray(image, int) - np.asarray(expected, int))
    assert np.median(difference) <= tolerance / 4
    corners = difference[[2, 2, -3, -3], [2, -3, 2, -3]]
    assert corners.max() <= tolerance


def assert_bare(image):
    assert image.mode == "RGB"
    assert image.info == {}
    assert not image.getexif()
    assert type(image) is Image.Image


TURN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", TURN)
def test_orientation_is_applied_exactly_once_and_metadata_dropped(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[ARTIST] = SECRET
    exif.get_ifd(GPS)[1] = "N"
    path = tmp_path / f"a.{suffix}"
    options = {} if suffix in ("png", "tif") else {"quality": 95}
    quadrants().save(path, exif=exif, **options)
    turn = TURN[orientation]
    expected = quadrants() if turn is None else quadrants().transpose(turn)
    image = open_image(path)
    close(image, expected)
    assert_bare(image)
    assert SECRET.encode() not in image.tobytes()


def test_comments_and_profiles_are_dropped(tmp_path):
    info = PngInfo()
    info.add_text("Patient", SECRET)
    path = tmp_path / "a.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    quadrants().save(path, pnginfo=info, icc_profile=profile)
    image = open_image(path)
    close(image, quadrants(), 0)
    assert_bare(image)


def test_a_broken_exif_block_is_ignored(tmp_path, recwarn):
    path = tmp_path / "a.jpg"
    quadrants().save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=95)
    close(open_image(path), quadrants())
    assert len(recwarn) == 0


def test_debug_logging_of_metadata_is_off(tmp_path, caplog):
    exif = Image.Exif()
    exif[ARTIST] = SECRET
    path = tmp_path / "a.tif"
    quadrants().save(path, exif=exif)
    with caplog.at_level(logging.DEBUG):
        open_image(path)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("CMYK", "jpg"),
        ("CMYK", "tif"),
        ("P", "png"),
        ("P", "gif"),
        ("YCbCr", "jpg"),
        ("LAB", "tif"),
    ],
)
def test_colour_modes(tmp_path, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    picture = quadrants()
    if mode == "LAB":
        lab = ImageCms.profileToProfile(
            picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        lab.save(path)
    else:
        picture.convert(mode).save(path)
    image = open_image(path)
    assert_bare(image)
    close(image, picture, 60)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_bilevel(tmp_path, mode):
    path = tmp_path / "a.png"
    Image.linear_gradient("L").point(lambda v: 255 * (v > 127)).convert(mode).save(path)
    array = np.asarray(open_image(path))
    assert array.shape == (256, 256, 3)
    assert array[0, 0].tolist() == [0, 0, 0]
    assert array[-1, -1].tolist() == [255, 255, 255]


def test_transparency_lies_on_white(tmp_path):
    for mode, clear, half in (("RGBA", (255, 0, 0, 0), (0, 0, 0, 128)), ("LA", (0, 0), (0, 128))):
        path = tmp_path / f"{mode}.png"
        picture = Image.new(mode, (8, 8), clear)
        picture.putpixel((0, 0), half)
        picture.save(path)
        image = open_image(path)
        assert image.getpixel((4, 4)) == (255, 255, 255)
        assert image.getpixel((0, 0)) == (127, 127, 127)
        assert_bare(image)


def test_a_transparent_palette_colour_lies_on_white(tmp_path):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([200, 0, 0, 0, 0, 200])
    picture.putpixel((0, 0), 1)
    picture.save(tmp_path / "a.png", transparency=0)
    image = open_image(tmp_path / "a.png")
    assert image.getpixel((4, 4)) == (255, 255, 255)
    assert image.getpixel((0, 0)) == (0, 0, 200)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path, suffix):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    image = open_image(tmp_path / f"a.{suffix}")
    assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 128, 255]
    assert_bare(image)


def test_sixteen_bit_colour_is_scaled(tmp_path):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    row = b"\0" + struct.pack(">6H", 0, 32896, 65535, 65535, 0, 257)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    assert np.asarray(open_image(tmp_path / "a.png")).tolist() == [[[0, 128, 255], [255, 0, 1]]]


def test_floats(tmp_path):
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)).save(tmp_path / "unit.tif")
    assert np.asarray(open_image(tmp_path / "unit.tif"))[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0.0, 64.0, 255.0]], np.float32)).save(tmp_path / "byte.tif")
    assert np.asarray(open_image(tmp_path / "byte.tif"))[0, :, 0].tolist() == [0, 64, 255]
    for name, values in (("high", [0.0, 300.0]), ("low", [-1.0, 1.0]), ("nan", [np.nan, 0.0])):
        Image.fromarray(np.array([values], np.float32)).save(tmp_path / f"{name}.tif")
        with pytest.raises(ImageError, match=r"0\.\.65535"):
            open_image(tmp_path / f"{name}.tif")


def test_the_first_of_several_frames_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "a.gif").getpixel((0, 0)) == (255, 0, 0)


def png_header(width, height):
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1) + b"IDAT" + b"x" * 5


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 10_001), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_from_the_header_alone(tmp_path, size, recwarn):
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(*size))
    with pytest.raises(ImageError, match="pixels") as caught:
        open_image(path)
    assert f"{MAX_PIXELS:,}" in str(caught.value)
    assert "crop or shrink" in str(caught.value)
    assert len(recwarn) == 0


def test_a_size_below_the_limit_goes_on_to_the_decoder(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(png_header(10_000, 12_000))
    with pytest.raises(ImageError, match="damaged or cut short"):
        open_image(path)


def test_what_is_not_a_picture(tmp_path):
    cases = {
        "text.jpg": (b"hello, I am no picture", "known format"),
        "page.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "known format"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "known format"),
        "empty.jpg": (b"", "empty"),
        "short.jpg": (b"\xff\xd8\xff", "known format"),
        "fake.dcm": (b"not dicom", "DICOM"),
        "fake.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 64, "HEIC"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ImageError, match=message) as caught:
            open_image(path)
        assert str(path) in str(caught.value)
    with pytest.raises(ImageError, match="folder"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        open_image(tmp_path / "missing.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "gif"])
def test_truncated_files(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"damaged|known format"):
        open_image(cut)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["jpg", "png", "gif", "tif", "webp", "heic"]),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=30),
    keep=st.integers(1, 100),
)
def test_mutated_files_open_or_raise_image_error(tmp_path, suffix, edits, keep):
    source = tmp_path / f"source.{suffix}"
    if not source.exists():
        if suffix == "heic":
            pytest.importorskip("pillow_heif").from_pillow(quadrants()).save(source)
        else:
            quadrants().save(source)
    data = bytearray(source.read_bytes())
    for place, value in edits:
        data[place % len(data)] = value
    path = tmp_path / f"mutated.{suffix}"
    path.write_bytes(data[: max(1, len(data) * keep // 100)])
    try:
        image = open_image(path)
    except ImageError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert_bare(image)


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[ORIENTATION], exif[ARTIST] = 6, SECRET
    picture = quadrants(64, 48)
    written = heif.from_pillow(picture)
    # As a phone writes it: the container turns the picture, and EXIF names the same turn.
    written[0].info["exif"] = exif.tobytes()
    path = tmp_path / "phone.heic"
    written.save(path, quality=95)
    assert heif.open_heif(path).size == (48, 64)
    image = open_image(path)
    close(image, picture.transpose(Image.Transpose.ROTATE_270))
    assert_bare(image)
    renamed = tmp_path / "phone.jpg"
    renamed.write_bytes(path.read_bytes())
    assert open_image(renamed).size == image.size


@pytest.mark.parametrize(
    ("module", "name", "head"),
    [
        ("pydicom", "a.dcm", b"\0" * 128 + b"DICM"),
        ("pillow_heif", "a.heic", b"\0\0\0\x18ftypheic\0\0\0\0"),
    ],
)
def test_a_missing_extra_says_what_to_install(tmp_path, monkeypatch, module, name, head):
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / name
    path.write_bytes(head)
    with pytest.raises(ImageError, match=r"install skingpt-r1\[intake\]"):
        open_image(path)


def test_find_images(tmp_path):
    for name in ("b.JPG", "a.png", "deep/c.heic", "notes.txt", ".hidden/d.png", ".e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    found = [path.relative_to(tmp_path) for path in find_images([tmp_path])]
    assert found == [Path("a.png"), Path("b.JPG"), Path("deep/c.heic")]
    odd = tmp_path / "notes.txt"
    assert find_images([odd, tmp_path / "a.png", odd]) == [odd, tmp_path / "a.png"]
    with pytest.raises(ImageError, match="no picture in this folder"):
        find_images([tmp_path / "empty"])
    with pytest.raises(ImageError, match="no such file or folder"):
        find_images([tmp_path / "nowhere"])
