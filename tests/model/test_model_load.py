"""`load_model` on every kind of directory, good and bad."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from model_kinds import CONFIGS, batch_of
from safetensors.torch import load_file, save_file

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.load import describe_directory, load_model
from skingpt_r1.model.weight_files import weight_files, weights_revision


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


@pytest.fixture
def released(tiny_model, copy: Path) -> Path:
    """The tiny backbone with adapters under the published names."""
    config = CONFIGS["bias-tower-experts"].model_copy(update={"teacher_dim": None})
    visual = config.visual.model_copy(update={"features": "pixels"})
    model = tiny_model(config.model_copy(update={"visual": visual}), stir=True)
    state = load_file(copy / "model.safetensors")
    for name, value in model.adapter_state().items():
        state |= published(name, value.detach())
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((copy / "config.json").read_text())
    settings["architectures"] = ["SkinVLModelWithAdapter"]
    (copy / "config.json").write_text(json.dumps(settings))
    return copy


def published(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    for ours, theirs in (
        ("visual_adapter.layers", "distill_head.adapters"),
        ("visual_adapter.tone_classifier", "distill_head.skin_classifier"),
        ("visual_adapter", "distill_head"),
        ("language_bias.down", "text_bias.0"),
        ("language_bias.up", "text_bias.2"),
        ("language_bias.scale", "logit_bias_scale"),
        ("router_patch", "router_img"),
        ("router_tone", "router_skin"),
    ):
        name = name.replace(ours, theirs)
    for part, index in (("expand", 0), ("contract", 2)):
        if f".{part}_" in name:
            layer, kind = name.rsplit(f".{part}_", 1)
            return {
                f"{layer}.experts.{k}.net.{index}.{kind}": v.clone() for k, v in enumerate(value)
            }
    return {name: value.clone()}


def test_a_bare_backbone(tiny_folder: Path) -> None:
    model = load_model(tiny_folder)
    assert model.config.backbone is not None
    assert model.config.backbone.revision == weights_revision(weight_files(tiny_folder))
    assert model.processor is not None
    report = describe_directory(tiny_folder)
    assert (report.kind, report.loads) == ("backbone", True)
    assert "tokenizer: yes" in report.details


def test_half_precision(tiny_folder: Path, pictures) -> None:
    model = load_model(tiny_folder, dtype=torch.bfloat16, config=CONFIGS["lora-inject"])
    assert model.backbone.lm_head.weight.dtype == torch.bfloat16
    assert {v.dtype for v in model.adapter_state().values()} == {torch.float32}
    with torch.no_grad():
        logits = model(**batch_of(model.processor, pictures)._asdict()).logits
    assert logits.isfinite().all()


def test_without_tokenizer_files_forward_works(copy: Path, tiny_model, pictures) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    model = load_model(copy)
    assert model.processor is None
    batch = batch_of(tiny_model().processor, pictures)
    with torch.no_grad():
        assert model(**batch._asdict()).logits.isfinite().all()


def test_what_does_not_exist() -> None:
    with pytest.raises(CheckpointError, match=r"no/such/model.*does not exist; give"):
        load_model("no/such/model")
    report = describe_directory("no/such/model")
    assert (report.kind, report.loads) == ("unknown", False)


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_model(tmp_path)
    assert describe_directory(tmp_path).kind == "unknown"


def test_another_architecture(copy: Path) -> None:
    (copy / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(CheckpointError, match="'llama'; only qwen2_5_vl"):
        load_model(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not JSON"):
        load_model(copy)


def test_missing_and_unexpected_backbone_keys(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    state["lm_tail.weight"] = state.pop("lm_head.weight")
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        load_model(copy)
    assert "missing: lm_head.weight" in str(caught.value)
    assert "unexpected: lm_tail.weight" in str(caught.value)


def test_incomplete_downloads(copy: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="model-00002-of-00002"):
        load_model(copy)
    (copy / "model.safetensors.index.json").unlink()
    (copy / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load_model(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="lacks the weight files"):
        load_model(copy)


def test_a_tokenizer_without_template(copy: Path) -> None:
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="no chat template"):
        load_model(copy)
    (copy / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert load_model(copy).processor is not None


@torch.no_grad()
def test_the_released_form(released: Path, tiny_model, pictures) -> None:
    model = load_model(released)
    assert model.config.visual.layers == "experts"
    batch = batch_of(model.processor, pictures)
    plain = tiny_model()(**batch._asdict()).logits
    assert torch.equal(model(**batch._asdict(), adapters=False).logits, plain)
    assert not torch.equal(model(**batch._asdict()).logits, plain)
    assert describe_directory(released).kind == "released"


@torch.no_grad()
def test_a_release_without_in_proj_says_so(released: Path, pictures) -> None:
    path = released / "model.safetensors"
    state = load_file(path)
    del state["distill_head.in_proj.weight"]
    save_file(state, path, metadata={"format": "pt"})
    model = load_model(released)
    batch = batch_of(model.processor, pictures)
    output = model(**batch._asdict(), adapters=False)
    assert output.logits.isfinite().all()
    assert output.image_embedding.isnan().all()
    with pytest.raises(CheckpointError, match="in_proj"):
        model(**batch._asdict())
    with pytest.raises(CheckpointError, match="in_proj"):
        model.diagnose(pictures[0])
    assert any("in_proj" in line for line in describe_directory(released).details)


def test_renamed_keys_of_a_release(released: Path) -> None:
    path = released / "model.safetensors"
    state = load_file(path)
    state["distill_head.entry.weight"] = state.pop("distill_head.in_proj.weight")
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"unexpected: distill_head\.entry\.weight"):
        load_model(released)
    del state["distill_head.entry.weight"], state["text_bias.0.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks the tensors"):
        load_model(released)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "text_bias.0.weight",
            torch.full((8, 32), torch.nan),
            "not finite .* in text_bias.0.weight",
        ),
        ("logit_bias_scale", torch.tensor(torch.inf), "not finite .* in logit_bias_scale"),
        (
            "text_bias.0.weight",
            torch.ones(8, 32, dtype=torch.int32),
            r"text_bias\.0\.weight \(I32\)",
        ),
        ("text_bias.0.weight", torch.ones(8), "are no matrices"),
        ("distill_head.adapters.0.experts.1.net.0.weight", torch.ones(3, 32), "different shapes"),
        ("distill_head.adapters.7.experts.0.net.0.weight", torch.ones(8, 32), "missing: "),
        (f"distill_head.adapters.0.experts.{'9' * 5000}.net.0.weight", torch.ones(8, 32), "unexp"),
    ],
)
def test_a_release_with_impossible_tensors(
    name: str, value: torch.Tensor, message: str, released: Path
) -> None:
    path = released / "model.safetensors"
    save_file(load_file(path) | {name: value}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=message):
        load_model(released)
    assert not describe_directory(released).loads
