"""`skingpt distill`: a small run from the command line, and runs that must not start."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_distill import write_backbone, write_pictures

from skingpt_r1.cli.main import run
from skingpt_r1.data import write_folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file on a random backbone and twelve pictures."""
    folder = tmp_path_factory.mktemp("recipe")
    pictures = folder / "pictures"
    pictures.mkdir()
    write_folder(pictures, write_pictures(pictures, 12))
    values = {
        "name": "tiny",
        "backbone": str(write_backbone(folder / "backbone")),
        "data": {"dataset": "folder", "root": str(pictures), "split": {"train": 0.5, "test": 0.5}},
        "adapter": {"visual": {"embed_dim": 16, "num_layers": 1, "bottleneck": 4}, "rank": 4},
        "teacher": {"kind": "none"},
        "losses": {"visual": 0},
        "train": {"max_steps": 1, "batch_size": 4, "log_every": 1},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


@pytest.fixture(scope="module")
def finished(recipe: Path) -> Path:
    """A finished run of the recipe."""
    folder = recipe.parent / "run"
    assert run(["features", str(recipe), "--out", str(folder)]) == 0
    assert not (folder / "adapter").exists()
    assert run(["distill", str(recipe), "--out", str(folder)]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert run([str(word) for word in words]) == 1
    err = capsys.readouterr().err
    assert "error: " in err
    assert "Traceback" not in err
    return err


def test_run_leaves_an_adapter_that_loads(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (finished / "run.json").is_file()
    assert run(["models", str(finished / "adapter")]) == 0
    assert "adapter, loads" in capsys.readouterr().out


def test_features_are_shared(
    recipe: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = ["--features", str(finished / "features")]
    assert run(["features", str(recipe), "--out", str(tmp_path), *stored]) == 0
    assert f"6 cases in {finished / 'features'}" in capsys.readouterr().out
    assert not (tmp_path / "features").exists()


def test_same_command_again_is_done_at_once(recipe: Path, finished: Path) -> None:
    weights = finished / "adapter" / "adapter_model.safetensors"
    before = weights.read_bytes()
    assert run(["distill", str(recipe), "--out", str(finished)]) == 0
    assert weights.read_bytes() == before


def test_changed_recipe_on_resume(
    recipe: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "distill", recipe, "--set", "seed=2", "--out", finished)
    assert "seed" in err
    assert "belongs to another run" in err


@pytest.mark.parametrize(
    ("added", "said"),
    [("<|image_pad|>", "contains '<|image_pad|>'"), (" red scaly plaque" * 3000, "tokens")],
)
def test_a_narrative_that_cannot_be_taught(
    added: str, said: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = write_pictures(tmp_path, 6)
    write_folder(tmp_path, [replace(case, narrative=f"<think> red{added}") for case in cases])
    changes = [f"data.root={tmp_path}", "data.narratives=given"]
    options = [word for change in changes for word in ("--set", change)]
    err = refused(capsys, "distill", recipe, *options, "--out", tmp_path / "run")
    assert re.search(r"- case-\d: its narrative", err)
    assert said in err


def test_unknown_recipe_key(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, "distill", recipe, "--set", "train.epoch=3")
    assert "unknown key train.epoch; nearest: epochs" in err


def test_wrong_type_in_a_recipe(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "train.epochs" in refused(capsys, "distill", recipe, "--set", "train.epochs=many")


def test_recipe_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no recipe" in refused(capsys, "distill", tmp_path / "recipe.yaml")


def test_missing_teacher_vector(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = tmp_path / "vectors"
    vectors.mkdir()
    np.save(vectors / "0-0.npy", np.ones(8, np.float32))
    settings = ["teacher.kind=precomputed", f"teacher.path={vectors}", "losses.visual=1"]
    options = [word for setting in settings for word in ("--set", setting)]
    err = refused(capsys, "distill", recipe, *options, "--out", tmp_path / "run")
    assert "case-" in err
    assert "teacher" in err


def test_read_only_output(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder would have to be made")
    err = refused(capsys, "distill", recipe, "--out", blocked / "run")
    assert str(blocked) in err
