"""`--device` and `--dtype`: every command that loads a model has them, and refuses what is not."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from skingpt_r1.cli.main import run
from skingpt_r1.cli.options import all_settings, model_recipe

COMMANDS = {
    "diagnose": ["diagnose", "photo.png"],
    "features": ["features", "nano_bias_text"],
    "distill": ["distill", "nano_bias_text"],
    "dermcot build": ["dermcot", "build", "dermcot_demo"],
    "dermeval train": ["dermeval", "train", "dermeval_nano"],
    "dermeval score": ["dermeval", "score", "texts.jsonl", "--out", "out"],
    "bench run": ["bench", "run", "dermbench_demo"],
    "bench judge": ["bench", "judge", "run", "--judge", "dermeval"],
    "ablate": ["ablate", "ablation_nano"],
    "demo": ["demo"],
    "real": ["real", "data"],
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the recipes, a photo and a file of texts."""
    Image.new("RGB", (32, 32), "pink").save(tmp_path / "photo.png")
    row = {"id": "a", "image": "photo.png", "diagnostic_text": "Red scaly plaques: psoriasis."}
    (tmp_path / "texts.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_word_that_is_no_device(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*COMMANDS[command], "--device", "gpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "'gpu' is no device; give auto, cpu, cuda, cuda:<number> or mps" in error
    assert not (place / "runs").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_word_that_is_no_dtype(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*COMMANDS[command], "--dtype", "float"]) == 1
    assert "'float' is no dtype; give auto, fp32, bf16, fp16" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["diagnose", "features", "dermeval score", "bench judge"])
def test_a_device_that_is_not_there(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run([*COMMANDS[command], "--device", "cuda"]) == 1
    assert "no device 'cuda'; it has" in capsys.readouterr().err


def test_the_dtype_of_scores_is_part_of_their_run(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COMMANDS["dermeval score"], "--brief", "--device", "cpu"]
    assert run(command) == 0
    assert json.loads((place / "out" / "run.json").read_text("utf-8"))["recipe"]["dtype"] == (
        "float32"
    )
    assert run(command) == 0
    assert run([*command, "--dtype", "bf16"]) == 1
    assert "dtype" in capsys.readouterr().err


def test_what_is_not_given_leaves_the_recipe_alone() -> None:
    assert all_settings(None, None, None) == []
    given = ["models.device=cuda:1", "models.dtype=fp32"]
    assert all_settings(["seed=1"], "cuda:1", "fp32") == ["seed=1", *given]
    assert model_recipe(None, None).model_dump() == {"device": "auto", "dtype": "auto"}
