"""The gate: what it refuses and with which words, what it lets pass, and where its world ends."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from skingpt_r1.data.intake import open_image
from skingpt_r1.evidence.cells import tower_cells
from skingpt_r1.evidence.gate import World, measure_picture, picture_problem, texture
from skingpt_r1.render.others import KINDS, other_pictures

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
REASONS = {
    "documents": {"it is a drawing or a document, not a photo"},
    "noise": {"it is noise, not a photo"},
    "plain colours": {"it is one plain colour", "it is not sharp enough", "it is too dark"},
    "drawings": {"it is a drawing or a document, not a photo", "it is one plain colour"},
    "dark skin pictures": {"it is too dark"},
    "blurred skin pictures": {"it is not sharp enough", "it is one plain colour"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_pictures_are_refused_with_their_reason(kind):
    problems = [picture_problem(measure_picture(p)) for p in other_pictures(50, 11)[kind]]
    assert sum(problem is not None for problem in problems) >= 49
    assert set(problems) - {None} <= REASONS[kind]


def test_rendered_skin_passes(pictures):
    assert [picture_problem(measure_picture(picture)) for picture in pictures].count(None) >= 63


@pytest.mark.parametrize("name", ["pad_ufes_20", "ham10000"])
def test_real_photos_pass_the_part_that_looks_at_pixels(name):
    paths = sorted((DATA / name).rglob("*.jpg"))[::12]
    if not paths:
        pytest.skip(f"needs ../shared/data/{name}")
    passed = [picture_problem(measure_picture(open_image(path))) is None for path in paths]
    assert sum(passed) / len(passed) >= 0.97


def test_measures_of_pictures_that_can_be_computed_by_hand():
    grey = measure_picture(Image.new("RGB", (60, 40), (128, 128, 128)))
    assert grey.light == pytest.approx(128 / 255)
    assert (grey.contrast, grey.flat, grey.skin, grey.saturation) == pytest.approx((0, 1, 0, 0))
    skin = measure_picture(Image.new("RGB", (60, 40), (220, 170, 140)))
    assert skin.skin == 1
    assert skin.saturation == pytest.approx(80 / 220)


def test_unseen_rendered_skin_is_inside_the_world_and_real_photos_are_not(verifier, pictures):
    world, layers = verifier.reader.world, verifier.reader.config.layers
    textures = torch.stack([texture(picture) for picture in pictures])
    inside = world.holds(textures, tower_cells(verifier.model, pictures, layers))
    assert inside.float().mean() >= 0.95
    paths = sorted((DATA / "ham10000").rglob("*.jpg"))[:20]
    if paths:
        photos = [open_image(path) for path in paths]
        seen = torch.stack([texture(photo) for photo in photos])
        assert not world.holds(seen, tower_cells(verifier.model, photos, layers)).any()


def test_distances_are_those_of_mahalanobis():
    torch.manual_seed(0)
    textures = torch.randn(400, 68) @ torch.randn(68, 68)
    cells = torch.randn(400, 64, 16)
    world = World(16, directions=16)
    world.learn(textures, cells)
    found = world.distances(textures, cells)
    spread = textures.std(0) + 1e-6
    scaled = (textures - textures.mean(0)) / spread
    covariance = scaled.T @ scaled / len(scaled) + 0.05 * torch.eye(68)
    slow = (scaled @ covariance.inverse() * scaled).sum(1)
    torch.testing.assert_close(found[:, 0].square() * 68, slow, rtol=1e-3, atol=1e-3)
    world.set_limits(textures, cells, 0.9)
    assert world.holds(textures, cells).float().mean() == pytest.approx(0.85, abs=0.06)
