"""`skingpt diagnose`: what is printed, as text, as a stream and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.main import run
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import Narrative, make_narrative

WART = make_narrative("One rough papule.", "Rough papules fit a wart.", "wart", ("nevus", "corn"))


class ScriptedModel:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, answers: Sequence[Narrative | NarrativeError]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[list[str], dict[str, str], Sequence[str] | None]] = []

    def diagnose(
        self,
        images: Sequence[Path],
        context: Mapping[str, str],
        *,
        candidates: Sequence[str] | None,
    ) -> Narrative:
        self.asked.append(([path.name for path in images], dict(context), candidates))
        answer = self.answers.pop(0)
        if isinstance(answer, NarrativeError):
            raise answer
        return answer

    def stream(self, images: Sequence[Path], context: Mapping[str, str]) -> Iterator[object]:
        self.asked.append(([path.name for path in images], dict(context), None))
        yield from ("<think> Observation: ", "One rough papule.", WART)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), "pink").save(tmp_path / name)
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, *answers: Narrative | NarrativeError) -> ScriptedModel:
    model = ScriptedModel(answers)
    monkeypatch.setattr("skingpt_r1.model.load.load_model", lambda _name, **_where: model)
    return model


def test_text(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, WART)
    assert run(["diagnose", str(photos / "a.png")]) == 0
    out = capsys.readouterr().out
    assert "Observation:  One rough papule." in out
    assert "Differential: nevus; corn" in out
    assert "Diagnosis:    wart" in out
    assert RESEARCH in out


def test_json_is_one_object_per_picture(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = use(monkeypatch, WART, WART)
    assert run(["diagnose", str(photos), "--json", "--context", "site=left arm"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["diagnosis"] for record in records] == ["wart", "wart"]
    assert records[0]["differential"] == ["nevus", "corn"]
    assert records[0]["text"] == WART.text
    assert records[0]["note"] == RESEARCH
    assert [asked[0] for asked in model.asked] == [["a.png"], ["b.png"]]
    assert model.asked[0][1] == {"site": "left arm"}


def test_one_case_and_candidates(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = use(monkeypatch, WART)
    assert run(["diagnose", str(photos), "--one-case", "--candidates", "wart, nevus"]) == 0
    assert model.asked == [(["a.png", "b.png"], {}, ("wart", "nevus"))]


def test_unknown_context_key(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["diagnose", str(photos / "a.png"), "--context", "sex=f", "--context", "age=40"])
    assert code == 2
    err = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "unknown context 'sex'; known: site, age" in err


def test_stream(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch)
    assert run(["diagnose", str(photos / "a.png"), "--stream"]) == 0
    out = capsys.readouterr().out
    assert "<think> Observation: One rough papule." in out
    assert "Diagnosis: wart" in out


def test_unreadable_answers_are_counted_and_the_rest_is_kept(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, NarrativeError("no_diagnosis", "no diagnosis was found"), WART)
    assert run(["diagnose", str(photos), "--json"]) == 1
    captured = capsys.readouterr()
    first, second = (json.loads(line) for line in captured.out.splitlines())
    assert first["error"]["reason"] == "no_diagnosis"
    assert "diagnosis" not in first
    assert second["diagnosis"] == "wart"
    assert "1 of 2 answers" in captured.err


def test_random_weights_do_not_crash(
    photos: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["diagnose", str(photos / "a.png"), "--model", str(tiny_folder), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert code == int("error" in record)
