"""`skingpt real`: the name of a row says what its recipe trains."""

import pytest

from skingpt_r1.cli.demo import DATASETS
from skingpt_r1.cli.demo import REAL_SYSTEMS as SYSTEMS
from skingpt_r1.distill.recipe import load_recipe


@pytest.mark.parametrize("dataset", DATASETS)
def test_names_of_rows_are_true_of_their_recipes(dataset: str) -> None:
    for name, file, _, _ in SYSTEMS:
        recipe = load_recipe(f"{dataset}_nano_{file}", [f"data.root={dataset}"])
        parts = set(name.partition(":")[0].split(" + "))
        adapter = recipe.adapter
        assert ("lora" in parts) == ("lora" in adapter.text_adapter)
        assert ("bias" in parts) == ("bias" in adapter.text_adapter)
        assert ("tower" in parts) == adapter.lora.tower
        assert ("inject" in parts) == adapter.visual.inject
        assert ("visual" in name) == (recipe.losses.visual > 0)
