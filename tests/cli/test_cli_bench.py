"""`skingpt bench run`: what is printed, and how bad input ends."""

import json

import pytest

from skingpt_r1.cli.main import run
from skingpt_r1.render.layouts import write_cases

DEMO = "dermbench_demo"
SMALL = ["--set", "data.count=4", "--set", "data.size=48"]


def bench(folder, *more, systems="[control/majority]"):
    given = ["--set", f"systems={systems}", *SMALL, "--out", str(folder), *more]
    return run(["bench", "run", DEMO, *given])


def test_run_prints_what_became_of_the_questions(tmp_path, capsys):
    assert bench(tmp_path, "--system", "oracle=control/reference") == 0
    out = capsys.readouterr().out
    assert "control/majority: 4 of 4 answered" in out
    assert "oracle: 4 of 4 answered" in out
    assert "overlap with its training: not checked; a control" in out
    assert "For research, not for diagnosis." in out
    names = sorted(path.name for path in (tmp_path / "answers").iterdir())
    assert names == ["control-majority.jsonl", "oracle.jsonl"]


def test_unknown_system(tmp_path, capsys):
    assert bench(tmp_path, "--system", "gpt-5") == 1
    assert "error: no system is called 'gpt-5'" in capsys.readouterr().err


def test_no_system(tmp_path, capsys):
    assert bench(tmp_path, systems="[]") == 1
    assert "error: no system is named" in capsys.readouterr().err


def test_system_directory_that_does_not_exist(tmp_path, capsys):
    assert bench(tmp_path, "--system", "skingpt/nowhere") == 1
    assert "there is no directory 'nowhere'" in capsys.readouterr().err


def test_changed_bench_recipe_on_resume(tmp_path, capsys):
    assert bench(tmp_path) == 0
    assert bench(tmp_path, "--set", "seed=5") == 1
    assert "belongs to another run" in capsys.readouterr().err


def test_system_trained_on_questions(tmp_path, capsys):
    trained = tmp_path / "trained"
    trained.mkdir()
    data = {"dataset": "synthetic", "count": 5, "size": 48, "seed": 9000}
    recipe = {"name": "run", "backbone": "nano", "data": data}
    (trained / "run.json").write_text(json.dumps({"recipe": recipe}))
    write_cases(trained / "pictures", 5, 9000, 48)
    told = ["--set", f"training={{control/majority: {trained}}}"]
    assert bench(tmp_path / "bench", *told) == 1
    assert "was trained on 4 of the questions" in capsys.readouterr().err
    assert bench(tmp_path / "bench", *told, "--allow-overlap") == 0
    assert "trained on 4 of the questions, which are marked" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["system", "data.counts"])
def test_unknown_bench_recipe_key(tmp_path, capsys, key):
    assert bench(tmp_path, "--set", f"{key}=1") == 1
    assert f"unknown key {key}" in capsys.readouterr().err
