"""`skingpt dermcot build|select|stats`: a corpus from the command line, and what must not start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from openai_server import openai_server, text
from small_corpus import contents, small_recipe, small_tools

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.dermcot import corpus_tools, judges_unknown_skin
from skingpt_r1.cli.main import run
from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.pipeline import build
from skingpt_r1.dermcot.recipe import CorpusRecipe
from skingpt_r1.dermeval.report import knows_rendered_skin_only
from skingpt_r1.records import start_run
from skingpt_r1.render.layouts import NOTE, write_pad_ufes_20


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file, and beside it the folder `finished` that was built by it."""
    folder = tmp_path_factory.mktemp("recipe")
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(small_recipe().model_dump(mode="json")), "utf-8")
    build(small_recipe(), folder / "finished", small_tools(small_recipe()))
    return path


@pytest.fixture
def finished(recipe: Path) -> Path:
    return recipe.parent / "finished"


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert run([str(word) for word in words]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    return err


def test_a_finished_corpus_is_done_at_once(
    recipe: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    assert run(["dermcot", "build", str(recipe), "--out", str(finished)]) == 0
    after = contents(finished)
    assert {name: after[name] for name in before} == before
    said = capsys.readouterr().out
    assert "cases: candidate 48, held_out 12" in said
    assert "20 of" in said
    assert "dropped: label_mismatch" in said
    assert "cost: 0.0000 US dollars" in said
    assert RESEARCH in said
    rows = json.loads((finished / "results.json").read_text("utf-8"))
    kept = [row["value"] for row in rows if (row["table"], row["system"]) == ("stages", "select")]
    assert kept[0] == 20


def test_stats_are_printed_and_nothing_is_written(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    assert run(["dermcot", "stats", str(finished)]) == 0
    said = capsys.readouterr().out
    assert "simulated slips among the scored" in said
    assert "kept by tone: " in said
    assert contents(finished) == before


def test_select_again(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "corpus"
    build(small_recipe(), folder, small_tools(small_recipe()))
    assert run(["dermcot", "select", str(folder), "--set", "keep=6"]) == 0
    assert len(list(corpus.read_corpus(folder))) == 6
    assert "not_among_best" in capsys.readouterr().out
    err = refused(capsys, "dermcot", "select", folder, "--set", "kep=6")
    assert "unknown key kep; nearest: keep" in err


def test_select_before_anything_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "dermcot", "select", tmp_path)
    assert "its candidates are not scored yet" in err


def test_dry_run_does_nothing(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "corpus"
    assert run(["dermcot", "build", str(recipe), "--out", str(out), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "48 candidates of synthetic, 12 held out" in said
    assert "observe: offline: 60 texts, no cost" in said
    assert not out.exists()


def test_dry_run_estimates_a_model(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["dermcot", "build", str(recipe), "--out", str(tmp_path / "x"), "--dry-run"]
    settings = ["--set", "narrators.slips=0", "--narrator", "openai/some-model"]
    assert run([*command, *settings]) == 0
    said = capsys.readouterr().out
    assert "observe: openai/some-model: 60 calls, 60 pictures" in said
    assert "reason: openai/some-model: 60 calls, 0 pictures" in said


def test_unknown_narrator(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "narrators.slips=0", "--out", tmp_path / "x", "--narrator", "gpt"]
    err = refused(capsys, "dermcot", "build", recipe, *settings)
    assert "no narrator is called 'gpt'" in err
    assert not (tmp_path / "x").exists()


def test_unknown_corpus_recipe_key(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, "dermcot", "build", recipe, "--set", "select.minimum_men=3")
    assert "unknown key select.minimum_men; nearest: minimum_mean" in err


def test_changed_corpus_recipe_on_resume(
    recipe: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refused(capsys, "dermcot", "build", recipe, "--out", finished, "--set", "seed=6")
    assert "belongs to another run" in err


def test_an_evaluator_that_does_not_exist(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ["--set", f"score.evaluator={tmp_path / 'nowhere'}"]
    small = ["--set", "cases.count=4", "--set", "cases.held_out=0", "--workers", "1"]
    err = refused(capsys, "dermcot", "build", recipe, *nowhere, *small, "--out", tmp_path / "x")
    assert "there is no evaluator" in err


def test_stats_of_no_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no corpus" in refused(capsys, "dermcot", "stats", tmp_path)


def test_a_corpus_file_of_another_run(
    recipe: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "run.json").write_bytes((finished / "run.json").read_bytes())
    lines = corpus.cases_path(finished).read_bytes().splitlines(keepends=True)
    corpus.cases_path(tmp_path).write_bytes(lines[3])
    err = refused(capsys, "dermcot", "build", recipe, "--out", tmp_path)
    assert "where another one belongs" in err


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures that are not known to be rendered, with a table."""
    write_pad_ufes_20(tmp_path / "photos", 4, 3, 48)
    (tmp_path / "photos" / NOTE).unlink()
    return tmp_path / "photos"


def recipe_of(root: Path) -> CorpusRecipe:
    cases = {"dataset": "pad_ufes_20", "root": root, "count": None}
    return CorpusRecipe.model_validate({"name": "photos", "cases": cases})


def test_an_evaluator_that_knows_rendered_skin_only_is_said_to_be_one(photos: Path) -> None:
    recipe = recipe_of(photos)
    assert judges_unknown_skin(recipe)
    name = corpus_tools(recipe).evaluator
    assert name == "dermeval:nano (has learned from rendered skin and simulated raters alone)"
    rendered = small_recipe()
    assert not judges_unknown_skin(rendered)
    assert corpus_tools(rendered).evaluator == "dermeval:nano"


def test_rendered_pictures_in_the_layout_of_a_data_set_are_no_photos(tmp_path: Path) -> None:
    write_pad_ufes_20(tmp_path / "rendered", 4, 3, 48)
    assert not judges_unknown_skin(recipe_of(tmp_path / "rendered"))


@pytest.mark.parametrize(("train", "alone"), [(None, True), ("ratings.jsonl", False)])
def test_the_recipe_of_an_evaluator_says_what_it_learned_from(
    train: str | None, alone: bool, tmp_path: Path
) -> None:
    start_run(tmp_path, {"data": {"raters": 3, "train": train}}, seed=0)
    assert knows_rendered_skin_only(tmp_path / "adapter") == alone


def test_a_language_model_prints_no_line_for_a_call(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = text(
        "<think> Observation: A papule. Reasoning: It fits. </think> <answer> wart </answer>"
    )
    few = ["--set", "cases.count=3", "--set", "cases.held_out=1", "--set", "narrators.slips=0"]
    with openai_server(lambda _call: said) as server:
        command = [
            sys.executable, "-m", "skingpt_r1.cli", "-v", "dermcot", "build", "dermcot_demo", *few,
            "--workers", "1", "--narrator", f"{server.url}#toy", "--out", str(tmp_path / "corpus"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert server.num_calls >= 2
    assert "observe: 4 of 4" in done.stderr
    assert "HTTP" not in done.stderr
    assert done.stderr.count("observe") == 1
