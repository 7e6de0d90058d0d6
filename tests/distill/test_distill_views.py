"""A view of a case is the case with its pictures turned, and nothing else."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from tiny_distill import make_model, small_adapter, stored_cases, write_backbone, write_pictures
from tiny_run import tiny_recipe

from skingpt_r1.distill.features import FeaturePass, turn
from skingpt_r1.distill.run import run_features


def test_views_are_the_symmetries_of_the_square():
    picture = Image.new("L", (3, 3))
    picture.putdata(range(9))
    views = [turn(picture, view).tobytes() for view in range(8)]
    assert views[0] == picture.tobytes()
    assert len(set(views)) == 8
    assert {sum(view) for view in views} == {sum(range(9))}


@pytest.mark.parametrize("view", [0, 1, 6])
def test_a_view_is_the_case_with_turned_files(tmp_path, view):
    backbone = write_backbone(tmp_path / "backbone")
    items = stored_cases(write_pictures(tmp_path, 4), width=5)
    files = []
    for item in items:
        paths = []
        for path in item.case.images:
            turned = tmp_path / f"{view}-{path.name}"
            with Image.open(path) as picture:
                turn(picture, view).save(turned)
            paths.append(turned)
        files.append(replace(item, case=replace(item.case, images=tuple(paths))))
    model = make_model(backbone, small_adapter())
    shown, plain = (
        FeaturePass(model, rows, dtype="fp32", batch_size=2)(range(4))
        for rows in ([replace(item, view=view) for item in items], files)
    )
    for one, two in zip(shown, plain, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            assert torch.equal(one[name], two[name]), name


def test_a_run_stores_every_view(tmp_path):
    recipe = tiny_recipe(write_backbone(tmp_path / "backbone"))
    views = recipe.model_copy(update={"data": recipe.data.model_copy(update={"views": 2})})
    one, two = (
        run_features(chosen, tmp_path / name) for name, chosen in (("a", recipe), ("b", views))
    )
    assert list(two.ids) == [*one.ids, *[f"{name} view 1" for name in one.ids]]
