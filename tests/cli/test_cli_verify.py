"""`skingpt verify`: marks and places in words, JSON, a picture with regions, and refusals."""

import io
import json

import pytest
from PIL import Image

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.main import run
from skingpt_r1.render.case import plan_case, render

PLAN = plan_case(0, 60_001)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "skin.png"
    Image.fromarray(render(PLAN)).save(path)
    return path


def text_about(tmp_path, text):
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_marks_places_and_the_notice(photo, tmp_path, capsys):
    true = PLAN.findings["colour"]
    text = text_about(tmp_path, f"A {true} lesion. It is not {true}. It is ulcerated.")
    assert run(["verify", str(photo), "--text", text]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "assessment: assessed"
    assert lines[1].startswith(f'+ colour: {true} ("{true}"), ')
    assert lines[2].startswith(f'x colour: not {true} ("{true}"), 0.')
    assert lines[3] == ('? sign: ulceration ("ulcerated"), no verifier knows this kind of finding')
    assert lines[-1] == RESEARCH


def test_json_and_a_picture_with_the_regions(photo, tmp_path, capsys, monkeypatch):
    marked = tmp_path / "marked.png"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"One {PLAN.findings['colour']} lesion."))
    arguments = ["verify", str(photo), "--text", "-", "--json", "--picture", str(marked)]
    assert run(arguments) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["assessment"] == "assessed"
    assert record["note"] == RESEARCH
    colour = next(claim for claim in record["claims"] if claim["slot"] == "colour")
    assert (colour["verdict"], colour["status"]) == ("supported", "stated")
    assert len(colour["region"]) == 4
    with Image.open(marked) as page:
        assert page.size == (448, 448)
        assert (0, 140, 90) in {pixel for _, pixel in page.getcolors(1 << 20)}


def test_what_cannot_be_assessed_has_no_verdicts(tmp_path, capsys):
    noise = tmp_path / "noise.png"
    Image.effect_noise((120, 120), 90).convert("RGB").save(noise)
    text = text_about(tmp_path, "A red plaque.")
    assert run(["verify", str(noise), "--text", text]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == ["assessment: cannot assess: it is noise, not a photo", RESEARCH]


def test_what_is_not_there_is_told(photo, tmp_path, capsys):
    assert run(["verify", str(photo), "--text", str(tmp_path / "none.txt")]) == 1
    assert "none.txt cannot be read" in capsys.readouterr().err
    text = text_about(tmp_path, "A red plaque.")
    assert run(["verify", str(photo), "--text", text, "--reader", str(tmp_path)]) == 1
    assert "holds no reader_config.json; give `nano`, or a reader's folder" in (
        capsys.readouterr().err
    )
