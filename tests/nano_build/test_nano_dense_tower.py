import pytest
import torch
from tools.nano.architecture import dense_tokens, nano_config
from tools.nano.tokenizer import SPECIAL_TOKENS
from transformers import Qwen2_5_VLForConditionalGeneration

from skingpt_r1.model.families.qwen2_5_vl import patch_pictures


@pytest.mark.parametrize("shape", [(112, 112), (84, 112), (112, 56)])
def test_dense_pass_equals_the_library(shape):
    torch.manual_seed(0)
    special = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
    visual = Qwen2_5_VLForConditionalGeneration(nano_config(300, special)).model.visual
    pictures = torch.randint(0, 256, (3, *shape, 3), dtype=torch.uint8)
    grid = torch.tensor([[1, shape[0] // 14, shape[1] // 14]] * 3)
    with torch.no_grad():
        plain = visual(patch_pictures(pictures), grid_thw=grid).last_hidden_state
        dense = dense_tokens(visual, pictures)
    torch.testing.assert_close(dense.flatten(0, 1), plain, atol=1e-5, rtol=1e-4)
