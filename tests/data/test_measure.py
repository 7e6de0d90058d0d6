import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from skimage.color import rgb2lab

from skingpt_r1.data import measure as module
from skingpt_r1.data.measure import Measurements, find_lesion, findings_of, measure, solidity
from skingpt_r1.text.findings import WORDS, check_findings

SKIN = (226, 188, 164)
BROWN = (110, 70, 45)


def picture(*shapes, size=(200, 160), skin=SKIN, blur=0.8, seed=0):
    """Skin with a little grain; each shape is (kind, box or points, colour)."""
    image = Image.new("RGB", size, skin)
    draw = ImageDraw.Draw(image)
    for kind, where, colour in shapes:
        {"ellipse": draw.ellipse, "polygon": draw.polygon, "line": draw.line}[kind](
            where, fill=colour
        )
    image = image.filter(ImageFilter.GaussianBlur(blur))
    noise = np.random.default_rng(seed).normal(0, 2, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def disc(radius, colour=BROWN, centre=(100, 80)):
    x, y = centre
    return ("ellipse", (x - radius, y - radius, x + radius, y + radius), colour)


@pytest.mark.parametrize(
    ("radius", "size"), [(10, "small"), (18, "small"), (32, "medium"), (55, "large")]
)
def test_a_disc_is_found_and_measured(radius, size):
    found = measure(picture(disc(radius)))
    area = math.pi * radius**2 / (200 * 160)
    assert found.area_share == pytest.approx(area, rel=0.25)
    assert found.asymmetry < 0.08
    assert found.elongation == pytest.approx(1, abs=0.1)
    assert found.border_irregularity == pytest.approx(1, abs=0.12)
    assert found.solidity > 0.88
    assert findings_of(found) == {
        "size": size, "colour": "brown", "border": "sharp", "symmetry": "symmetric",
    }  # fmt: skip


def test_a_smooth_oval_is_neither_irregular_nor_asymmetric():
    found = measure(picture(("ellipse", (40, 60, 160, 100), BROWN)))
    assert found.elongation == pytest.approx(3, rel=0.12)
    assert found.border_irregularity < 1.15
    assert findings_of(found)["border"] == "sharp"
    assert findings_of(found)["symmetry"] == "symmetric"


def test_a_half_moon_is_asymmetric_and_a_star_irregular():
    moon = picture(disc(45), ("ellipse", (85, 30, 165, 110), SKIN))
    assert findings_of(measure(moon))["symmetry"] == "asymmetric"
    radii = [55 if n % 2 else 28 for n in range(18)]
    star = [
        (100 + r * math.cos(2 * math.pi * n / 18), 80 + r * math.sin(2 * math.pi * n / 18))
        for n, r in enumerate(radii)
    ]
    assert findings_of(measure(picture(("polygon", star, BROWN))))["border"] == "irregular"


def test_two_halves_of_different_colour_are_asymmetric():
    found = measure(picture(disc(40), ("ellipse", (100, 50, 135, 110), (20, 16, 16))))
    assert found.asymmetry < 0.1
    assert found.colour_asymmetry > module.UNEVEN_COLOUR_FROM
    assert found.num_colours == 2
    assert findings_of(found)["symmetry"] == "asymmetric"


def test_a_soft_edge_is_blurred():
    sharp, soft = (measure(picture(disc(40), blur=blur)) for blur in (0.5, 14))
    assert soft.border_width > 1.5 * sharp.border_width
    assert findings_of(soft)["border"] == "blurred"
    assert findings_of(sharp)["border"] == "sharp"


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("black", (30, 26, 28)),
        ("brown", (110, 70, 45)),
        ("red", (190, 50, 50)),
        ("white", (250, 250, 248)),
        ("yellow", (205, 165, 60)),
        ("purple", (125, 60, 125)),
        ("tan", (170, 130, 95)),
    ],
)
def test_colours(name, colour):
    skin = (205, 150, 125) if name == "white" else SKIN
    assert findings_of(measure(picture(disc(35, colour), skin=skin)))["colour"] == name


