"""`skingpt models`, and models that do not load."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from skingpt_r1.cli.main import run
from skingpt_r1.model.config import AdapterConfig, VisualConfig
from skingpt_r1.model.load import load_model

TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 32,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
    "tie_word_embeddings": False,
}
VISION = {
    "depth": 1,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_heads": 2,
    "out_hidden_size": 16,
    "fullatt_block_indexes": [0],
}


def make_backbone(folder: Path, seed: int) -> Path:
    """A backbone directory of a few thousand random weights, without a tokenizer."""
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        text_config=TEXT,
        vision_config=VISION,
        image_token_id=1,
        video_token_id=2,
        vision_start_token_id=3,
        vision_end_token_id=4,
        tie_word_embeddings=False,
    )
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


def make_adapter(folder: Path, backbone: Path) -> Path:
    config = AdapterConfig(visual=VisualConfig(embed_dim=8, num_layers=1, bottleneck=4), rank=4)
    load_model(backbone, config=config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone(tmp_path_factory.mktemp("models") / "backbone", seed=0)


@pytest.fixture
def adapter(tmp_path: Path, backbone: Path) -> Path:
    return make_adapter(tmp_path / "adapter", backbone)


def test_models_says_what_directories_are(
    backbone: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", str(backbone), str(adapter)]) == 0
    out = capsys.readouterr().out
    assert f"{backbone}: backbone, loads" in out
    assert f"{adapter}: adapter, loads" in out


def test_folder_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "unknown, does not load" in captured.out
    assert str(tmp_path) in captured.err


def test_adapter_of_another_backbone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = make_backbone(tmp_path / "backbone", seed=1)
    folder = make_adapter(tmp_path / "adapter", moved)
    make_backbone(moved, seed=2)
    assert run(["models", str(folder)]) == 1
    assert "was trained on" in capsys.readouterr().out


def test_checkpoint_with_renamed_keys(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = adapter / "adapter_model.safetensors"
    state = load_file(path)
    state["language_bias.head.weight"] = state.pop("language_bias.up.weight")
    save_file(state, path)
    assert run(["models", str(adapter)]) == 1
    out = capsys.readouterr().out
    assert "missing: language_bias.up.weight" in out
    assert "unexpected: language_bias.head.weight" in out


def test_model_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (8, 8), "pink").save(tmp_path / "photo.png")
    assert run(["diagnose", str(tmp_path / "photo.png"), "--model", "nowhere"]) == 1
    assert "model 'nowhere' does not exist" in capsys.readouterr().err


def test_model_without_a_tokenizer(
    tmp_path: Path, backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8), "pink").save(tmp_path / "photo.png")
    assert (
        run(["diagnose", str(tmp_path / "photo.png"), "--model", str(backbone), "--no-assess"]) == 1
    )
    assert "without tokenizer files" in capsys.readouterr().err


def test_one_bad_directory_does_not_hide_the_others(
    tmp_path: Path, backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {
        "cut": ("model.safetensors.index.json", '{"weight_map": {"lm_head.weight": "model-0000'),
        "bare": ("model.safetensors.index.json", "{}"),
        "list": ("config.json", "[]"),
        "text": ("generation_config.json", '"greedy"'),
    }
    for name, (file, content) in bad.items():
        shutil.copytree(backbone, tmp_path / name)
        (tmp_path / name / file).write_text(content)
    folders = [str(tmp_path / name) for name in bad]
    assert run(["models", *folders, "gone", str(backbone)]) == 1
    captured = capsys.readouterr()
    for name, (file, _) in bad.items():
        kind = "unknown" if file == "config.json" else "backbone"
        assert f"{tmp_path / name}: {kind}, does not load" in captured.out
        assert str(tmp_path / name / file) in captured.out
    assert "gone: unknown, does not load" in captured.out
    assert f"{backbone}: backbone, loads" in captured.out
    assert captured.err.endswith(f"does not load: {', '.join([*folders, 'gone'])}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "holds a JSON list"), ("{", "not JSON"), ('{"size": 3}', "size"), ("{}", "no image")],
)
def test_broken_image_settings(
    content: str, message: str, tmp_path: Path, tiny_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "copy"
    shutil.copytree(tiny_folder, folder)
    (folder / "preprocessor_config.json").write_text(content)
    assert run(["models", str(folder)]) == 1
    captured = capsys.readouterr()
    assert message in captured.out
    assert "free space" not in captured.out + captured.err


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_adapter_that_is_not_finite(
    value: float, tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file({name: torch.full_like(t, value) for name, t in load_file(path).items()}, path)
    assert run(["models", str(adapter)]) == 1
    assert "not finite (NaN or infinity) in" in capsys.readouterr().out
    Image.new("RGB", (8, 8), "pink").save(tmp_path / "photo.png")
    command = ["diagnose", str(tmp_path / "photo.png"), "--model", str(adapter), "--no-assess"]
    assert run([*command, "--candidates", "wart,melanoma"]) == 1
    captured = capsys.readouterr()
    assert "not finite" in captured.err
    assert captured.out == ""
