"""Every recipe of the embedded backbone trains for one step, here on a smaller backbone."""

import pytest
from tiny_distill import write_backbone

from skingpt_r1.distill.recipe import load_recipe
from skingpt_r1.distill.run import run_recipe
from skingpt_r1.errors import CheckpointError
from skingpt_r1.recipes import RECIPES

NAMES = sorted(path.stem for path in RECIPES.glob("nano_*.yaml"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_backbone(folder / "backbone")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_one_step(name, shared):
    recipe = load_recipe(
        RECIPES / f"{name}.yaml",
        [
            f"backbone={shared / 'backbone'}",
            f"data.root={shared / 'pictures'}",
            "data.count=40",
            "data.size=56",
            "data.split={train: 0.5, test: 0.5}",
            "teacher.epochs=1",
            "features.shard_cases=32",
            "train.max_steps=1",
            "train.batch_size=8",
            "adapter.visual.embed_dim=32",
            "start=null",
        ],
    )
    kind = next((kind for kind in ("tower", "lora") if kind in name), "bias")
    run = run_recipe(recipe, shared / name, features=shared / "features" / kind)
    assert (run.folder / "adapter" / "adapter_model.safetensors").is_file()
    assert (run.folder / "metrics.jsonl").read_text().count("\n") == 1


def test_a_start_that_is_not_there_is_told_before_any_work(tmp_path):
    recipe = load_recipe(RECIPES / "nano_lora_text_visual.yaml", [f"start={tmp_path / 'adapter'}"])
    with pytest.raises(CheckpointError, match="start: there is no adapter"):
        run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