def test_the_cast_of_light_is_partly_taken_out():
    tinted = np.asarray(picture(disc(35))).astype(float) * (1.0, 0.8, 0.85)
    assert measure(Image.fromarray(tinted.astype(np.uint8))).colour == "brown"


@pytest.mark.parametrize(
    "shapes",
    [
        [],
        [disc(150)],
        [("ellipse", (-40, -40, 40, 40), BROWN)],
        [("line", [(0, 80), (200, 84)], BROWN)],
    ],
    ids=["plain skin", "all lesion", "in the corner", "a hair"],
)
def test_nothing_is_said_without_a_trustworthy_outline(shapes):
    found = measure(picture(*shapes))
    assert found is None
    assert findings_of(found) == {}


def test_noise_is_no_lesion():
    noise = np.random.default_rng(0).integers(0, 255, (120, 120, 3), np.uint8)
    assert measure(Image.fromarray(noise)) is None


def test_a_dermoscope_surround_slanting_light_and_hair_do_not_matter():
    image = picture(disc(30), *[("line", [(n, 0), (n + 40, 160)], (40, 30, 30)) for n in (50, 110)])
    light = np.linspace(0.75, 1.0, 200)[None, :, None]
    array = np.asarray(image) * light
    y, x = np.mgrid[:160, :200]
    array[(x - 100) ** 2 + (y - 80) ** 2 > 105**2] = 4
    found = measure(Image.fromarray(array.astype(np.uint8)))
    assert found.area_share == pytest.approx(math.pi * 30**2 / (200 * 160), rel=0.35)
    assert found.colour == "brown"


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    smooth=st.integers(0, 12),
)
def test_any_picture_gives_finite_numbers_and_known_findings(width, height, seed, smooth):
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    found = measure(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(smooth)))
    assert check_findings(findings_of(found)) == []
    if found is not None:
        numbers = [getattr(found, f.name) for f in fields(Measurements) if f.type in (int, float)]
        assert np.isfinite(numbers).all()


def test_asymmetry_against_a_double_loop():
    lesion = find_lesion(picture(disc(45), ("ellipse", (85, 30, 165, 110), SKIN)))
    axes, _ = module._main_axes(lesion.mask)
    shape, colour = module._asymmetry(lesion, axes)
    inside = [tuple(point) for point in np.argwhere(lesion.mask)]
    centre = np.mean(inside, axis=0)
    shares, means = [], []
    for axis in axes.T:
        differences = []
        for point in inside:
            mirror = np.rint(point - 2 * np.dot(point - centre, axis) * axis).astype(int)
            if tuple(mirror) in set(inside):
                differences.append(np.linalg.norm(lesion.lab[point] - lesion.lab[tuple(mirror)]))
        shares.append(1 - len(differences) / len(inside))
        means.append(np.mean(differences))
    assert shape == pytest.approx(np.mean(shares))
    assert colour == pytest.approx(np.mean(means), rel=1e-4)


def test_colour_names_against_a_loop():
    rgb = np.random.default_rng(1).random((50, 3))
    lab = rgb2lab(rgb[None])[0].astype(np.float32)
    for colour, index in zip(lab, module.name_colours(lab), strict=True):
        nearest = min(module.PROTOTYPES, key=lambda p: sum((colour - np.array(p[1])) ** 2))
        assert module._NAMES[index] == nearest[0]
    assert set(module._NAMES) <= set(WORDS["colour"])


def test_solidity():
    square = np.zeros((20, 20), bool)
    square[5:15, 5:15] = True
    assert solidity(square) == pytest.approx(1)
    square[5:10, 5:10] = False
    assert solidity(square) == pytest.approx(75 / 87.5)
    line = np.zeros((5, 5), bool)
    line[2, 2] = True
    assert solidity(line) == pytest.approx(1)
