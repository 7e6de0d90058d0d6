"""Recipes: every file is one, and every mistake is named."""

from pathlib import Path

import pytest

from skingpt_r1.distill.recipe import load_recipe, make_recipe
from skingpt_r1.errors import RecipeError
from skingpt_r1.recipes import RECIPES, find_recipe

# Recipes of other commands have schemas of their own.
OTHERS = ("dermcot_", "dermeval_", "dermbench_", "bench_", "ablation_")
# Recipes of a corpus and of an evaluator have their own schemas and tests.
FILES = sorted(path for path in RECIPES.glob("*.yaml") if not path.stem.startswith(OTHERS))
WANTED = {
    "nano_bias_text",
    "nano_bias_text_visual",
    "nano_experts",
    "nano_lora_text",
    "nano_lora_text_visual",
    "nano_tower_text_visual",
    "pad_ufes_20_nano_bias_text",
    "pad_ufes_20_nano_bias_text_visual",
    "pad_ufes_20_nano_lora_text_visual",
    "ham10000_nano_bias_text",
    "ham10000_nano_bias_text_visual",
    "ham10000_nano_lora_text_visual",
    "seven_b_bias_experts",
    "seven_b_bias_residual",
    "seven_b_lora",
}


def test_the_recipes_are_there():
    assert {path.stem for path in FILES} >= WANTED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_as_its_file(path):
    assert load_recipe(path).name == path.stem


@pytest.mark.parametrize("name", [name for name in sorted(WANTED) if name.startswith("seven_b")])
def test_full_size_recipes_have_the_published_settings(name):
    train = load_recipe(RECIPES / f"{name}.yaml").train
    assert train.batch_size * train.gradient_accumulation == 128
    assert (train.learning_rate, train.epochs, train.warmup) == (1e-4, 10, 0.03)
    assert (train.schedule, train.precision) == ("cosine", "bf16")


@pytest.mark.parametrize(
    ("alone", "dual"),
    [
        ("nano_bias_text", "nano_bias_text_visual"),
        ("nano_lora_text", "nano_lora_text_visual"),
        ("ham10000_nano_bias_text", "ham10000_nano_bias_text_visual"),
    ],
)
def test_text_alone_differs_from_text_and_visual_in_the_teacher_only(alone, dual):
    """A stronger recipe without a teacher must not start from a run that had one, either."""
    text, both = (load_recipe(RECIPES / f"{name}.yaml").model_dump() for name in (alone, dual))
    assert (text["losses"].pop("visual"), both["losses"].pop("visual")) == (0.0, 1.0)
    assert text.pop("start") is None
    del text["name"], both["name"], both["start"]
    assert text == both


def test_settings_are_typed():
    path = RECIPES / "nano_bias_text.yaml"
    settings = [
        "train.epochs=3",
        "train.learning_rate=1e-3",
        "data.balance=true",
        "evaluate.count=",
    ]
    recipe = load_recipe(path, [*settings, "evaluate.count="])
    assert recipe.train.epochs == 3
    assert recipe.train.learning_rate == 1e-3
    assert recipe.data.balance is True
    assert recipe.evaluate.count is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["train.epoch=3"], "unknown key train.epoch; nearest: epochs"),
        (["trian.epochs=3"], "unknown key trian; nearest: train"),
        (["adapter.visual.layer=experts"], "nearest: layers"),
        (["train.epochs=many"], "train.epochs: Input should be a valid integer"),
        (["train.epochs=0"], "greater than 0"),
        (["adapter.visual.layers=dense"], "'residual', 'experts' or 'none'"),
        (
            ["adapter.visual.features=pixels", "adapter.visual.inject=true"],
            "inject: true needs features: tower",
        ),
        (["teacher.kind=none", "losses.visual=1"], "teacher.kind is none"),
        (["teacher.kind=precomputed"], "teacher.path is missing"),
        (["data.dataset=ham10000"], "data.root is missing"),
        (["data.split={train: 0.5, test: 0.4}"], "adds up to 0.9, not to 1"),
        (["data.split={train: 0.9, validation: 0.1}"], "data.split has no such part"),
        (["train.epochs"], "not of the form section.key=value"),
        (["name.x=1"], "has no keys of its own"),
        (["train.epochs=[1"], "the value is not YAML"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(RecipeError) as error:
        load_recipe(RECIPES / "nano_bias_text.yaml", settings)
    assert words in str(error.value)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(RecipeError) as error:
        make_recipe({"name": "x", "train": {"epochs": "no", "clipp": 1}, "extra": 1})
    assert all(word in str(error.value) for word in ("train.epochs", "nearest: clip", "extra"))


def test_files_that_are_no_recipes(tmp_path):
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(RecipeError, match="holds no keys"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(RecipeError, match="is not YAML"):
        load_recipe(tmp_path / "bad.yaml")
    (tmp_path / "a.yaml").write_text("extends: b.yaml")
    (tmp_path / "b.yaml").write_text("extends: a.yaml")
    with pytest.raises(RecipeError, match=r"a\.yaml -> b\.yaml -> a\.yaml"):
        load_recipe(tmp_path / "a.yaml")


def test_the_environment_changes_nothing(monkeypatch):
    path = RECIPES / "nano_bias_text.yaml"
    before = load_recipe(path)
    for name in ("SEED", "DISTILL_WEIGHT", "TRAIN_EPOCHS", "train__epochs"):
        monkeypatch.setenv(name, "99")
    assert load_recipe(path) == before


@pytest.mark.parametrize(
    "name",
    [
        "nano_bias_text",
        "nano_bias_text.yaml",
        "recipes/nano_bias_text.yaml",
        "/x/recipes/nano_bias_text.yaml",
    ],
)
def test_a_recipe_of_the_package_is_found_by_name_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recipe(name) == RECIPES / "nano_bias_text.yaml"
    assert load_recipe(name).name == "nano_bias_text"


@pytest.mark.parametrize(
    "name", ["mine/nano_bias_text.yaml", "nano_bias_txt", "nano_bias_text.yml"]
)
def test_another_path_is_that_file_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"there is no recipe .*nearest are .*nano_bias_text"):
        load_recipe(name)


def test_a_file_that_is_there_goes_before_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nano_bias_text").mkdir()
    assert find_recipe("nano_bias_text") == RECIPES / "nano_bias_text.yaml"
    Path("nano_bias_text.yaml").write_text("name: mine\n")
    assert find_recipe("nano_bias_text.yaml") == Path("nano_bias_text.yaml")


def test_a_recipe_extends_one_of_the_package_unless_one_lies_beside_it(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: nano_bias_text\nname: mine\n")
    assert load_recipe(mine).train == load_recipe("nano_bias_text").train
    (tmp_path / "other.yaml").write_text("extends: nano_bias_text.yaml\nname: other\nseed: 9\n")
    mine.write_text("extends: other.yaml\nname: mine\n")
    assert load_recipe(mine).seed == 9
    mine.write_text("extends: absent.yaml\nname: mine\n")
    with pytest.raises(RecipeError, match=rf"there is no recipe {tmp_path}/absent\.yaml"):
        load_recipe(mine)
