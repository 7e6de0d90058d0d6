"""The whole pipeline: what it leaves, and that a killed run ends as one that was never killed."""

import json
import random
import shutil
import signal
from pathlib import Path

import pytest
from small_corpus import contents, small_recipe, small_tools

from child_process import run_in_child
from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.corpus import REASONS, STAGES, StageRecord
from skingpt_r1.dermcot.pipeline import build, read_selection, select_corpus
from skingpt_r1.errors import RecordError, TrainingError
from skingpt_r1.records import read_records
from skingpt_r1.text.narrative import parse_narrative


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "whole"
    recipe = small_recipe()
    build(recipe, folder, small_tools(recipe))
    return folder


def test_every_stage_has_a_record_for_every_case_that_entered(finished):
    for stage in STAGES:
        records = read_records(corpus.stage_path(finished, stage), StageRecord)
        entered = [found.case.id for found in corpus.entering(finished, stage)]
        assert [record.id for record in records] == entered
        assert {record.stage for record in records} == {stage}
        assert {record.dropped for record in records} - {None} <= REASONS.keys()


def test_the_corpus_is_what_was_kept(finished):
    kept = list(corpus.read_corpus(finished))
    assert len(kept) == 20
    assert {record.part for record in kept} == {"candidate"}
    for record in kept:
        narrative = parse_narrative(record.narrative)
        assert narrative.text == record.narrative
        assert narrative.diagnosis == record.diagnosis
        assert record.scores is not None
        assert sum(record.scores.values()) / 6 >= 2
        assert (record.evaluator, record.observe.narrator) == ("stand-in", "offline")
        assert all((finished / name).is_file() for name in record.images)


def test_the_held_out_part_is_apart_and_not_scored(finished):
    kept = list(corpus.read_corpus(finished))
    apart = list(corpus.read_corpus(finished, "held_out"))
    assert apart
    assert {record.scores for record in apart} == {None}
    for field in ("id", "group", "sha256"):
        assert not {getattr(one, field) for one in kept} & {getattr(one, field) for one in apart}


def test_cases_for_distillation_carry_their_narrative(finished):
    cases = list(corpus.corpus_cases(finished))
    assert len(cases) == 20
    for case in cases:
        assert case.narrative is not None
        assert case.label == parse_narrative(case.narrative).diagnosis
        assert all(path.is_file() for path in case.images)


def test_the_evaluator_never_sees_a_slip(finished):
    """What was simulated stands in the provenance alone."""
    slips = 0
    for found in corpus.entering(finished, "score"):
        slip = found.records["observe"].provenance.simulated_slip
        slips += slip is not None
        assert slip is None or slip not in found.text("normalise")
    assert slips


def test_the_same_command_again_changes_nothing(finished):
    before = contents(finished)
    recipe = small_recipe()

    def no_score():
        raise AssertionError("everything is scored")

    tools = small_tools(recipe)._replace(score=no_score)
    build(recipe, finished, tools)
    assert contents(finished) == before


def test_another_recipe_is_refused(finished):
    recipe = small_recipe(seed=6)
    with pytest.raises(TrainingError, match="seed was 5, is 6"):
        build(recipe, finished, small_tools(recipe))


def test_another_selection_of_the_same_candidates(finished, tmp_path):
    recipe = small_recipe(select={"keep": 5})
    folder = tmp_path / "again"
    build(small_recipe(), folder, small_tools(recipe))
    build(recipe, folder, small_tools(recipe))
    assert len(list(corpus.read_corpus(folder))) == 5
    assert read_selection(folder)["keep"] == 5
    select_corpus(folder, small_recipe().select)
    assert contents(folder) == contents(finished)


def test_fewer_good_ones_than_wanted_are_kept_with_a_warning(finished, tmp_path, caplog):
    recipe = small_recipe(select={"keep": 47})
    folder = tmp_path / "few"
    build(recipe, folder, small_tools(recipe))
    assert "narratives are good enough to keep" in caplog.text
    assert 20 < len(list(corpus.read_corpus(folder))) < 47


def test_processes_do_not_change_a_byte(finished, tmp_path):
    recipe = small_recipe()
    build(recipe, tmp_path / "two", small_tools(recipe, workers=2))
    assert contents(tmp_path / "two") == contents(finished)


