"""Every command that writes a run refuses a folder that another process writes."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_corpus
import yaml
from made_run import write_run
from small_corpus import contents, small_recipe, small_tools

from owned_folder import Hold
from skingpt_r1.cli.main import run
from skingpt_r1.dermcot.pipeline import build
from skingpt_r1.ratings.rating import SCORE_COLUMNS
from skingpt_r1.runs import LOCK

COMMANDS = [
    "dermcot build dermcot_demo --out {}",
    "dermcot select {}",
    "dermcot certify {} --simulated",
    "dermcot publish {} --out {}_published",
    "distill nano_bias_text --out {}",
    "features nano_bias_text --out {}",
    "dermeval train dermeval_nano --out {}",
    "dermeval score {}/../texts.jsonl --out {}",
    "dermeval agree {}/../texts.jsonl {}/../texts.jsonl --out {}",
    "bench run dermbench_demo --out {}",
    "bench judge {}",
    "bench report {}",
    "ablate ablation_nano --out {}",
    "real nowhere --out {}/..",
    "demo --out {}",
    "datasets synthetic ham10000 {} --count 2",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what a command must find before it begins to write."""
    folder = tmp_path / "pad_ufes_20"
    write_run(folder, cases=4, systems=("good",))
    (folder / "selection.json").write_text("{}")
    (tmp_path / "picture.png").touch()
    row = {"id": "a", "image": "picture.png", "diagnostic_text": "x", "rater": "r"}
    row |= {"scores": dict.fromkeys(SCORE_COLUMNS, 4.0)}
    (tmp_path / "texts.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.partition(" {")[0])
def test_a_folder_that_is_being_written_is_refused(
    command: str, folder: Path, hold: Hold, capsys: pytest.CaptureFixture[str]
) -> None:
    first = hold(folder)
    before = contents(folder)
    assert run(command.replace("{}", str(folder)).split()) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    wanted = rf"error: .*pad_ufes_20 is being written by process {first.pid} on host \S+ since 2"
    assert re.match(wanted, error), error
    assert contents(folder) == before


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.01)


def test_a_second_build_is_refused_and_a_killed_one_ends_like_an_unbroken_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump(small_recipe().model_dump(mode="json")), "utf-8")
    out, whole = tmp_path / "out", tmp_path / "whole"
    first = subprocess.Popen([sys.executable, small_corpus.__file__, str(out)])
    wait_for(out / "stages" / "0_cases.jsonl")
    assert run(["dermcot", "build", str(recipe), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert f"{out} is being written by process {first.pid} on host {os.uname().nodename}" in said
    assert said.count("\n") == 1
    first.kill()
    first.wait()
    assert (out / LOCK).is_file()
    for folder in (out, whole):
        build(small_recipe(), folder, small_tools(small_recipe()))
    assert contents(out) == contents(whole)
