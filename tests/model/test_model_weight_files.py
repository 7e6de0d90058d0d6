"""Which files hold a model's weights: index and files must say the same."""

import json
import os
from pathlib import Path

import pytest
import torch
from bad_directories import copy_model, save_weights
from safetensors.torch import load_file

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.load import describe_directory, load_model
from skingpt_r1.model.weight_files import not_finite, weight_files

INDEX = "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def sharded(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny backbone in two files with their index."""
    folder = copy_model(tiny_folder, tmp_path / "sharded")
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    parts = {ONE: names[::2], TWO: names[1::2]}
    for file, part in parts.items():
        save_weights({name: state[name] for name in part}, folder / file)
    (folder / "model.safetensors").unlink()
    write_index(folder, {name: file for file, part in parts.items() for name in part})
    return folder


def write_index(folder: Path, places: object) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def read_places(folder: Path) -> dict[str, str]:
    return json.loads((folder / INDEX).read_text())["weight_map"]


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    assert describe_directory(folder).details == (str(caught.value),)
    return str(caught.value)


def test_shards_with_their_index(sharded: Path, tiny_folder: Path) -> None:
    assert [path.name for path in weight_files(sharded)] == [ONE, TWO]
    [whole_headers] = weight_files(tiny_folder).values()
    one, two = weight_files(sharded).values()
    assert {**one, **two} == whole_headers
    whole, parts = load_model(tiny_folder), load_model(sharded)
    assert torch.equal(whole.backbone.lm_head.weight, parts.backbone.lm_head.weight)


def test_an_index_of_one_file_is_no_contradiction(tiny_folder: Path, tmp_path: Path) -> None:
    folder = copy_model(tiny_folder, tmp_path / "copy")
    [headers] = weight_files(folder).values()
    write_index(folder, dict.fromkeys(headers, "model.safetensors"))
    assert describe_directory(folder).loads


@pytest.mark.parametrize(
    "content",
    ["{}", '{"weight_map": {}}', '{"weight_map": []}', '{"weight_map": null}',
     '{"weight_map": "model.safetensors"}', '{"metadata": {"total_size": 1}}'],
)  # fmt: skip
def test_an_index_without_a_map(content: str, sharded: Path) -> None:
    (sharded / INDEX).write_text(content)
    assert f"{INDEX} has no weight_map" in refusal(sharded)


@pytest.mark.parametrize(
    "name",
    ["../model.safetensors", "/etc/passwd", "/model.safetensors", "..", "", ".", "model.bin",
     "model.safetensors\n", "sub/a.safetensors", "a\0.safetensors", "..\\a.safetensors", 5, None,
     [], {}, ["model.safetensors"], "x" * 5000 + ".safetensors", "C:a.safetensors"],
)  # fmt: skip
def test_index_names_that_leave_the_directory(name: object, sharded: Path) -> None:
    write_index(sharded, read_places(sharded) | {"lm_head.weight": name})
    assert "names the weight file" in refusal(sharded)


def test_links_that_leave_the_directory(sharded: Path, tmp_path: Path) -> None:
    (sharded / TWO).rename(tmp_path / "outside.safetensors")
    (sharded / TWO).symlink_to(tmp_path / "outside.safetensors")
    assert "names the weight file" in refusal(sharded)
    (sharded / TWO).unlink()
    (tmp_path / "outside.safetensors").rename(sharded / "inside.safetensors")
    (sharded / TWO).symlink_to("inside.safetensors")
    assert describe_directory(sharded).loads


def test_the_links_of_a_hugging_face_cache(sharded: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b/snapshots/abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(sharded.iterdir())):
        path.rename(blobs / str(number))
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(number))
    assert describe_directory(snapshot).loads


def test_shards_that_the_index_hides(sharded: Path) -> None:
    os.link(sharded / ONE, sharded / "model-00003-of-00003.safetensors")
    assert "does not name the weight files model-00003-of-00003" in refusal(sharded)


def test_whole_weights_beside_shards(sharded: Path, tiny_folder: Path) -> None:
    os.link(tiny_folder / "model.safetensors", sharded / "model.safetensors")
    assert "does not name the weight files model.safetensors" in refusal(sharded)


def test_absent_shards(sharded: Path) -> None:
    (sharded / TWO).unlink()
    assert f"lacks the weight files {TWO}" in refusal(sharded)


def test_an_index_of_another_download(sharded: Path) -> None:
    places = read_places(sharded)
    write_index(sharded, places | {"lm_head.weight": TWO, "lm_tail.weight": ONE})
    assert "differ on where lm_head.weight, lm_tail.weight lie" in refusal(sharded)
    write_index(sharded, {name: file for name, file in places.items() if name != "lm_head.weight"})
    assert "differ on where lm_head.weight lie" in refusal(sharded)


def test_a_tensor_in_two_files(sharded: Path) -> None:
    state = load_file(sharded / TWO) | {"lm_head.weight": torch.zeros(512, 64)}
    save_weights(state, sharded / TWO)
    assert "has the weights lm_head.weight in" in refusal(sharded)


@pytest.mark.parametrize(
    "content", [b"", b"torn", b"\xff" * 64, (10**12).to_bytes(8, "little") + b"{}", b"PK\x03\x04"]
)
def test_damaged_weight_files(content: bytes, sharded: Path) -> None:
    (sharded / TWO).unlink()
    (sharded / TWO).write_bytes(content)
    assert f"{TWO} cannot be read" in refusal(sharded)


def test_a_header_that_says_more_than_the_file_holds(sharded: Path) -> None:
    tensor = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
    header = json.dumps({"lm_head.weight": tensor}).encode()
    (sharded / TWO).unlink()
    (sharded / TWO).write_bytes(len(header).to_bytes(8, "little") + header)
    assert f"{TWO} cannot be read" in refusal(sharded)


def test_pickles_are_no_weights(tiny_folder: Path, tmp_path: Path) -> None:
    folder = copy_model(tiny_folder, tmp_path / "copy")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    assert "lacks the weight files model.safetensors" in refusal(folder)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_not_finite_names_exactly_the_bad(kind: torch.dtype) -> None:
    largest = torch.full((1000,), torch.finfo(kind).max, dtype=kind)  # finite, whatever its sum
    tensors = {"good": torch.randn(7, 3).to(kind), "large": largest, "none": torch.empty(0)}
    for name, value in {"nan": torch.nan, "inf": torch.inf, "minus": -torch.inf}.items():
        tensors[name] = torch.zeros(11, dtype=kind)
        tensors[name][5] = value
    tensors["numbers"] = torch.arange(4)
    assert not_finite(tensors.items()) == ["nan", "inf", "minus"]
