import dataclasses

import numpy as np
import pytest
from scipy.ndimage import label

from skingpt_r1.render.camera import MODALITIES, Camera
from skingpt_r1.render.case import (
    DIAMETERS,
    NUMBERS,
    contact_sheet,
    place_lesions,
    plan_case,
    render,
)
from skingpt_r1.render.conditions import CONDITIONS, Condition
from skingpt_r1.render.skin import SKIN_COLOURS, lesion_colour
from skingpt_r1.text.findings import RENDERED_SLOTS, check_findings

COLOURS = ("red", "pink", "brown", "black", "white", "tan", "yellow", "purple", "skin-coloured")
SIMPLE = {
    "count": "one", "size": "medium", "colour": "brown", "morphology": "patch", "border": "sharp",
    "surface": "smooth", "arrangement": "solitary", "distribution": "localised",
}  # fmt: skip


def picture_of(findings, fitzpatrick=2, seed=0):
    """A picture of given findings on even skin in even light."""
    plan = plan_case(0, seed)
    even = Camera(modality=plan.camera.modality, texture=0.0, slant=0.2)
    plan = dataclasses.replace(plan, camera=even)
    rng = np.random.default_rng(seed)
    condition = Condition("none", {}, frozenset())
    changed = dataclasses.replace(
        plan,
        condition=condition,
        findings=findings,
        fitzpatrick=fitzpatrick,
        spots=place_lesions(findings, rng, plan.camera.field),
    )
    return render(changed), changed.spots


def mask_of(image, fitzpatrick=2):
    skin = SKIN_COLOURS[fitzpatrick - 1] * 255
    return np.abs(image - skin).max(axis=-1) > 18


@pytest.mark.parametrize("index", range(0, 32, 3))
def test_the_same_seed_and_index_give_the_same_picture(index):
    first, again = plan_case(index, 5), plan_case(index, 5)
    np.testing.assert_array_equal(render(first), render(again))
    assert first.findings == again.findings
    assert first.attributes == again.attributes


def test_other_seeds_and_indices_give_other_pictures():
    images = [render(plan_case(i, seed)) for i, seed in ((0, 1), (0, 2), (16, 1))]
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_pictures_are_rgb_bytes_of_the_size_asked_for():
    for size in (64, 112, 150):
        image = render(plan_case(3, 0), size)
        assert image.shape == (size, size, 3)
        assert image.dtype == np.uint8


