import numpy as np
from tools.nano.scenes import ATTRIBUTES, COLOURS, draw_closeup, draw_scene


def test_same_seed_same_scene_and_other_seed_another():
    one, two = draw_scene(np.random.default_rng(3)), draw_scene(np.random.default_rng(3))
    other = draw_scene(np.random.default_rng(4))
    assert (one.image == two.image).all()
    assert one.attributes == two.attributes
    assert (one.image != other.image).any()


def test_every_attribute_has_a_known_value_and_all_values_occur():
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, 56) for _ in range(400)]
    for name, values in ATTRIBUTES.items():
        seen = {scene.attributes[name] for scene in scenes}
        assert seen <= set(values)
        assert len(seen) >= 0.9 * len(values), name


def test_cover_tells_where_the_shapes_are():
    rng = np.random.default_rng(1)
    for _ in range(20):
        scene = draw_scene(rng)
        assert scene.cover.shape == (28, 28)
        assert 0 < scene.cover.mean() <= 1
        assert scene.image.shape == (112, 112, 3)


def test_strong_large_shapes_have_their_colour():
    """The colour that the label names is the nearest one to the covered pixels, mostly."""
    rng, right, asked = np.random.default_rng(2), 0, 0
    names = list(COLOURS)
    palette = np.array([COLOURS[name] for name in names], float)
    while asked < 40:
        scene = draw_scene(rng)
        plain = scene.attributes["fill"] == "plain" and scene.attributes["contrast"] == "strong"
        if not plain or scene.attributes["size"] != "large":
            continue
        shares = scene.cover[:, :].reshape(4, 7, 4, 7).mean((1, 3)).repeat(2, 0).repeat(2, 1)
        row, column = np.unravel_index(shares.argmax(), (8, 8))
        patch = scene.image[row * 14 : row * 14 + 14, column * 14 : column * 14 + 14]
        mean = np.median(patch.reshape(-1, 3), 0)
        right += names[np.abs(palette - mean).sum(1).argmin()] == scene.attributes["colour"]
        asked += 1
    assert right >= 22


def test_closeup_is_one_shape_in_a_smaller_picture():
    rng = np.random.default_rng(3)
    for _ in range(20):
        scene = draw_closeup(rng)
        assert scene.image.shape == (56, 56, 3)
        assert scene.attributes["count"] == "1"
        assert 0 < scene.cover.mean() <= 1
