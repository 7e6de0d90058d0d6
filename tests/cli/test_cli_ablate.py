"""`skingpt ablate`: what is wrong is said before anything is trained."""

from pathlib import Path

import pytest

from skingpt_r1.cli.distill import print_ablation
from skingpt_r1.cli.main import run
from skingpt_r1.dermbench.ablation.run import AblationRow
from skingpt_r1.stats.intervals import Interval

RECIPE = "ablation_nano"


def test_ablation_without_its_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    assert run(["ablate", RECIPE, "--set", f"corpus={absent}", "--out", str(tmp_path / "o")]) == 1
    assert "absent" in capsys.readouterr().err


def test_ablation_of_unfiltered_narratives_needs_a_corpus(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["ablate", RECIPE, "--set", "corpus=null"]) == 1
    assert "corpus is missing" in capsys.readouterr().err


def test_ablation_cell_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ablate", RECIPE, "--set", "differences=[[nobody, base]]"]) == 1
    assert "no cell is called 'nobody'" in capsys.readouterr().err


def test_the_table_names_cells_and_differences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    half = {"diagnosis accuracy": Interval(0.5, 0.25, 0.75, 40)}
    rows = [
        AblationRow("base", ("seed_0",), (0,), 40, half, {}),
        AblationRow("adapted", ("seed_0/a", "seed_1/a"), (0, 1), 40, half, {}),
        AblationRow("adapted - base", (), (0, 1), 40, {}, {}),
    ]
    print_ablation(rows)
    out = capsys.readouterr().out
    assert "Ablation, 40 unseen cases, seeds 0, 1" in out
    assert "50.0 (25.0 to 75.0)" in out
    assert "Differences, paired by seed and case" in out