def test_size_changes_resolution_not_findings():
    plan = plan_case(7, 4)
    small, large = render(plan, 112), render(plan, 224)
    halved = large.reshape(112, 2, 112, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max() < 12


def test_conditions_are_balanced_and_every_tone_and_modality_occurs():
    plans = [plan_case(index, 9) for index in range(320)]
    names = [plan.condition.name for plan in plans]
    assert {names.count(condition.name) for condition in CONDITIONS} == {20}
    assert {plan.fitzpatrick for plan in plans} == set(range(1, 7))
    assert {plan.camera.modality for plan in plans} == set(MODALITIES)
    assert {bool(plan.camera.hairs) for plan in plans} == {True, False}
    assert len({plan.camera.ruler for plan in plans}) == 5
    assert len({plan.camera.drape for plan in plans}) == 5


def test_facts_agree_with_the_findings():
    for index in range(160):
        plan = plan_case(index, 2)
        assert tuple(plan.findings) == RENDERED_SLOTS
        assert check_findings(plan.findings) == []
        low, high = NUMBERS[plan.findings["count"]]
        assert low <= int(plan.attributes["lesions"]) <= high
        low, high = DIAMETERS[plan.findings["size"]]
        assert low <= float(plan.attributes["diameter_px"]) <= high


@pytest.mark.parametrize("size", DIAMETERS)
@pytest.mark.parametrize("seed", range(4))
def test_the_drawn_diameter_is_in_the_class_of_the_finding(size, seed):
    image, _ = picture_of({**SIMPLE, "size": size}, seed=seed)
    diameter = 2 * np.sqrt(mask_of(image).sum() / np.pi)
    low, high = DIAMETERS[size]
    assert 0.88 * low <= diameter <= 1.12 * high


@pytest.mark.parametrize("count", NUMBERS)
@pytest.mark.parametrize("seed", range(4))
def test_the_drawn_number_is_in_the_class_of_the_finding(count, seed):
    arrangement = "solitary" if count == "one" else "scattered"
    findings = {**SIMPLE, "size": "small", "count": count, "arrangement": arrangement}
    image, spots = picture_of(findings, seed=seed)
    assert label(mask_of(image))[1] == len(spots)
    low, high = NUMBERS[count]
    assert low <= len(spots) <= high


@pytest.mark.parametrize("fitzpatrick", range(1, 7))
@pytest.mark.parametrize("colour", [name for name in COLOURS if name != "skin-coloured"])
def test_the_drawn_colour_is_nearest_to_the_finding(fitzpatrick, colour):
    image, spots = picture_of({**SIMPLE, "colour": colour}, fitzpatrick)
    x, y, _ = spots[0].astype(int)
    drawn = image[y - 4 : y + 5, x - 4 : x + 5].mean(axis=(0, 1)) / 255
    nearest = min(COLOURS, key=lambda name: np.abs(lesion_colour(name, fitzpatrick) - drawn).sum())
    assert nearest == colour


@pytest.mark.parametrize("fitzpatrick", range(1, 7))
def test_lesion_colours_stand_apart_from_each_other_and_from_skin(fitzpatrick):
    colours = [lesion_colour(name, fitzpatrick) for name in COLOURS]
    for i, first in enumerate(colours):
        for second in colours[i + 1 :]:
            assert np.abs(first - second).max() > 0.05


def roughness(image):
    inner = image[44:68, 44:68].astype(float).mean(axis=-1)
    return np.abs(np.diff(inner, axis=0)).mean()


@pytest.mark.parametrize("surface", ["scaly", "silvery", "crusted", "warty", "dimpled", "rough"])
def test_every_surface_shows(surface):
    findings = {**SIMPLE, "size": "large", "morphology": "plaque", "colour": "red"}
    even, _ = picture_of(findings)
    image, _ = picture_of({**findings, "surface": surface})
    assert roughness(image) > 1.3 * roughness(even)


def test_shiny_has_a_highlight():
    findings = {**SIMPLE, "morphology": "nodule", "colour": "brown", "surface": "shiny"}
    image, spots = picture_of(findings)
    even, _ = picture_of({**findings, "surface": "smooth"})
    x, y, radius = spots[0].astype(int)
    near = np.s_[y - radius // 2 : y + radius // 2, x - radius // 2 : x + radius // 2]
    assert even[near].min(axis=-1).max() < 120
    assert image[near].min(axis=-1).max() > 150


def test_a_blurred_border_is_wider_than_a_sharp_one():
    def transition(border):
        image, _ = picture_of({**SIMPLE, "border": border})
        away = np.abs(image - SKIN_COLOURS[1] * 255).max(axis=-1)
        return ((away > 20) & (away < 70)).sum()

    assert transition("blurred") > 2 * transition("sharp")


def test_a_ring_clears_in_the_centre():
    image, spots = picture_of({**SIMPLE, "size": "large", "morphology": "ring", "colour": "red"})
    x, y, _ = spots[0].astype(int)
    mask = mask_of(image)
    assert not mask[y - 3 : y + 4, x - 3 : x + 4].any()
    assert mask.sum() > 200


def test_grouped_lesions_are_closer_than_scattered_ones():
    def spread(arrangement, seed):
        rng = np.random.default_rng(seed)
        findings = {"count": "many", "size": "small", "arrangement": arrangement}
        return place_lesions(findings, rng, (56.0, 56.0, 58.0))[:, :2].std(axis=0).mean()

    for seed in range(10):
        assert spread("grouped", seed) < 0.8 * spread("scattered", seed)


def test_a_band_is_longer_than_wide():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        findings = {"count": "many", "size": "small", "arrangement": "linear"}
        spots = place_lesions(findings, rng, (56.0, 56.0, 58.0))
        short, long = np.sqrt(np.linalg.eigvalsh(np.cov(spots[:, :2].T)))
        assert long > 2.5 * short


def test_a_contact_sheet_has_a_row_per_condition():
    page = contact_sheet(1, columns=2, conditions=["acne", "melanoma"], size=64)
    assert page.size == (118 + 2 * 66, 2 * 66)
    second = np.asarray(page.crop((118 + 66, 0, 118 + 66 + 64, 64)))
    number = [item.name for item in CONDITIONS].index("acne") + len(CONDITIONS)
    assert np.array_equal(second, render(plan_case(number, 1), 64))
