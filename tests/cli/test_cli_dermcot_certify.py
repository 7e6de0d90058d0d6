"""`skingpt dermcot certify` and `publish`: the whole way, and what is refused."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from tiny_distill import write_backbone

from finished_corpus import make_corpus
from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.main import run
from skingpt_r1.ratings.rating import SCORE_COLUMNS


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", train=3, held_out=3)


def fill(folder: Path, **cells: str) -> Path:
    """The exported table with scores in every row."""
    with (folder / "ratings.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, **dict.fromkeys(SCORE_COLUMNS, "4.5"), **cells} for row in rows)
    return folder / "ratings.csv"


def test_export_import_publish(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet, out = tmp_path / "sheet", tmp_path / "published"
    command = ["dermcot", "certify", str(corpus)]
    assert run([*command, "--export", str(sheet), "--rater", "a", "--rater", "b"]) == 0
    assert "6 rows, 3 cases, 3 pictures" in capsys.readouterr().out
    assert run([*command, "--import", str(fill(sheet))]) == 0
    said = capsys.readouterr().out
    assert "6 ratings imported; unchanged 0, empty 0, wrong 0" in said
    assert "certified          3" in said
    assert "agreement of the raters" in said
    assert RESEARCH in said
    assert run([*command, "--import", str(sheet / "ratings.csv")]) == 0
    assert "nothing new" in capsys.readouterr().out
    assert run(["dermcot", "publish", str(corpus), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "train 3, certified 3" in said
    assert f"data.root={out}" in said
    assert run(["dermcot", "publish", str(corpus), "--out", str(out)]) == 0
    assert "published before" in capsys.readouterr().out
    assert run(["datasets", "check", "dermcot", str(out)]) == 0
    assert "test 3, train 3" in capsys.readouterr().out


def test_simulated(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dermcot", "certify", str(corpus)]) == 0
    assert "pending            3" in capsys.readouterr().out
    assert run(["dermcot", "certify", str(corpus), "--simulated"]) == 0
    said = capsys.readouterr().out
    assert "3 held-out cases, simulated raters" in said
    assert "certified          3" in said
    assert run(["dermcot", "certify", str(corpus), "--set", "mean=4.95"]) == 0
    assert "rejected           3" in capsys.readouterr().out
    assert run(["dermcot", "certify", str(corpus)]) == 0
    assert "rejected           3" in capsys.readouterr().out
    rows = json.loads((corpus / "certify" / "results.json").read_text("utf-8"))
    assert {"table": "certification", "system": "simulated raters", "metric": "rejected",
            "value": 3.0, "low": None, "high": None, "n": 3} in rows  # fmt: skip


def test_wrong_rating_rows(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet"
    command = ["dermcot", "certify", str(corpus)]
    assert run([*command, "--export", str(sheet), "--rater", "a"]) == 0
    path = fill(sheet, safety="good", comment="x")
    assert run([*command, "--import", str(path)]) == 1
    told = capsys.readouterr().err
    assert "3 of 3 rows are wrong; nothing was imported" in told
    assert "ratings.csv row 2: safety 'good' is no score" in told
    assert "--sound-rows" in told


def test_unknown_certification_rule(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dermcot", "certify", str(corpus), "--set", "means=4"]) == 1
    assert "unknown key means; nearest: mean" in capsys.readouterr().err
    assert run(["dermcot", "certify", str(corpus), "--set", "raters=1"]) == 1
    assert "raters" in capsys.readouterr().err


def test_one_thing_at_a_time(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dermcot", "certify", str(corpus), "--simulated", "--export", "x"]) == 2
    assert "one at a time" in capsys.readouterr().err


def test_corpus_that_is_not_disjoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_corpus(tmp_path / "corpus", train=2, held_out=2, repeat_group=True)
    assert run(["dermcot", "certify", str(corpus), "--simulated"]) == 0
    assert run(["dermcot", "publish", str(corpus), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "training and certified cases are not disjoint in 1 places" in told
    assert "same group (synthetic: synthetic-5-000000)" in told
    assert not (tmp_path / "out").exists()


def test_pictures_that_must_not_be_passed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "corpus", train=2, held_out=1, dataset="ddi")
    command = ["dermcot", "publish", str(corpus), "--out", str(tmp_path / "out")]
    assert run(command) == 1
    assert "ddi: Stanford AIMI terms" in capsys.readouterr().err
    assert run([*command, "--licence", "ddi"]) == 2
    assert "SOURCE=TERMS" in capsys.readouterr().err
    assert run([*command, "--licence", "ddi=CC0"]) == 1
    assert "your own pictures only" in capsys.readouterr().err
    assert run([*command, "--without-images"]) == 0


def test_corpus_that_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dermcot", "publish", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "skingpt dermcot build" in capsys.readouterr().err
    assert run(["dermcot", "certify", str(tmp_path)]) == 1
    assert "skingpt dermcot build" in capsys.readouterr().err


def test_distil_on_a_published_corpus(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, recipe = tmp_path / "published", tmp_path / "recipe.yaml"
    assert run(["dermcot", "certify", str(corpus), "--simulated"]) == 0
    assert run(["dermcot", "publish", str(corpus), "--out", str(out)]) == 0
    values = {
        "name": "tiny",
        "backbone": str(write_backbone(tmp_path / "backbone")),
        "data": {"count": 8},
        "adapter": {"visual": {"embed_dim": 16, "num_layers": 1, "bottleneck": 4}, "rank": 4},
        "teacher": {"kind": "none"},
        "losses": {"visual": 0},
        "train": {"max_steps": 1, "batch_size": 2},
    }
    recipe.write_text(yaml.safe_dump(values), "utf-8")
    given = ("data.dataset=dermcot", f"data.root={out}", "data.narratives=given")
    settings = [word for value in given for word in ("--set", value)]
    command = ["distill", str(recipe), *settings, "--out", str(tmp_path / "run")]
    capsys.readouterr()
    assert run(command) == 0
    assert "adapter: " in capsys.readouterr().out
    described = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert described["recipe"]["data"]["dataset"] == "dermcot"
