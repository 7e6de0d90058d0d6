"""Adapter directories: what is saved is what is loaded, and nothing else is accepted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from model_kinds import CONFIGS, batch_of, differs
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.load import describe_directory, load_model
from skingpt_r1.model.prompt import Request, encode_prompts
from skingpt_r1.model.skingpt import SkinGPT
from stirred import stir_adapters


@pytest.fixture
def saved(tiny_model, tmp_path: Path) -> Path:
    model = tiny_model(CONFIGS["bias"], stir=True)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.mark.parametrize("kind", CONFIGS)
@torch.no_grad()
def test_a_loaded_adapter_changes_the_logits(kind, tiny_model, pictures, tmp_path) -> None:
    model = tiny_model(CONFIGS[kind], stir=True)
    batch = batch_of(model.processor, pictures)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config == model.config
    logits = loaded(**batch._asdict()).logits
    assert torch.equal(logits, model(**batch._asdict()).logits)
    assert differs(logits, tiny_model(CONFIGS[kind])(**batch._asdict()).logits) > 1e-3


def test_layout(saved: Path, tiny_folder: Path) -> None:
    names = {path.name for path in saved.iterdir()}
    assert names >= {
        "adapter_config.json", "adapter_model.safetensors", "README.md",
        "tokenizer.json", "preprocessor_config.json", "chat_template.jinja",
    }  # fmt: skip
    settings = json.loads((saved / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(tiny_folder)
    assert len(settings["base_model_revision"]) == 64
    _, header, text = (saved / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(header)
    assert card["base_model_relation"] == "adapter"
    assert card["base_model"] == str(tiny_folder)
    assert {"library_name", "license"} <= set(card)
    assert "not for diagnosis" in text
    assert settings["base_model_revision"] in text


def test_renamed_keys_are_listed(saved: Path) -> None:
    path = saved / "adapter_model.safetensors"
    state = load_file(path)
    state["visual_adapter.entry.weight"] = state.pop("visual_adapter.in_proj.weight")
    save_file(state, path)
    with pytest.raises(CheckpointError) as caught:
        SkinGPT.from_pretrained(saved)
    assert "missing: visual_adapter.in_proj.weight" in str(caught.value)
    assert "unexpected: visual_adapter.entry.weight" in str(caught.value)


def test_wrong_shapes_are_listed(saved: Path) -> None:
    path = saved / "adapter_model.safetensors"
    state = load_file(path)
    state["language_bias.up.weight"] = state["language_bias.up.weight"][:, :3].clone()
    save_file(state, path)
    with pytest.raises(CheckpointError, match=r"language_bias.up.weight: \(64, 3\)"):
        SkinGPT.from_pretrained(saved)


def test_another_backbone_is_refused(saved: Path, tiny_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_folder, other)
    state = load_file(other / "model.safetensors")
    state["lm_head.weight"] += 1
    save_file(state, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="trained on backbone"):
        SkinGPT.from_pretrained(saved, backbone=other)


def test_a_moved_backbone_is_accepted(saved: Path, tiny_folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(tiny_folder, moved)
    model = load_model(saved, backbone=moved)
    assert model.config.backbone is not None
    assert model.config.backbone.name == str(moved)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("adapter_config.json", "{", "cannot be read"),
        ("adapter_config.json", '{"peft_type": "LORA"}', "adapter_type"),
        ("adapter_model.safetensors", "torn", "cannot be read"),
        ("adapter_model.safetensors", None, "but no"),
    ],
)
def test_damaged_directories(name, content, message, saved: Path) -> None:
    if content is None:
        (saved / name).unlink()
    else:
        (saved / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        load_model(saved)
    assert not describe_directory(saved).loads


def test_unknown_settings_are_refused(saved: Path) -> None:
    path = saved / "adapter_config.json"
    settings = json.loads(path.read_text())
    settings["config"]["bias_rank"] = 3
    path.write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="bias_rank"):
        load_model(saved)


def test_unwritable_folder(tiny_model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        tiny_model().save_pretrained(tmp_path / "file" / "adapter")


def test_describe_an_adapter(saved: Path) -> None:
    report = describe_directory(saved)
    assert (report.kind, report.loads) == ("adapter", True)
    assert "text adapter: bias" in report.details


@torch.no_grad()
def test_a_larger_adapter_starts_from_a_smaller_one(tiny_model, pictures, tmp_path: Path) -> None:
    """Where the new parts are still the identity, the larger model is the smaller one."""
    small = CONFIGS["bias-lora-inject"].model_copy(update={"text_adapter": "bias"})
    small = small.model_copy(update={"visual": small.visual.model_copy(update={"inject": False})})
    trained = tiny_model(small, stir=True)
    trained.save_pretrained(tmp_path)
    larger = tiny_model(CONFIGS["bias-lora-inject"])
    larger.copy_adapter(tmp_path)
    batch = batch_of(trained.processor, pictures)
    wanted = trained(**batch._asdict()).logits
    torch.testing.assert_close(larger(**batch._asdict()).logits, wanted, atol=1e-5, rtol=1e-5)


def test_a_start_that_does_not_fit_is_refused(saved: Path, tiny_model) -> None:
    other = CONFIGS["bias"].model_copy(update={"rank": 4})
    with pytest.raises(CheckpointError, match=r"do not fit(.|\n)*down(.|\n)*up(.|\n)*rank"):
        tiny_model(other).copy_adapter(saved)


def test_a_start_on_another_backbone_is_refused(saved: Path, tiny_model) -> None:
    path = saved / "adapter_config.json"
    settings = json.loads(path.read_text())
    settings["config"]["backbone"]["revision"] = "0" * 64
    path.write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="was trained on backbone"):
        tiny_model(CONFIGS["bias"]).copy_adapter(saved)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # of peft
@torch.no_grad()
def test_low_rank_matrices_alone_load_in_peft(tmp_path) -> None:
    from peft import PeftModel

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (84, 84, 3), dtype=np.uint8))
    model = load_model("nano", config=CONFIGS["lora-only"])
    stir_adapters(model)
    model.save_pretrained(tmp_path)
    batch = encode_prompts(model.needed_processor, [Request.of(image)])
    expected = model(**batch._asdict()).logits
    foreign = PeftModel.from_pretrained(load_model("nano").backbone, tmp_path)
    arguments = batch._asdict() | {
        "mm_token_type_ids": (batch.input_ids == foreign.config.image_token_id).int()
    }
    del arguments["images_per_case"]
    assert torch.equal(foreign(**arguments).logits, expected)
    loaded = SkinGPT.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert torch.equal(loaded(**batch._asdict()).logits, expected)
    assert (model(**batch._asdict(), adapters=False).logits - expected).abs().max() > 1e-2


@pytest.mark.parametrize(
    "changes",
    [
        {"text_adapter": "bias"},
        {"visual": {"layers": "none"}},
        {"visual": {"layers": "none", "features": "tower", "inject": True}},
    ],
)
def test_no_visual_layers_only_with_low_rank_matrices(changes) -> None:
    values = {"text_adapter": "lora", "visual": {"layers": "none", "features": "tower"}}
    AdapterConfig.model_validate(values)
    with pytest.raises(ValidationError, match="none"):
        AdapterConfig.model_validate(values | changes)
