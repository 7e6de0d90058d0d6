"""`skingpt diagnose`: what is printed, as text, as a stream and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.main import run
from skingpt_r1.errors import NarrativeError
from skingpt_r1.evidence import verify as verify  # before the loader of models is replaced
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.render.case import plan_case, render
from skingpt_r1.text.narrative import Narrative, make_narrative

PLAN = plan_case(0, 60_001)
WART = make_narrative("One rough papule.", "Rough papules fit a wart.", "wart", ("nevus", "corn"))


class ScriptedModel:
    """Answers as told, and remembers what it was asked."""

    config = AdapterConfig()  # of no backbone that a verifier knows

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
        Image.fromarray(render(PLAN)).save(tmp_path / name)
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


@pytest.mark.parametrize("how", [[], ["--json"], ["--stream"]])
def test_what_cannot_be_assessed_gets_the_reason_and_no_diagnosis(
    how: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = use(monkeypatch, WART)
    Image.effect_noise((90, 90), 90).convert("RGB").save(tmp_path / "noise.png")
    assert run(["diagnose", str(tmp_path / "noise.png"), *how]) == 0
    out = capsys.readouterr().out
    assert "cannot assess: it is noise, not a photo" in out
    assert RESEARCH in out
    assert "wart" not in out
    assert not model.asked
    assert run(["diagnose", str(tmp_path / "noise.png"), "--no-assess", *how]) == 0
    assert "wart" in capsys.readouterr().out


def test_claims_are_held_against_the_picture(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diagnose", str(photos / "a.png"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["assessment"] == "assessed"
    stated = [claim for claim in record["claims"] if claim["status"] == "stated"]
    assert stated
    for claim in stated:
        is_true = PLAN.findings.get(claim["slot"]) == claim["value"]
        assert claim["verdict"] != ("contradicted" if is_true else "supported"), claim
    assert run(["diagnose", str(photos / "a.png")]) == 0
    assert "Claims (+ supported, x contradicted, ? not checkable):" in capsys.readouterr().out


def test_the_plain_backbone_says_nothing_of_pictures_from_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    blotches = Image.fromarray(rng.integers(60, 200, (16, 16)).astype(np.uint8))
    shades = np.asarray(blotches.resize((224, 224), Image.Resampling.BICUBIC))[..., None]
    skin = shades / 255 * np.array([230, 170, 140]) + rng.normal(0, 3, (224, 224, 1))
    Image.fromarray(skin.clip(0, 255).astype(np.uint8)).save(tmp_path / "other.png")
    assert run(["diagnose", str(tmp_path / "other.png")]) == 0
    out = capsys.readouterr().out
    assert "not like the pictures that were learned from (rendered skin)" in out
