"""Questions: from rendered cases, from DermBench's layout, from a published corpus."""

import hashlib
import json
import logging

import pytest
from PIL import Image
from small_bench import bench_recipe

from skingpt_r1.case import Case
from skingpt_r1.dermbench.questions import (
    data_root,
    prepare_questions,
    read_questions,
    refuse_changed_pictures,
    source_of,
    with_pictures,
)
from skingpt_r1.dermbench.recipe import load_bench_recipe
from skingpt_r1.errors import DatasetError, RecipeError, RecordError, TrainingError
from skingpt_r1.records import read_json
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.wording import ask
from source_tree import ROOT

SAMPLE = ROOT.parent / "shared" / "data" / "dermbench_sample"
REFERENCE = (
    "<think> A red scaly plaque is seen. This fits psoriasis. </think> The answer is psoriasis."
)


def public_layout(root, pictures=("a",)):
    """DermBench as published, with two references and pictures for some of them."""
    rows = []
    for name in ("a", "b"):
        text = root / "data/cot/Psoriasis pictures Lichen Planus and related diseases"
        text.mkdir(parents=True, exist_ok=True)
        (text / f"{name}-1.jpg.txt").write_text(REFERENCE)
        picture = f"{text.name}/{name}-1.jpg"
        if name in pictures:
            (root / "images" / text.name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 48), (180, 90, 80)).save(root / "images" / picture)
        rows.append(
            {
                "id": name,
                "source": "dermnet",
                "split": "test",
                "category": text.name,
                "diagnosis": "psoriasis",
                "dermnet_image_path": picture,
                "cot": f"data/cot/{picture}.txt",
            }
        )
    manifest = root / "data/manifest/dermbench_test.jsonl"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_rendered_cases_have_written_references(tmp_path):
    questions = prepare_questions(bench_recipe(), tmp_path)
    assert len({question.id for question in questions}) == 10
    for question in questions:
        assert parse_narrative(question.reference).diagnosis == question.label
        assert question.prompt == ask({})
        assert (question.benchmark, question.form) == ("dermbench", "narrative")
        assert question.embeddable
        (image,) = question.images
        content = (data_root(tmp_path) / image).read_bytes()
        assert question.sha256 == (hashlib.sha256(content).hexdigest(),)
        assert str(tmp_path) not in question.model_dump_json()


def test_questions_are_made_once(tmp_path):
    first = prepare_questions(bench_recipe(), tmp_path)
    before = (tmp_path / "questions.jsonl").read_bytes()
    assert prepare_questions(bench_recipe(), tmp_path) == first == read_questions(tmp_path)
    assert (tmp_path / "questions.jsonl").read_bytes() == before
    again = tmp_path / "again"
    prepare_questions(bench_recipe(), again)
    assert (again / "questions.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "changes", [{"seed": 4}, {"data": {"seed": 78}}, {"local": {"max_new_tokens": 13}}]
)
def test_another_recipe_is_refused(tmp_path, changes):
    prepare_questions(bench_recipe(), tmp_path)
    with pytest.raises(TrainingError, match="belongs to another run"):
        prepare_questions(bench_recipe(**changes), tmp_path)


def test_systems_and_prices_may_change(tmp_path):
    prepare_questions(bench_recipe(), tmp_path)
    changed = bench_recipe(systems=["control/majority"], calls={"max_connections": 2})
    assert len(prepare_questions(changed, tmp_path)) == 10


def test_changed_questions_are_refused(tmp_path):
    prepare_questions(bench_recipe(), tmp_path)
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    with pytest.raises(TrainingError, match="manifest"):
        prepare_questions(bench_recipe(), tmp_path)


def test_public_layout_keeps_references_without_pictures(tmp_path, caplog):
    root = public_layout(tmp_path / "data set")
    recipe = bench_recipe(data={"dataset": "dermbench", "root": root, "count": None})
    with caplog.at_level(logging.WARNING):
        questions = prepare_questions(recipe, tmp_path / "run")
    assert "1 of 2 questions have no picture" in caplog.text
    shown, bare = questions
    assert len(shown.images) == len(shown.sha256) == 1
    assert bare.images == bare.sha256 == ()
    assert [question.reference for question in questions] == [REFERENCE, REFERENCE]
    assert not shown.embeddable
    assert "NC" in shown.licence
    manifest = read_json(tmp_path / "run/run.json")["manifest"]
    assert manifest["without a picture"] == 1
    (asked, _) = with_pictures(questions, data_root(tmp_path / "run"))
    assert asked.pictures[0].is_file()


def test_damaged_pictures_are_named_before_anything_is_asked(tmp_path):
    root = public_layout(tmp_path / "data set", pictures=("a", "b"))
    for path in (root / "images").rglob("*.jpg"):
        path.write_bytes(b"no picture")
    recipe = bench_recipe(data={"dataset": "dermbench", "root": root, "count": None})
    with pytest.raises(DatasetError, match="2 pictures of the benchmark cannot be read") as error:
        prepare_questions(recipe, tmp_path / "run")
    assert "a-1.jpg" in str(error.value)
    assert not (tmp_path / "run/run.json").exists()


def test_a_changed_picture_is_refused(tmp_path):
    questions = prepare_questions(bench_recipe(), tmp_path)
    asked = with_pictures(questions, data_root(tmp_path))
    refuse_changed_pictures(asked)
    Image.new("RGB", (48, 48)).save(asked[0].pictures[0])
    asked[1].pictures[0].unlink()
    with pytest.raises(DatasetError, match="2 pictures have changed"):
        refuse_changed_pictures(asked)


def test_no_run(tmp_path):
    with pytest.raises(RecordError, match="holds no benchmark run"):
        read_questions(tmp_path)


def test_a_corpus_case_is_of_its_source():
    published = Case(
        id="1",
        images=(),
        dataset="dermcot",
        group="ham10000/HAM_1",
        attributes={"source": "ham10000"},
    )
    assert source_of(published) == ("ham10000", "HAM_1")
    assert source_of(Case(id="1", images=(), dataset="ddi", group="g")) == ("ddi", "g")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"count": None}, "data.count is missing"),
        ({"dataset": "dermbench"}, "data.root is missing"),
        ({"form": "label"}, "name the label set with data.labels"),
        ({"labels": "ham10000"}, "are labels of ham10000, and data.dataset is synthetic"),
    ],
)
def test_bad_data(tmp_path, data, message):
    with pytest.raises((ValueError, RecipeError), match=message):
        prepare_questions(bench_recipe(data=data), tmp_path)


def test_demo_recipe():
    recipe = load_bench_recipe("dermbench_demo")
    assert "control/majority" in recipe.systems
    assert recipe.api.temperature == 0.0


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="../shared/data/dermbench_sample is not there")
def test_the_public_sample(tmp_path):
    recipe = bench_recipe(data={"dataset": "dermbench", "root": SAMPLE, "count": None})
    questions = prepare_questions(recipe, tmp_path)
    assert len(questions) == 138
    assert all(question.reference and not question.images for question in questions)
