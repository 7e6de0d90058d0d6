"""The cases of a corpus: drawn or read, each with its fingerprints."""

import numpy as np
import pytest
from PIL import Image
from small_corpus import contents, small_recipe, small_tools

from skingpt_r1.case import Case
from skingpt_r1.data import write_folder
from skingpt_r1.data.overlap import fingerprint
from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.cases import case_records, gather, planned_candidates
from skingpt_r1.dermcot.corpus import CaseRecord
from skingpt_r1.dermcot.pipeline import build
from skingpt_r1.dermcot.recipe import CasesRecipe
from skingpt_r1.errors import DatasetError, ImageError
from skingpt_r1.records import read_json, read_records
from skingpt_r1.render.layouts import write_cases


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve pictures of six patients, one case without a label."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    cases = []
    for number in range(12):
        path = root / f"psoriasis-{number}.png"
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
        cases.append(
            Case(
                id=f"p{number}",
                images=(path,),
                dataset="folder",
                group=f"patient-{number // 2}",
                label=None if number == 11 else ("psoriasis", "melanoma")[number % 2],
                findings={"colour": "red", "surface": "scaly"},
                context={"site": "arm"},
                attributes={"itch": "True", "concepts": "Ulcer; Plaque"},
            )
        )
    write_folder(root, cases)
    return root


def real_recipe(root, **changes):
    return CasesRecipe.model_validate({"dataset": "folder", "root": root} | changes)


def test_drawn_cases_are_those_of_the_synthetic_data_set(tmp_path):
    recipe = CasesRecipe(count=5, held_out=2, size=48, seed=9)
    records = list(case_records(gather(recipe, tmp_path), recipe, tmp_path, done=0, workers=1))
    drawn = write_cases(tmp_path / "again", 7, seed=9, size=48)
    assert [r.part for r in records] == ["candidate"] * 5 + ["held_out"] * 2
    for record, case in zip(records, drawn, strict=True):
        (name,) = record.images
        assert name == f"pictures/images/{case.id}.png"
        assert (tmp_path / name).read_bytes() == case.images[0].read_bytes()
        found = fingerprint(case.images[0])
        assert record.sha256 == (found.file,)
        assert record.phash == (found.hash.tobytes().hex(),)
        assert (record.label, record.tone) == (case.label, case.tone)
        assert record.findings == dict(case.findings)


def test_the_rest_of_the_cases_follows(tmp_path):
    recipe = CasesRecipe(count=5, size=48)
    whole = list(case_records(gather(recipe, tmp_path), recipe, tmp_path, done=0, workers=1))
    rest = list(case_records(gather(recipe, tmp_path), recipe, tmp_path, done=3, workers=1))
    assert rest == whole[3:]


def test_patients_stay_together_and_the_unlabelled_are_counted(photos, tmp_path, caplog):
    gathered = gather(real_recipe(photos, held_out=4), tmp_path)
    chosen = list(gathered.cases())
    parts = {part: {case.group for case, p in chosen if p == part} for _, part in chosen}
    assert not parts["candidate"] & parts["held_out"]
    assert gathered.manifest["cases"] == 11
    assert gathered.manifest["unlabelled"] == 1
    assert "1 cases without a label are left out" in caplog.text


def test_a_limit_is_chosen_by_the_seed(photos, tmp_path):
    ids = [
        [case.id for case, _ in gather(real_recipe(photos, count=4, seed=n), tmp_path).cases()]
        for n in (1, 1, 2)
    ]
    assert len(ids[0]) == 4
    assert ids[0] == ids[1] != ids[2]


def test_too_many_held_out_cases_are_refused(photos, tmp_path):
    with pytest.raises(DatasetError, match="hold out fewer"):
        gather(real_recipe(photos, held_out=11), tmp_path)


def test_plans_need_no_picture(tmp_path):
    planned = list(planned_candidates(CasesRecipe(count=3), tmp_path))
    assert len(planned) == 3
    assert not list(tmp_path.rglob("*.png"))


def test_a_corpus_of_photos(photos, tmp_path):
    recipe = small_recipe(
        cases={"dataset": "folder", "root": str(photos), "count": None, "measure": True,
               "held_out": 3},
        narrators={"slips": 0.0},
        select={"keep": None, "minimum_mean": 0, "minimum": 0, "text_similarity": 1.01},
    )  # fmt: skip
    build(recipe, tmp_path / "corpus", small_tools(recipe))
    kept = list(corpus.read_corpus(tmp_path / "corpus"))
    assert kept
    for record in kept:
        assert "Also seen: an ulcer." in record.narrative
        assert "arm" in record.narrative
        assert "itch" not in record.narrative
        assert (photos / record.images[0]).is_file()
        assert (record.findings["surface"], record.findings["morphology"]) == ("scaly", "plaque")
    manifest = read_json(tmp_path / "corpus/run.json")["manifest"]
    assert manifest["cases"] == 11
    cases = read_records(corpus.cases_path(tmp_path / "corpus"), CaseRecord)
    assert not any("/" in text for text in (case.label for case in cases))
    assert str(tmp_path) not in "".join(
        content.decode("latin-1") for content in contents(tmp_path / "corpus").values()
    )


def test_a_damaged_picture_is_named(photos, tmp_path):
    broken = tmp_path / "photos"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"not a picture")
    (broken / "metadata.csv").write_text("file_name,label\na.png,acne\n")
    recipe = real_recipe(broken)
    with pytest.raises(ImageError, match=r"a\.png: not a picture"):
        list(case_records(gather(recipe, tmp_path), recipe, tmp_path, done=0, workers=1))
