"""A backbone family of another package is one module, found by its model_type."""

import json
import shutil

import pytest
import torch
from model_kinds import CONFIGS, batch_of

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.backbone import find_family
from skingpt_r1.model.families import qwen2_5_vl
from skingpt_r1.model.load import load_model
from test_plugins import install

FAMILY = """
from transformers import Qwen2_5_VLConfig

from skingpt_r1.model.families import qwen2_5_vl
from skingpt_r1.model.families.qwen2_5_vl import *

class TheirConfig(Qwen2_5_VLConfig):
    model_type = "their_vl"

def build_config(path, config):
    return TheirConfig.from_dict({**config, "model_type": "their_vl"})

def run_tower(backbone, pixel_values, grids):
    tokens = qwen2_5_vl.run_tower(backbone, pixel_values, grids)
    return TowerTokens(tokens.merged * 2, tokens.pre_merger)
"""


@pytest.fixture
def theirs(tiny_folder, tmp_path, monkeypatch):
    """The tiny backbone as one of a family that another package brings."""
    folder = shutil.copytree(tiny_folder, tmp_path / "backbone")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "their_vl"}))
    lines = "their_vl = their_family"
    install(tmp_path / "package", monkeypatch, "families", lines, FAMILY, "their_family")
    return folder


@torch.no_grad()
def test_a_family_of_another_package(theirs, tiny_model, pictures, tmp_path) -> None:
    torch.manual_seed(1)
    model = load_model(theirs, config=CONFIGS["bias"])
    own = tiny_model(CONFIGS["bias"])
    assert model.family.__name__ == "their_family"
    assert own.family is qwen2_5_vl
    batch = batch_of(model.processor, pictures)
    doubled = own.tower_tokens(batch.pixel_values, batch.image_grid_thw).merged * 2
    assert torch.equal(model.tower_tokens(batch.pixel_values, batch.image_grid_thw).merged, doubled)
    logits = model(**batch._asdict()).logits
    assert not torch.equal(logits, own(**batch._asdict()).logits)
    model.save_pretrained(tmp_path / "adapter")
    assert torch.equal(load_model(tmp_path / "adapter")(**batch._asdict()).logits, logits)


def test_an_unknown_family(theirs) -> None:
    with pytest.raises(CheckpointError, match="'other_vl'; only qwen2_5_vl, their_vl works"):
        find_family("other_vl", theirs)