@pytest.mark.parametrize(("sent", "times"), [(signal.SIGKILL, 10), (signal.SIGINT, 2)])
def test_killed_at_random_moments_it_ends_the_same(finished, tmp_path, sent, times):
    folder = tmp_path / "killed"
    rng = random.Random(11)

    def one_more():
        build(small_recipe(), folder, small_tools(small_recipe()))

    kills = 0
    while kills < times:
        code = run_in_child(one_more, after_s=rng.uniform(0.005, 0.06), sent=sent)
        if code == 0:  # it was quicker than its killer: begin anew
            assert contents(folder) == contents(finished)
            shutil.rmtree(folder)
            continue
        assert code == (-sent if sent == signal.SIGKILL else 1)
        kills += 1
    assert run_in_child(one_more) == 0
    assert contents(folder) == contents(finished)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("keep", [0, 1, 9])
def test_a_torn_file_of_any_stage_is_continued(finished, tmp_path, stage, keep):
    """The file is cut after some records and in the middle of the next; later ones are gone."""
    folder = tmp_path / "torn"
    copy_upto(finished, folder, stage)
    path = corpus.stage_path(folder, stage)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:keep]) + lines[keep][: len(lines[keep]) // 2])
    recipe = small_recipe()
    build(recipe, folder, small_tools(recipe))
    assert contents(folder) == contents(finished)


def test_a_last_line_without_its_end_is_continued(finished, tmp_path):
    folder = tmp_path / "open"
    copy_upto(finished, folder, "audit")
    path = corpus.stage_path(folder, "audit")
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    recipe = small_recipe()
    build(recipe, folder, small_tools(recipe))
    assert contents(folder) == contents(finished)


def test_records_of_other_cases_are_refused(finished, tmp_path):
    folder = tmp_path / "mixed"
    copy_upto(finished, folder, "normalise")
    path = corpus.stage_path(folder, "normalise")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[1:]), "utf-8")
    recipe = small_recipe()
    with pytest.raises(RecordError, match="where another one belongs"):
        build(recipe, folder, small_tools(recipe))


def test_more_records_than_cases_are_refused(finished, tmp_path):
    folder = tmp_path / "more"
    copy_upto(finished, folder, "normalise")
    path = corpus.stage_path(folder, "normalise")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1]]), "utf-8")
    recipe = small_recipe()
    with pytest.raises(RecordError, match="where another one belongs"):
        build(recipe, folder, small_tools(recipe))


def test_cases_in_another_order_are_refused(finished, tmp_path):
    folder = tmp_path / "cases"
    copy_upto(finished, folder, "observe")
    corpus.stage_path(folder, "observe").unlink()
    path = corpus.cases_path(folder)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[::-1]), "utf-8")
    recipe = small_recipe()
    with pytest.raises(RecordError, match="where another one belongs"):
        build(recipe, folder, small_tools(recipe))


def test_a_part_that_was_being_written_is_written_anew(finished, tmp_path):
    folder = tmp_path / "parts"
    shutil.copytree(finished, folder)
    for part in ("candidate", "held_out"):
        path = corpus.corpus_path(folder, part)
        path.with_suffix(".partial").write_bytes(path.read_bytes()[:-9])
        path.unlink()
    recipe = small_recipe()
    build(recipe, folder, small_tools(recipe))
    assert contents(folder) == contents(finished)


def test_an_unfinished_part_is_refused(tmp_path):
    with pytest.raises(RecordError, match=r"has no corpus\.jsonl; finish it"):
        corpus.read_corpus(tmp_path)
    with pytest.raises(RecordError, match=r"has no selection\.json"):
        read_selection(tmp_path)


def test_records_hold_no_time_and_no_place(finished):
    for name, content in contents(finished).items():
        if name.endswith(".jsonl"):
            for line in content.decode().splitlines():
                assert str(Path.cwd()) not in line
                assert not {"time", "at", "date"} & json.loads(line).keys()


def copy_upto(source: Path, target: Path, stage: str) -> None:
    """The folder of a run that was stopped in a stage."""
    names = ["run.json", "selection.json"] if stage == "select" else ["run.json"]
    files = ["stages/0_cases.jsonl"]
    files += [f"stages/{place}_{name}.jsonl" for place, name in enumerate(STAGES, 1)]
    wanted = files[: STAGES.index(stage) + 2]
    for name in [*names, *wanted]:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((source / name).read_bytes())
    shutil.copytree(source / "pictures", target / "pictures")
