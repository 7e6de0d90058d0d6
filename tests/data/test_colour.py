"""Colours of a file are those of its profile, whatever the mode and the format of the picture."""

import logging
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from profiles import D50, DISPLAY_P3, SRGB, grey_profile, rgb_profile

from skingpt_r1.data.intake import open_image

SKIN = (220, 120, 90)
GREYS = (0, 1, 2, 20, 64, 128, 200, 255)
IGNORED = "colour profile that cannot be used was ignored"


def encode(linear):
    """Tone curve of sRGB, 0..1 to 0..255. Source: IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    low = 12.92 * linear
    return 255 * np.where(linear <= 0.0031308, low, 1.055 * linear ** (1 / 2.4) - 0.055)


def decode(values):
    values = np.asarray(values) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def reference(colour, primaries, gamma=None):
    """What a matrix profile says of a colour, step by step."""
    linear = decode(colour) if gamma is None else (np.asarray(colour) / 255) ** gamma
    xyz = np.array(primaries).T @ linear
    return encode(np.linalg.inv(np.array(SRGB).T) @ xyz)


def converted(tmp_path, picture, name, profile, **options):
    picture.save(tmp_path / name, icc_profile=profile, **options)
    image = open_image(tmp_path / name)
    assert image.mode == "RGB"
    assert image.info == {}
    return np.asarray(image).astype(float)


def skin(mode):
    picture = Image.new("RGB", (16, 16), SKIN)
    return picture.quantize(4) if mode == "P" else picture.convert(mode)


def test_the_primaries_make_white():
    for primaries in (SRGB, DISPLAY_P3):
        assert np.allclose(np.sum(primaries, axis=0), D50, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.png", "RGB"),
        ("a.png", "RGBA"),
        ("a.png", "P"),
        ("a.tif", "RGB"),
        ("a.tif", "RGBA"),
        ("a.tif", "P"),
        ("a.webp", "RGB"),
        ("a.webp", "RGBA"),
        ("a.jpg", "RGB"),
        ("a.avif", "RGB"),
        ("a.avif", "RGBA"),
        ("a.mpo", "RGB"),
    ],
)
@pytest.mark.parametrize("gamma", [None, 1.0])
def test_the_same_colours_in_every_mode_and_format(tmp_path, name, mode, gamma):
    expected = reference(SKIN, DISPLAY_P3, gamma)
    options = {"quality": 100} if name.endswith(("jpg", "avif", "mpo")) else {}
    options |= {"lossless": True} if name.endswith("webp") else {}
    if name.endswith("mpo"):
        options |= {"save_all": True, "append_images": [skin(mode)]}
    profile = rgb_profile(DISPLAY_P3, gamma)
    array = converted(tmp_path, skin(mode), name, profile, **options)
    assert np.abs(array - expected).max() <= (4 if options else 1.5)
    assert np.abs(expected - SKIN).max() > 8


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    for mode in ("RGB", "RGBA"):
        written = heif.from_pillow(skin(mode).resize((64, 64)))
        written[0].info["icc_profile"] = rgb_profile(DISPLAY_P3)
        written.save(tmp_path / f"{mode}.heic", quality=100)
        array = np.asarray(open_image(tmp_path / f"{mode}.heic")).astype(float)
        assert np.abs(array - reference(SKIN, DISPLAY_P3)).max() <= 5


def test_a_transparent_colour_is_converted_before_it_lies_on_white(tmp_path):
    profile, wanted = rgb_profile(DISPLAY_P3), reference(SKIN, DISPLAY_P3)
    half = skin("RGBA")
    half.putalpha(128)
    array = converted(tmp_path, half, "half.png", profile)
    assert np.abs(array - (wanted * 128 + 255 * 127) / 255).max() <= 2
    clear = Image.new("RGB", (8, 8), "black")
    clear.putpixel((0, 0), SKIN)
    array = converted(tmp_path, clear, "clear.png", profile, transparency=(0, 0, 0))
    assert np.abs(array[0, 0] - wanted).max() <= 1.5
    assert (array[4, 4] == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, *SKIN])
    palette.putpixel((0, 0), 1)
    array = converted(tmp_path, palette, "palette.png", profile, transparency=0)
    assert np.abs(array[0, 0] - wanted).max() <= 1.5
    assert (array[4, 4] == 255).all()


@pytest.mark.parametrize(("name", "mode"), [("a.png", "L"), ("a.tif", "L"), ("a.jpg", "L"),
                                            ("a.png", "LA"), ("a.tif", "LA")])  # fmt: skip
@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_grey_pictures(tmp_path, name, mode, gamma):
    picture = Image.fromarray(np.array([GREYS], np.uint8)).resize((64, 8), Image.Resampling.NEAREST)
    options = {"quality": 100} if name.endswith("jpg") else {}
    array = converted(tmp_path, picture.convert(mode), name, grey_profile(gamma), **options)
    expected = encode((np.array(GREYS) / 255) ** gamma)
    assert np.abs(array[4, 4::8].T - expected).max() <= (3 if options else 1.1)
    # Of an RGB profile a grey picture has three equal values.
    array = converted(tmp_path, picture.convert(mode), name, rgb_profile(SRGB, gamma), **options)
    assert np.abs(array[4, 4::8].T - expected).max() <= (3 if options else 1.1)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_keep_the_dark_of_a_linear_grey(tmp_path, name):
    values = np.array([[0, 20, 40, 80, 120, 200, 6000, 65535]], np.uint16)
    array = converted(tmp_path, Image.fromarray(values), name, grey_profile(1.0))
    assert np.abs(array[0].T - encode(values[0] / 65535)).max() <= 1.1


def test_floats(tmp_path):
    values = np.array([[0.0, 0.001, 0.25, 1.0]], np.float32)
    array = converted(tmp_path, Image.fromarray(values), "a.tif", grey_profile(1.0))
    assert np.abs(array[0].T - encode(values[0])).max() <= 1.1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_is_not_known_by_its_name(tmp_path, mode):
    linear = rgb_profile(SRGB, 1.0, name="sRGB IEC61966-2.1 linear")
    array = converted(tmp_path, skin(mode), "a.png", linear)
    assert np.abs(array - reference(SKIN, SRGB, 1.0)).max() <= 1.5
    same = rgb_profile(SRGB, name="the profile of my screen")
    assert (converted(tmp_path, skin(mode), "a.png", same) == SKIN).all()


def test_srgb_moves_no_pixel(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for profile in (
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        rgb_profile(SRGB),
    ):
        array = converted(tmp_path, Image.fromarray(colours), "a.png", profile)
        assert (array == colours).all()


def damaged_profiles():
    whole = rgb_profile(DISPLAY_P3)
    return {
        "text": b"no profile at all",
        "cut": whole[:200],
        "half": whole[: len(whole) // 2],
        "zeros": bytes(500),
        "of a printer of grey": grey_profile(1.0),
    }


@pytest.mark.parametrize("kind", damaged_profiles())
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_that_cannot_be_used_is_told_and_ignored(tmp_path, kind, mode, caplog):
    array = converted(tmp_path, skin(mode), "a.png", damaged_profiles()[kind])
    assert (array == SKIN).all()
    assert IGNORED in caplog.text


def test_other_kinds_of_pictures(tmp_path, caplog):
    profile = rgb_profile(DISPLAY_P3)
    for mode in ("CMYK", "LAB"):
        picture = skin("RGB")
        if mode == "LAB":
            picture = ImageCms.profileToProfile(
                picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"),
                outputMode="LAB",
            )  # fmt: skip
        else:
            picture = picture.convert(mode)
        array = converted(tmp_path, picture, "a.tif", profile)
        assert np.abs(array - SKIN).max() <= 3
    # A profile of RGB says nothing of inks; the colours of Lab need none.
    assert caplog.text.count(IGNORED) == 1


def test_black_and_white_needs_no_profile(tmp_path, caplog):
    picture = Image.new("1", (8, 8), 0)
    picture.putpixel((0, 0), 1)
    array = converted(tmp_path, picture, "a.png", grey_profile(1.0))
    assert array[0, 0].tolist() == [255, 255, 255]
    assert array[4, 4].tolist() == [0, 0, 0]
    assert caplog.text == ""


def test_a_profile_of_the_wrong_type_in_a_tiff(tmp_path):
    buffer = BytesIO()
    skin("RGB").save(buffer, "TIFF", tiffinfo={34675: "text, not bytes"})
    (tmp_path / "a.tif").write_bytes(buffer.getvalue())
    assert open_image(tmp_path / "a.tif").getpixel((0, 0)) == SKIN


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=8),
    grey=st.booleans(),
    mode=st.sampled_from(["RGB", "RGBA", "L", "LA", "P"]),
)
def test_mutated_profiles_never_stop_a_picture(tmp_path, caplog, edits, grey, mode):
    caplog.set_level(logging.CRITICAL)
    profile = bytearray(grey_profile(1.8) if grey else rgb_profile(DISPLAY_P3))
    for place, value in edits:
        profile[place % len(profile)] = value
    assert converted(tmp_path, skin(mode), "a.png", bytes(profile)).shape == (16, 16, 3)
