"""A run whose folder or whose data have moved: judged, continued and reported from elsewhere."""

import shutil
from pathlib import Path

import pytest

from skingpt_r1.cli.main import run
from skingpt_r1.dermbench.judgements import run_judge
from skingpt_r1.dermbench.judges.evaluator import EvaluatorJudge
from skingpt_r1.dermbench.questions import (
    data_root,
    read_questions,
    refuse_changed_pictures,
    with_pictures,
)
from skingpt_r1.errors import DatasetError
from skingpt_r1.render.layouts import write_ham10000

SMALL = [
    "--set",
    "systems=[control/majority]",
    "--set",
    "data.labels=null",
    "--set",
    "data.form=narrative",
]


class Looking(EvaluatorJudge):
    """The judge that looks at pictures, without weights: it must not come to them."""

    settings = {}


def bench(*more: str) -> int:
    return run(["bench", "run", "bench_ham10000", *SMALL, *more])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `data` and a run `runs/bench` that was given both by relative paths."""
    place = tmp_path / "first"
    place.mkdir()
    monkeypatch.chdir(place)
    write_ham10000(Path("data"), 3, 7, 48)
    assert bench("--set", "data.root=data", "--out", "runs/bench") == 0
    monkeypatch.chdir(tmp_path)
    return place


def test_records_name_pictures_from_the_root_of_the_data(place: Path) -> None:
    names = [name for item in read_questions(place / "runs" / "bench") for name in item.images]
    assert sorted(names) == sorted(
        path.relative_to(place / "data").as_posix() for path in (place / "data").rglob("*.jpg")
    )
    assert "first" not in (place / "runs" / "bench" / "run.json").read_text("utf-8")


def test_a_run_is_read_from_another_working_directory(place: Path) -> None:
    folder = place / "runs" / "bench"
    assert data_root(folder) == (place / "data").resolve()
    refuse_changed_pictures(with_pictures(read_questions(folder), data_root(folder)))


@pytest.mark.parametrize("what", ["the run", "the run with its data"])
def test_a_moved_run_finds_its_pictures(place: Path, tmp_path: Path, what: str) -> None:
    if what == "the run":
        (place / "runs" / "bench").rename(tmp_path / "moved")
        folder = tmp_path / "moved"
    else:
        place.rename(tmp_path / "second")
        folder = tmp_path / "second" / "runs" / "bench"
    root = place / "data" if what == "the run" else tmp_path / "second" / "data"
    assert data_root(folder) == root.resolve()
    assert run(["bench", "report", str(folder), "--out", str(tmp_path / "report")]) == 0


def test_another_data_set_at_the_old_place_is_not_taken(place: Path, tmp_path: Path) -> None:
    place.rename(tmp_path / "second")
    write_ham10000(place / "data", 3, 7, 64)  # the same names, other pictures
    folder = tmp_path / "second" / "runs" / "bench"
    assert data_root(folder) == (tmp_path / "second" / "data").resolve()


def test_data_that_moved_are_named_once(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "runs" / "bench"
    (place / "data").rename(tmp_path / "new_data")
    with pytest.raises(DatasetError, match=r"3 pictures have changed or moved.*--data DIR"):
        run_judge(folder, Looking("dermeval", None, "0"))
    (tmp_path / "wrong").mkdir()
    judge = ["bench", "judge", str(folder), "--judge", "rubric"]
    assert run([*judge, "--data", str(tmp_path / "wrong")]) == 1
    assert "no picture ISIC_" in capsys.readouterr().err
    assert run([*judge, "--data", str(tmp_path / "new_data")]) == 0
    assert data_root(folder) == (tmp_path / "new_data").resolve()


def test_a_run_goes_on_with_data_at_a_new_place(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.rename(tmp_path / "second")
    folder = tmp_path / "second" / "runs" / "bench"
    root = tmp_path / "second" / "data"
    more = ["--system", "again=control/majority", "--out", str(folder)]
    assert bench("--set", f"data.root={root}", *more) == 0
    assert "again: 3 of 3 answered" in capsys.readouterr().out
    shutil.copytree(root, tmp_path / "changed")
    for path in (tmp_path / "changed").rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + b"x")
    assert bench("--set", f"data.root={tmp_path / 'changed'}", *more) == 1
    assert "is another file now" in capsys.readouterr().err
    assert data_root(folder) == root.resolve()
