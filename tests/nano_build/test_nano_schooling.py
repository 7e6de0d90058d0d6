"""The readers that school the tower, on small pictures."""

import numpy as np
import pytest
import torch
from tools.nano import schooling
from tools.nano.architecture import dense_tokens, nano_config
from tools.nano.scenes import ATTRIBUTES, CELL
from tools.nano.schooling import draw_pool
from tools.nano.tokenizer import SPECIAL_TOKENS
from transformers import Qwen2_5_VLForConditionalGeneration

from skingpt_r1.model.families.qwen2_5_vl import patch_pictures


@pytest.fixture
def visual():
    torch.manual_seed(0)
    special = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
    return Qwen2_5_VLForConditionalGeneration(nano_config(300, special)).model.visual


@pytest.fixture
def pool(tmp_path):
    return draw_pool(tmp_path, 1040, seed=0, size=56, workers=1)


def test_merged_tokens_are_those_of_the_library(visual, pool):
    pictures = torch.from_numpy(np.array(pool.pictures[:3]))
    grid = torch.tensor([[1, 4, 4]] * 3)
    with torch.no_grad():
        plain = visual(patch_pictures(pictures), grid_thw=grid).pooler_output
        ours = schooling.merge_tokens(visual, dense_tokens(visual, pictures))
    plain = torch.cat(list(plain)) if isinstance(plain, tuple | list) else plain
    torch.testing.assert_close(ours.flatten(0, 1), plain, atol=1e-5, rtol=1e-4)


def test_whitened_filters_answer_every_pattern_alike(visual, pool):
    schooling.set_patch_filters(visual, pool, seed=0)
    patches = patch_pictures(torch.from_numpy(np.array(pool.pictures[:600])))
    with torch.no_grad():
        spread = visual.patch_embed(patches).std(0)
    assert float(spread.min()) > 0.2
    assert float(spread.max()) < 0.8


def test_outline_loss_looks_into_the_right_square(visual):
    readers = schooling.AttributeReaders(128, 192)
    cover = torch.zeros(1, 56 // CELL, 56 // CELL)
    cover[0, :7, 7:] = 1.0  # the upper right square, second in reading order
    merged = torch.zeros(1, 4, 192)
    merged[0, 1, 0] = 1.0
    with torch.no_grad():
        readers.outline.weight.zero_()
        readers.outline.bias.fill_(-20.0)
        readers.outline.weight[:, 0] = 40.0
        assert float(readers.outline_loss(merged, cover)) < 1e-6


def test_a_few_steps_of_both_phases_run_and_measure(visual, pool, tmp_path):
    closeups = draw_pool(tmp_path / "close", 1010, seed=0, size=28 * 2, workers=1, closeups=True)
    before = visual.merger.mlp[0].weight.clone()
    seeing = schooling.school_tower(
        visual, closeups, pool, closeup_steps=2, scene_steps=2, closeup_batch=4, batch=4,
        learning_rate=1e-3, muon_rate=0.02, seed=0,
    )  # fmt: skip
    assert set(seeing) == set(ATTRIBUTES)
    assert not torch.equal(before, visual.merger.mlp[0].weight)
