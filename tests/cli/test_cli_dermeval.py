"""`skingpt dermeval`: train, score and agree from the command line, and what must not start."""

import json
from pathlib import Path

import pytest
import yaml
from tiny_evaluator import teach, tiny_recipe, write_backbone, write_rating_file

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.main import run
from skingpt_r1.ratings.rating import SCORE_COLUMNS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone, two rating files and a recipe file."""
    folder = tmp_path_factory.mktemp("dermeval")
    backbone = write_backbone(folder / "backbone")
    train = write_rating_file(folder, "train.jsonl", range(4))
    test = write_rating_file(folder, "test.jsonl", range(4, 8), seed=1)
    recipe = tiny_recipe(
        backbone, train, test, supervised__max_steps=1, policy__max_steps=1, report__resamples=50
    )
    values = recipe.model_dump(mode="json")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values), "utf-8")
    return folder


@pytest.fixture(scope="module")
def evaluator(folder: Path) -> Path:
    """The adapter folder of an evaluator that answers."""
    teach(folder / "backbone", folder / "taught")
    return folder / "taught" / "adapter"


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert run([str(word) for word in ("dermeval", *words)]) == 1
    err = capsys.readouterr().err
    assert "error: " in err
    assert "Traceback" not in err
    return err


def test_train_leaves_an_evaluator_results_and_an_export(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dermeval", "train", str(folder / "recipe.yaml"), "--out", str(folder / "run")]
    assert run([*words, "--export", str(folder / "export")]) == 0
    out = capsys.readouterr().out
    assert RESEARCH in out
    assert "policy, brief" in out
    assert (folder / "run" / "results.json").is_file()
    assert "For research, not for diagnosis" in (folder / "export" / "README.md").read_text()
    assert run([*words, "--set", "seed=5"]) == 1
    assert "belongs to another run" in capsys.readouterr().err


def test_score_and_agree(
    folder: Path, evaluator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tmp_path / "scores"
    words = ["score", str(folder / "test.jsonl"), "--out", str(scores), "--model", str(evaluator)]
    assert run(["dermeval", *words, "--brief"]) == 0
    out = capsys.readouterr().out
    assert "4 scored, 0 unscored" in out
    assert RESEARCH in out
    rated = [str(folder / "test.jsonl"), str(scores / "ratings.jsonl")]
    words = ["dermeval", "agree", *rated, "--out", str(tmp_path / "agreement")]
    assert run([*words, "--resamples", "100"]) == 0
    out = capsys.readouterr().out
    assert "4 narratives in both files" in out
    assert "only in test.jsonl: 0; only in ratings.jsonl: 0" in out
    rows = json.loads((tmp_path / "agreement" / "results.json").read_text())
    assert {row["metric"] for row in rows} >= {"mean absolute error", "bias"}
    assert (tmp_path / "agreement" / "bland_altman.png").is_file()
    assert RESEARCH in out


def test_an_evaluator_that_does_not_exist(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", folder / "test.jsonl", "--out", tmp_path, "--model", tmp_path / "none"]
    assert "there is no evaluator in" in refused(capsys, *words)


def test_narratives_without_pictures(
    evaluator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"id": "a", "image": "a.png", "diagnostic_text": "a wart"}\n')
    err = refused(capsys, "score", path, "--out", tmp_path / "run", "--model", evaluator)
    assert "1 narratives have pictures that are not there: a" in err


def test_a_row_without_a_text(
    evaluator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"id": "a", "image": "a.png"}\n')
    err = refused(capsys, "score", path, "--out", tmp_path / "run", "--model", evaluator)
    assert "row 1: no diagnostic_text" in err


def test_files_about_other_narratives(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, "agree", folder / "train.jsonl", folder / "test.jsonl")
    assert "no narrative has scores in both files" in err


def test_a_score_out_of_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rating_file(tmp_path, "r.jsonl", range(1), raters=1)
    path.write_text(path.read_text().replace('"safety": ', '"safety": 1'))
    assert "line 1: field scores.safety" in refused(capsys, "agree", path, path)


def rated(path: Path, scores: list[float], *, group: str | None = None) -> Path:
    rows = [
        {
            "id": f"n{at}",
            "image": "a.png",
            "diagnostic_text": "A round scaly plaque.",
            "scores": dict.fromkeys(SCORE_COLUMNS, value),
        }
        | ({} if group is None else {"group": group})
        for at, value in enumerate(scores)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rating_files_saved_by_an_editor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = rated(tmp_path / "a.jsonl", [1.0, 2.0, 4.0])
    second = rated(tmp_path / "b.jsonl", [1.5, 2.0, 4.5])
    first.write_bytes(b"\xef\xbb\xbf" + first.read_bytes().replace(b"\n", b"\r\n"))
    second.write_bytes(second.read_bytes() + b"\n")
    assert run(["dermeval", "agree", str(first), str(second), "--resamples", "100"]) == 0
    assert "3 narratives in both files" in capsys.readouterr().out
    rows = [json.loads(line) for line in second.read_text().splitlines() if line.strip()]
    second.write_text(json.dumps(rows))
    assert "is one JSON list (Label Studio" in refused(capsys, "agree", first, second)


@pytest.mark.parametrize(("group", "known"), [("p", False), (None, True)])
def test_raters_of_one_patient_have_no_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], group: str | None, known: bool
) -> None:
    files = [
        rated(tmp_path / name, scores, group=group)
        for name, scores in (("a.jsonl", [1.0, 2.0, 4.0, 3.0]), ("b.jsonl", [1.5, 2.0, 3.0, 3.0]))
    ]
    words = ["--resamples", "100", "--out", str(tmp_path)]
    assert run(["dermeval", "agree", *map(str, files), *words]) == 0
    assert ("one group: no interval" in capsys.readouterr().out) == (not known)
    rows = json.loads((tmp_path / "results.json").read_text())
    assert len(rows) == 5 * 7
    assert {(row["low"] is not None, row["high"] is not None) for row in rows} == {(known, known)}
    error = next(row["value"] for row in rows if row["metric"] == "mean absolute error")
    assert error == pytest.approx(0.375)


def test_a_rating_file_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot read" in refused(capsys, "agree", tmp_path / "a.jsonl", tmp_path / "b.jsonl")


def test_an_unknown_key_of_the_recipe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, "train", folder / "recipe.yaml", "--set", "policy.momentun=0.5")
    assert "unknown key policy.momentun; nearest: momentum" in err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dermeval", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in ("train", "score", "agree"))
