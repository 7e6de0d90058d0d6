"""Teacher vectors of a run: made once, found again, missing ones listed."""

import numpy as np
import pytest
import torch
from tiny_distill import write_backbone, write_pictures
from tiny_run import tiny_recipe

import skingpt_r1.distill.run as teaching
from skingpt_r1.distill.recipe import TeacherRecipe
from skingpt_r1.distill.run import run_recipe, teacher_vectors
from skingpt_r1.errors import TeacherError

BUILT_IN = TeacherRecipe(kind="built-in", width=8, epochs=1)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 6)


def _vectors(recipe, cases, folder, seed=0):
    return teacher_vectors(recipe, cases, folder, seed=seed, manifest="m")


def test_no_teacher_gives_no_vectors(cases, tmp_path):
    assert _vectors(TeacherRecipe(kind="none"), cases, tmp_path) is None


def test_the_built_in_teacher_is_trained_once(cases, tmp_path, monkeypatch):
    first = _vectors(BUILT_IN, cases, tmp_path)
    assert {case.id: (len(case.images), 8) for case in cases} == {
        name: tuple(tensor.shape) for name, tensor in first.items()
    }
    monkeypatch.setattr(teaching, "train_teacher", None)
    second = _vectors(BUILT_IN, cases, tmp_path)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_torn_vectors_are_made_again(cases, tmp_path):
    first = _vectors(BUILT_IN, cases, tmp_path)
    (path,) = tmp_path.glob("teacher-*.safetensors")
    path.write_bytes(path.read_bytes()[:50])
    second = _vectors(BUILT_IN, cases, tmp_path)
    assert all(torch.allclose(first[name], second[name]) for name in first)


def test_a_run_with_missing_precomputed_vectors_lists_the_cases(tmp_path):
    backbone = write_backbone(tmp_path / "backbone")
    vectors = tmp_path / "vectors"
    vectors.mkdir()
    np.save(vectors / "none.npy", np.ones(8, np.float32))
    recipe = tiny_recipe(
        backbone, losses__visual=1.0, teacher__kind="precomputed", teacher__path=str(vectors)
    )
    with pytest.raises(TeacherError, match="have no teacher vector") as error:
        run_recipe(recipe, tmp_path / "run")
    assert len(error.value.case_ids) > 30


def test_a_width_that_the_recipe_does_not_expect_is_refused(tmp_path):
    backbone = write_backbone(tmp_path / "backbone")
    recipe = tiny_recipe(
        backbone,
        losses__visual=1.0,
        teacher__kind="built-in",
        teacher__width=8,
        teacher__epochs=1,
        adapter__teacher_dim=16,
        data__count=40,
    )
    with pytest.raises(TeacherError, match=r"teacher_dim is 16 .* have 8 values"):
        run_recipe(recipe, tmp_path / "run")
