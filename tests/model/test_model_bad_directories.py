"""Directories that are not what they say: each is read right, or ends in one typed error."""

import json
import os
from pathlib import Path

import pytest
import torch
from bad_directories import change_json, copy_model, save_weights
from model_kinds import CONFIGS
from safetensors.torch import load_file

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.backbone import load_backbone
from skingpt_r1.model.load import describe_directory, load_model
from skingpt_r1.model.skingpt import SkinGPT

BAD_CONTENTS = {
    "list": b"[]",
    "null": b"null",
    "cut": b'{"a": {"b": ',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "mark": b"\xef\xbb\xbf{}",
    "deep": b'{"a":' * 10_000,
    "digits": b'{"a": ' + b"9" * 5000 + b"}",
    "half pair": rb'{"a": "\ud800"}',
    "NaN": b'{"a": NaN}',
    "twice": b'{"a": 1, "a": 2}',
}
JSON_FILES = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "chat_template.json", "model.safetensors.index.json",
)  # fmt: skip


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return copy_model(tiny_folder, tmp_path / "copy")


@pytest.fixture(scope="module")
def saved(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters with experts and low-rank matrices."""
    folder = tmp_path_factory.mktemp("saved") / "adapter"
    visual = CONFIGS["bias"].visual.model_copy(update={"layers": "experts"})
    changes = {"text_adapter": "bias + lora", "visual": visual}
    config = CONFIGS["bias"].model_copy(update=changes)
    load_model(tiny_folder, config=config).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(saved: Path, tmp_path: Path) -> Path:
    return copy_model(saved, tmp_path / "adapter")


def refusal(folder: Path) -> str:
    """Why a directory does not load; the same from `load_model` and from the report."""
    report = describe_directory(folder)
    assert not report.loads
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    assert report.details == (str(caught.value),)
    return str(caught.value)


@pytest.mark.parametrize("content", BAD_CONTENTS)
@pytest.mark.parametrize("name", JSON_FILES)
def test_json_of_the_wrong_kind_in_a_model(name: str, content: str, copy: Path) -> None:
    (copy / name).write_bytes(BAD_CONTENTS[content])
    report = describe_directory(copy)
    assert not report.loads
    assert name in report.details[0]


@pytest.mark.parametrize("content", [*BAD_CONTENTS.values(), b"{}", b'{"adapter_type": [1]}'])
def test_json_of_the_wrong_kind_in_an_adapter(content: bytes, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_bytes(content)
    assert "adapter_config.json" in refusal(adapter)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("visual.embed_dim", 10**7), ("visual.embed_dim", 10**9), ("visual.embed_dim", 64),
        ("visual.embed_dim", 65_536), ("visual.bottleneck", 65_536), ("visual.bottleneck", -1),
        ("visual.num_layers", 10**8), ("visual.num_layers", 200), ("visual.num_experts", 10**9),
        ("visual.num_experts", 1024), ("visual.layers", "residual"), ("rank", 10**9),
        ("rank", 65_536), ("rank", "many"), ("lora.rank", 10**8), ("lora.rank", 4096),
        ("lora.alpha", 1e308), ("lora.target_modules", ["q_proj"] * 100), ("scale_init", 1e300),
        ("lora.target_modules", ["x" * 50]), ("teacher_dim", 10**9), ("teacher_dim", 60_000),
        ("visual", []), ("lora", 3), ("backbone", "nano"),
    ],
)  # fmt: skip
def test_sizes_of_an_adapter_are_checked_before_memory_is_taken(
    name: str, value: object, adapter: Path
) -> None:
    change_json(adapter / "adapter_config.json", {f"config.{name}": value})
    assert str(adapter) in refusal(adapter)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text_config.hidden_size", 10**9), ("text_config.hidden_size", 65_536),
        ("text_config.hidden_size", 66), ("text_config.hidden_size", 0),
        ("text_config.num_hidden_layers", 10**9), ("text_config.num_hidden_layers", 300),
        ("text_config.num_attention_heads", 0), ("text_config.num_attention_heads", 3),
        ("text_config.num_key_value_heads", 3), ("text_config.vocab_size", 10**9),
        ("text_config.vocab_size", 4_000_000), ("text_config.vocab_size", 2),
        ("text_config.rms_norm_eps", -1.0), ("text_config.rms_norm_eps", "x"),
        ("text_config.rope_parameters.mrope_section", [1, 1, 1]),
        ("text_config.rope_parameters.rope_theta", 0), ("text_config.hidden_act", "nothing"),
        ("text_config", []), ("text_config", "x"), ("vision_config", None), ("vision_config", 3),
        ("vision_config.patch_size", 0), ("vision_config.patch_size", 16),
        ("vision_config.num_heads", 0), ("vision_config.num_heads", 5),
        ("vision_config.depth", 10**8), ("vision_config.depth", 3),
        ("vision_config.spatial_merge_size", 0), ("vision_config.window_size", 1),
        ("vision_config.out_hidden_size", 32), ("vision_config.in_channels", 1),
        ("vision_config.fullatt_block_indexes", "all"), ("image_token_id", 511),
        ("image_token_id", "x"), ("image_token_id", -1), ("text_config.eos_token_id", "x"),
        ("model_type", "llama"), ("model_type", []),
    ],
)  # fmt: skip
def test_sizes_of_a_backbone_are_checked(name: str, value: object, copy: Path) -> None:
    change_json(copy / "config.json", {name: value})
    assert str(copy) in refusal(copy)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"patch_size": 0}, "patch_size"), ({"patch_size": 16}, "patches of 16"),
        ({"merge_size": 0}, "merge_size"), ({"merge_size": 4}, "4 patches a side"),
        ({"temporal_patch_size": 1}, "repeat 1 times"), ({"image_std": [0, 1, 1]}, "image_std"),
        ({"image_std": [-0.2, 1, 1]}, "image_std"), ({"image_std": 0.5}, "image_std"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"), ({"image_mean": "grey"}, "image_mean"),
        ({"size.shortest_edge": 10**6}, "above the largest"), ({"size": {}}, "size"),
        ({"size": 224}, "size"), ({"size.longest_edge": "large"}, "longest_edge"),
        ({"size": None}, "does not say how large"), ({"resample": 99}, "resample"),
        ({"rescale_factor": 0}, "rescale_factor"), ({"do_resize": "yes"}, "do_resize"),
        ({"image_processor_type": "CLIPImageProcessor"}, "'CLIPImageProcessor'"),
        ({"min_pixels": -5}, "shortest_edge"), ({"min_pixels": 10, "max_pixels": 9}, "above"),
    ],
)  # fmt: skip
def test_image_settings_that_cannot_be_used(value: dict, message: str, copy: Path) -> None:
    change_json(copy / "preprocessor_config.json", value)
    assert message in refusal(copy)


def test_image_settings_in_either_file(copy: Path) -> None:
    before = load_backbone(copy).processor
    assert before is not None
    old = copy / "preprocessor_config.json"
    settings = json.loads(old.read_text())
    new = copy / "processor_config.json"
    new.write_text(json.dumps({"processor_class": "Qwen2_5_VLProcessor"}))  # as of older releases
    assert load_backbone(copy).processor.settings() == before.settings()
    new.write_text(json.dumps({"image_processor": settings}))
    assert load_backbone(copy).processor.settings() == before.settings()
    old.unlink()
    assert load_backbone(copy).processor.settings() == before.settings()
    change_json(new, {"image_processor.size": None, "image_processor.min_pixels": 28 * 56})
    change_json(new, {"image_processor.max_pixels": 56 * 84})
    assert load_backbone(copy).processor.settings() == before.settings()
    old.write_text(json.dumps(settings | {"image_mean": [0.5, 0.5, 0.5]}))
    assert "differ in image_mean" in refusal(copy)
    old.unlink()
    new.unlink()
    assert "no image settings" in refusal(copy)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(value: float, copy: Path, adapter: Path) -> None:
    for folder, file in ((copy, "model.safetensors"), (adapter, "adapter_model.safetensors")):
        state = load_file(folder / file)
        name = "lm_head.weight" if folder is copy else sorted(state)[len(state) // 2]
        state[name] = state[name].clone()
        state[name].view(-1)[-1] = value
        save_weights(state, folder / file)
        assert f"not finite (NaN or infinity) in {name};" in refusal(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.int32, torch.bool])
def test_weights_of_another_type(kind: torch.dtype, copy: Path, adapter: Path) -> None:
    for folder, file in ((copy, "model.safetensors"), (adapter, "adapter_model.safetensors")):
        state = load_file(folder / file)
        name = "lm_head.weight" if folder is copy else sorted(state)[len(state) // 2]
        save_weights(state | {name: torch.ones(state[name].shape, dtype=kind)}, folder / file)
        assert f"no floating-point numbers: {name} (" in refusal(folder)


def test_half_precision_weights_are_weights(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    save_weights({name: value.half() for name, value in load_file(path).items()}, path)
    assert describe_directory(adapter).loads


def test_another_shape_in_a_backbone(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    name = next(name for name in state if name.endswith("layers.1.mlp.down_proj.weight"))
    save_weights(state | {name: state[name][:, :5].clone()}, copy / "model.safetensors")
    wanted = "layers.1.mlp.down_proj.weight: (64, 5) in the file, (64, 96) in the model"
    assert wanted in refusal(copy)


def test_a_damaged_generation_config_is_told(copy: Path) -> None:
    change_json(copy / "generation_config.json", {"eos_token_id": "<|im_end|>"})
    assert "generation_config.json" in refusal(copy)
    change_json(copy / "generation_config.json", {"eos_token_id": [-1]})
    assert "[-1] (eos_token_id)" in refusal(copy)


def test_a_missing_adapter_backbone_is_named(adapter: Path) -> None:
    with pytest.raises(CheckpointError, match="'gone' does not exist"):
        SkinGPT.from_pretrained(adapter, backbone="gone")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(copy: Path) -> None:
    (copy / "config.json").chmod(0)
    assert "cannot read" in refusal(copy)


def test_code_in_a_directory_never_runs(copy: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (copy / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
        parts = ("AutoConfig", "AutoModel", "AutoImageProcessor", "AutoProcessor")
        known = dict.fromkeys(parts, "evil.Evil") | {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
        change_json(copy / name, {"auto_map": known})
    describe_directory(copy)
    assert not marker.exists()


def test_tied_weights_stand_in_the_files_once(copy: Path, tiny_folder: Path) -> None:
    state = load_file(copy / "model.safetensors")
    del state["lm_head.weight"]
    save_weights(state, copy / "model.safetensors")
    assert "missing: lm_head.weight" in refusal(copy)
    change_json(copy / "config.json", {"tie_word_embeddings": True})
    change_json(copy / "config.json", {"text_config.tie_word_embeddings": True})
    backbone = load_backbone(copy).model
    assert torch.equal(backbone.lm_head.weight, backbone.get_input_embeddings().weight)
