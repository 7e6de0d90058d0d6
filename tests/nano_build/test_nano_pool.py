"""Drawn scenes on disk and the batches made of them."""

import numpy as np
import torch
from tools.nano import schooling as pools
from tools.nano.scenes import ATTRIBUTES, CELL


def small_pool(folder, closeups=False):
    return pools.draw_pool(folder, 1040, seed=0, size=56, workers=1, closeups=closeups)


def test_pool_is_kept_and_read_back(tmp_path):
    first, again = small_pool(tmp_path), small_pool(tmp_path)
    assert torch.equal(first.labels, again.labels)
    assert first.pictures.shape == (1040, 56, 56, 3)
    assert first.cover.shape == (1040, 56 // CELL, 56 // CELL)


def test_closeups_show_one_shape(tmp_path):
    pool = small_pool(tmp_path, closeups=True)
    count = list(ATTRIBUTES).index("count")
    assert (pool.labels[:, count] == 0).all()
    assert float(pool.cover.mean()) > 0.05


def test_batches_leave_out_the_held_out_scenes_and_mirror_places(tmp_path):
    pool = small_pool(tmp_path)
    rng, places = np.random.default_rng(0), set()
    place = list(ATTRIBUTES).index("place")
    for _ in range(40):
        batch = pools.draw_batch(pool, 8, rng)
        images, height, width, _ = batch.images.shape
        assert images == len(batch.labels) == len(batch.cover) == 8
        assert height % 28 == width % 28 == 0
        assert batch.cover.shape[1:] == (height // CELL, width // CELL)
        places |= set(batch.labels[:, place].tolist())
    assert places <= set(range(5))
