"""Rendered cases in the layouts of public sets, read by the real readers."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from skingpt_r1.case import SkinTone, Split
from skingpt_r1.data import READERS
from skingpt_r1.data.splits import shared_groups, split_cases
from skingpt_r1.dermbench.classification.labels import LABEL_SETS, gold_labels
from skingpt_r1.errors import DatasetError
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.render.layouts import LAYOUTS, make_shots, patients_of, rendered_layout
from skingpt_r1.text.taxonomy import match_label

NUMBER, SEED, SIZE = 30, 5, 32
TABLES = {
    "ham10000": "HAM10000_metadata.csv",
    "pad_ufes_20": "metadata.csv",
    "fitzpatrick17k": "fitzpatrick17k.csv",
}
# What no rendered condition is.
EMPTY = {
    "ham10000": {"dermatofibroma", "vascular lesion"},
    "pad_ufes_20": {"squamous cell carcinoma"},
}
LEFT_OUT = {"tinea corporis", "pityriasis versicolor", "molluscum contagiosum", "herpes zoster"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("layouts")
    for name, write in LAYOUTS.items():
        write(root / name, NUMBER, SEED, SIZE)
    return root


def rows_of(folder, name):
    with (folder / name / TABLES[name]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_real_reader_reads_it(folders, name):
    reading = READERS[name].read(folders / name)
    assert (reading.problems, reading.missing) == ([], [])
    assert len(reading.cases) == NUMBER
    assert LAYOUTS[name](folders / name, NUMBER, SEED, SIZE) == reading.cases
    for case in reading.cases:
        with Image.open(case.images[0]) as image:
            assert image.size == (SIZE, SIZE)
        assert case.context == {}


@pytest.mark.parametrize("name", LAYOUTS)
def test_labels_are_those_of_the_conditions(folders, name):
    cases = READERS[name].load(folders / name)
    labels = READERS[name].labels
    wanted = {match_label(condition.name, labels) for condition in CONDITIONS} - {None}
    assert {case.label for case in cases} == wanted
    if name in EMPTY:
        assert set(labels) - wanted == EMPTY[name]
    counts = Counter(case.label for case in cases)
    assert max(counts.values()) <= 2 * min(counts.values()) + 1


def test_conditions_without_a_label_are_left_out():
    labels = READERS["fitzpatrick17k"].labels
    assert {item.name for item in CONDITIONS if match_label(item.name, labels) is None} == LEFT_OUT
    assert match_label("melanocytic nevus", labels) == "nevocytic nevus"
    assert match_label("seborrheic keratosis", READERS["ham10000"].labels) == "benign keratosis"


@pytest.mark.parametrize(
    "benchmark", ["ham10000", "pad_ufes_20", "fitzpatrick17k_9", "fitzpatrick17k_114"]
)
def test_every_case_has_a_label_of_the_benchmark(folders, benchmark):
    labels = LABEL_SETS[benchmark]
    cases = READERS[labels.dataset].load(folders / labels.dataset)
    assert len(gold_labels(cases, labels)) == NUMBER


@pytest.mark.parametrize("name", ["ham10000", "pad_ufes_20"])
def test_groups_hold_several_pictures_and_are_never_split(folders, name):
    cases = READERS[name].load(folders / name)
    sizes = Counter(case.group for case in cases)
    assert max(sizes.values()) > 1
    parts = split_cases(cases, {Split.TRAIN: 0.6, Split.TEST: 0.4}, seed=1)
    assert all(parts.values())
    assert not shared_groups(parts)


def test_a_lesion_keeps_its_findings_and_place_in_a_second_picture(folders):
    labels = tuple(READERS["ham10000"].labels)
    shots = make_shots(labels, "dermoscope", NUMBER, SEED, twice=1.0)
    first, second = shots[:2]
    assert first.lesion == second.lesion
    assert first.plan.findings == second.plan.findings
    assert np.array_equal(first.plan.spots, second.plan.spots)
    assert first.plan.camera.field == second.plan.camera.field
    assert first.plan.camera.light != second.plan.camera.light
    by_lesion = Counter(row["lesion_id"] for row in rows_of(folders, "ham10000"))
    lesion = next(name for name, count in by_lesion.items() if count == 2)
    cases = [c for c in READERS["ham10000"].load(folders / "ham10000") if c.group == lesion]
    one, two = (np.asarray(Image.open(case.images[0]), float) for case in cases)
    assert not np.array_equal(one, two)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.8


def test_a_patient_has_one_skin_type_and_at_most_two_lesions(folders):
    cases = READERS["pad_ufes_20"].load(folders / "pad_ufes_20")
    for patient in {case.group for case in cases}:
        own = [case for case in cases if case.group == patient]
        assert len({case.fitzpatrick for case in own}) == 1
        assert len({case.attributes["lesion_id"] for case in own}) <= 2
    lesions = Counter(case.group for case in {c.attributes["lesion_id"]: c for c in cases}.values())
    assert max(lesions.values()) == 2


@pytest.mark.parametrize("name", ["pad_ufes_20", "fitzpatrick17k"])
def test_skin_tone_is_that_of_the_rendering(folders, name):
    reader = READERS[name]
    modality = {"pad_ufes_20": "phone", "fitzpatrick17k": "clinic photo"}[name]
    twice = 0.25 if name == "pad_ufes_20" else 0.0
    shots = make_shots(reader.labels, modality, NUMBER, SEED, twice=twice)
    cases = reader.load(folders / name)
    assert [case.fitzpatrick for case in cases] == [shot.plan.fitzpatrick for shot in shots]
    assert [case.label for case in cases] == [shot.label for shot in shots]
    assert all(case.tone is SkinTone.from_fitzpatrick(case.fitzpatrick) for case in cases)


def test_findings_of_pad_ufes_20_are_those_of_the_rendering(folders):
    shots = make_shots(READERS["pad_ufes_20"].labels, "phone", NUMBER, SEED, twice=0.25)
    for case, shot in zip(READERS["pad_ufes_20"].load(folders / "pad_ufes_20"), shots, strict=True):
        morphology = shot.plan.findings["morphology"]
        wanted = "flat" if morphology in ("macule", "patch") else "elevated"
        assert case.findings["bleeding"] == "not bleeding"
        assert case.findings.get("elevation", "ring") == (
            "ring" if morphology == "ring" else wanted
        )


def test_the_parts_of_fitzpatrick17k(folders):
    parts = {
        row["label"]: (row["nine_partition_label"], row["three_partition_label"])
        for row in rows_of(folders, "fitzpatrick17k")
    }
    assert parts["psoriasis"] == ("inflammatory", "non-neoplastic")
    assert parts["melanoma"] == ("malignant melanoma", "malignant")
    assert parts["nevocytic nevus"] == ("benign melanocyte", "benign")
    assert parts["actinic keratosis"] == ("malignant epidermal", "malignant")
    assert len(set(parts.values())) == 5


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_folder_says_what_it_is(folders, name):
    text = (folders / name / "README.txt").read_text("utf-8")
    assert "rendered" in text
    assert f"this is not {READERS[name].title}" in text
    assert "For research, not for diagnosis." in text
    assert rendered_layout(folders / name) == name
    values = {value for row in rows_of(folders, name) for value in row.values()}
    assert not values & {"histo", "follow_up", "male", "female"}


def test_writing_again_changes_nothing_and_more_keeps_what_is_there(tmp_path):
    write = LAYOUTS["ham10000"]
    first = write(tmp_path, 6, SEED, SIZE)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    write(tmp_path, 6, SEED, SIZE)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")} == before
    more = write(tmp_path, 9, SEED, SIZE)
    assert more[:6] == first
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("name", LAYOUTS)
def test_seeds_share_no_id_and_no_group(name, tmp_path):
    one, two = (LAYOUTS[name](tmp_path / str(seed), 12, seed, SIZE) for seed in (1, 2))
    assert not {case.id for case in one} & {case.id for case in two}
    assert not {case.group for case in one} & {case.group for case in two}


def test_a_folder_of_other_pictures_is_refused(tmp_path):
    write = LAYOUTS["ham10000"]
    (tmp_path / "real").mkdir()
    table = tmp_path / "real" / TABLES["ham10000"]
    table.write_text("lesion_id,image_id\n")
    with pytest.raises(DatasetError, match="not of rendered pictures"):
        write(tmp_path / "real", 2, SEED, SIZE)
    assert table.read_text() == "lesion_id,image_id\n"
    write(tmp_path / "mine", 2, SEED, SIZE)
    with pytest.raises(DatasetError, match="give the same values, or another folder"):
        write(tmp_path / "mine", 2, SEED + 1, SIZE)
    with pytest.raises(DatasetError, match="give the same values, or another folder"):
        LAYOUTS["pad_ufes_20"](tmp_path / "mine", 2, SEED, SIZE)


@pytest.mark.parametrize(("count", "seed", "size"), [(0, 1, 64), (3, -1, 64), (3, 1, 16)])
def test_impossible_values(count, seed, size, tmp_path):
    for write in LAYOUTS.values():
        with pytest.raises(DatasetError, match="cannot render"):
            write(tmp_path / "x", count, seed, size)


def test_patients_do_not_depend_on_how_many_there_are():
    labels = READERS["pad_ufes_20"].labels
    few, many = (make_shots(labels, "phone", number, SEED) for number in (20, 60))
    assert patients_of(many).items() >= patients_of(few).items()


def test_a_folder_of_plain_rendered_cases_has_no_layout(tmp_path):
    (tmp_path / "synthetic.json").write_text(json.dumps({"seed": 1, "size": 112}))
    assert rendered_layout(tmp_path) is None
    assert rendered_layout(tmp_path / "nowhere") is None
