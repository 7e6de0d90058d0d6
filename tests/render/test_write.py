import json

import pytest

from skingpt_r1.case import SkinTone
from skingpt_r1.data import load_cases
from skingpt_r1.errors import DatasetError
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.render.layouts import iterate_cases, write_cases
from skingpt_r1.text.findings import RENDERED_SLOTS


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_writing_again_gives_byte_identical_files(tmp_path):
    first = write_cases(tmp_path / "a", 6, seed=3, size=64)
    again = write_cases(tmp_path / "b", 6, seed=3, size=64)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert [case.id for case in first] == [case.id for case in again]


def test_a_stopped_run_is_continued(tmp_path):
    whole = write_cases(tmp_path / "a", 6, seed=3, size=64)
    write_cases(tmp_path / "b", 3, seed=3, size=64)
    kept = tmp_path / "b/images/synthetic-3-000001.png"
    before = kept.stat().st_mtime_ns
    (tmp_path / "b/images/synthetic-3-000002.png").unlink()
    (tmp_path / "b/images/synthetic-3-000003.partial").write_bytes(b"torn")
    write_cases(tmp_path / "b", 6, seed=3, size=64)
    assert kept.stat().st_mtime_ns == before
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(whole) == 6


def test_cases_carry_what_is_known(tmp_path):
    cases = write_cases(tmp_path, 16, seed=1, size=48)
    assert {case.label for case in cases} == {condition.name for condition in CONDITIONS}
    assert len({case.group for case in cases}) == 16
    for case in cases:
        assert case.images[0].is_file()
        assert case.fitzpatrick is not None
        assert case.tone is SkinTone.from_fitzpatrick(case.fitzpatrick)
        assert tuple(case.findings) == RENDERED_SLOTS
        assert case.attributes["modality"]


def test_the_metadata_holds_the_cases(tmp_path):
    cases = write_cases(tmp_path, 3, seed=1, size=48)
    lines = (tmp_path / "metadata.jsonl").read_text().splitlines()
    assert len(lines) == 3
    for line, case in zip(lines, cases, strict=True):
        record = json.loads(line)
        assert tmp_path / record["file_name"] == case.images[0]
        assert record["findings"] == dict(case.findings)
        assert record["label"] == case.label


def test_the_folder_reader_gives_the_cases_back(tmp_path):
    cases = write_cases(tmp_path, 5, seed=1, size=48)
    assert load_cases("folder", tmp_path) == cases


def test_several_workers_write_the_same_files(tmp_path):
    write_cases(tmp_path / "a", 4, seed=2, size=48)
    write_cases(tmp_path / "b", 4, seed=2, size=48, workers=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_cases_can_be_listed_without_drawing(tmp_path):
    assert list(iterate_cases(tmp_path, 4, 2, 48)) == write_cases(tmp_path, 4, 2, 48)


def test_a_folder_of_another_seed_is_refused(tmp_path):
    write_cases(tmp_path, 1, seed=1, size=48)
    with pytest.raises(DatasetError, match="another folder"):
        write_cases(tmp_path, 1, seed=2, size=48)


@pytest.mark.parametrize(("count", "size", "workers"), [(0, 48, 1), (1, 8, 1), (1, 48, 0)])
def test_impossible_requests_are_refused(tmp_path, count, size, workers):
    with pytest.raises(DatasetError, match="cannot render"):
        write_cases(tmp_path, count, 1, size, workers=workers)
    assert contents(tmp_path) == {}


def test_a_path_that_is_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="cannot write rendered cases"):
        write_cases(tmp_path / "file", 1, 1, 48)
