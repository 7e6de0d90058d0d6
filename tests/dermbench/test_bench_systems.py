"""Systems under test: their names, models of this machine, and controls."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_bench import bench_recipe

from skingpt_r1.dermbench.questions import Asked, data_root, prepare_questions, with_pictures
from skingpt_r1.dermbench.recipe import LocalRecipe
from skingpt_r1.dermbench.records import Answer, Question, file_stem
from skingpt_r1.dermbench.systems.named import (
    BLANK_LEVEL,
    Choice,
    OtherPictures,
    blanked,
    choose_systems,
    majority,
    reference,
    shuffled,
)
from skingpt_r1.dermbench.systems.own import LocalModel, short_name
from skingpt_r1.errors import CheckpointError, DatasetError, RecipeError
from skingpt_r1.text.narrative import parse_narrative


def question(name, label="wart", group=None, form="narrative", **more):
    return Question(
        id=name,
        benchmark="dermbench",
        group=group or name,
        form=form,
        prompt="look",
        images=(),
        sha256=(),
        label=label,
        **more,
    )


def names(choices):
    return [choice.name for choice in choices]


def test_names_of_systems(tmp_path):
    (tmp_path / "mine" / "adapter").mkdir(parents=True)
    where = tmp_path / "mine" / "adapter"
    choices = choose_systems(
        [
            "skingpt/nano",
            "skingpt/nano#plain",
            f"skingpt/{where}",
            f"{where}#plain",
            f"lora=skingpt/{where}",
            "openai/gpt-5",
            "http://127.0.0.1:1/v1#toy",
            f"control/blank-images:skingpt/{where}",
            "control/majority",
        ]
    )
    assert names(choices) == [
        "skingpt/nano",
        "skingpt/nano#plain",
        "skingpt/mine",
        "skingpt/mine#plain",
        "lora",
        "openai/gpt-5",
        "http://127.0.0.1:1/v1#toy",
        "control/blank-images:skingpt/mine",
        "control/majority",
    ]
    assert [choice.directory for choice in choices] == [
        "nano", "nano", str(where), str(where), str(where), None, None, str(where), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], RecipeError, "no system is named"),
        (["gpt-5"], RecipeError, "no system is called 'gpt-5'"),
        (["control/best"], RecipeError, "no system is called 'control/best'"),
        (["control/blank-images:control/majority"], RecipeError, "control of a control"),
        (["control/blank-images:gpt"], RecipeError, "no system is called"),
        (["skingpt/nowhere"], CheckpointError, "there is no directory 'nowhere'"),
        (["a=skingpt/nano", "a=control/majority"], RecipeError, "2 systems share a name"),
        (["A=skingpt/nano", "a=skingpt/nano#plain"], RecipeError, "2 systems share a name"),
        (["??=skingpt/nano"], RecipeError, "a name needs letters or digits"),
    ],
)
def test_names_that_mean_no_system(texts, error, message):
    with pytest.raises(error, match=message):
        choose_systems(texts)


def test_a_system_named_twice_is_asked_once():
    assert names(choose_systems(["skingpt/nano", "skingpt/nano"])) == ["skingpt/nano"]


@settings(deadline=None)
@given(st.text(min_size=1))
def test_a_file_stem_is_a_plain_name(text):
    stem = file_stem(text)
    assert not set(stem) & set("/\\:#?*\0\n ")
    assert not stem.startswith(".")


def test_short_names():
    assert short_name("/somewhere/runs/mine/adapter") == "mine"
    assert short_name("/somewhere/Vision-R1-7B/") == "Vision-R1-7B"


def test_majority_says_the_commonest_label():
    questions = [question("1"), question("2", "acne"), question("3", "acne")]
    asked = [Asked(item, ()) for item in questions]
    answers = list(majority("m", questions).answer(asked, {"2"}))
    assert [answer.id for answer in answers] == ["1", "3"]
    assert parse_narrative(answers[0].text).diagnosis == "acne"
    tied = majority("m", [question("1", "b"), question("2", "a")])
    assert "<answer> a </answer>" in next(tied.answer(asked, ())).text


def test_controls_weigh_candidates():
    questions = [question("1", "wart", form="candidates", candidates=("acne", "wart"))]
    asked = [Asked(questions[0], ())]
    (common,) = majority("m", questions).answer(asked, ())
    (right,) = reference("r").answer(asked, ())
    assert common.probabilities == {"acne": 0.0, "wart": 1.0}
    assert right.probabilities == {"acne": 0.0, "wart": 1.0}
    assert right.text == "wart"


def test_reference_is_repeated_and_its_lack_is_told():
    asked = [Asked(question("1", reference="so it is"), ()), Asked(question("2"), ())]
    said, lacking = reference("r").answer(asked, ())
    assert (said.text, said.problem) == ("so it is", None)
    assert (lacking.text, lacking.problem) == ("", "no_reference")


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(0, 5))
def test_shuffled_pictures_are_a_permutation_without_own_groups(groups, seed):
    asked = [
        Asked(question(str(place), group=str(group)), (f"{place}.png",))
        for place, group in enumerate(groups)
    ]
    if 2 * max(groups.count(group) for group in groups) > len(groups):
        with pytest.raises(DatasetError, match="are of one group"):
            shuffled(asked, seed)
        return
    result = shuffled(asked, seed)
    assert [item.question for item in result] == [item.question for item in asked]
    assert sorted(item.pictures for item in result) == sorted(item.pictures for item in asked)
    group_of = {item.pictures: item.question.group for item in asked}
    assert all(group_of[item.pictures] != item.question.group for item in result)
    assert shuffled(asked, seed) == result


class Looks:
    """A system that tells which pictures it was shown."""

    name = "looks"

    def answer(self, asked, done):
        for item in asked:
            if item.question.id not in done:
                text = " ".join(path.name for path in item.pictures)
                yield Answer(system=self.name, id=item.question.id, text=text)


def test_blank_pictures_have_the_size_of_the_question(tmp_path):
    questions = prepare_questions(bench_recipe(data={"count": 3}), tmp_path)
    asked = with_pictures(questions, data_root(tmp_path))
    control = OtherPictures("blank", Looks(), partial(blanked, folder=tmp_path / "controls"))
    answers = list(control.answer(asked, ()))
    assert {answer.text for answer in answers} == {"blank-48x48.png"}
    assert {answer.system for answer in answers} == {"blank"}
    blank = Image.open(tmp_path / "controls/blank-48x48.png")
    assert blank.size == (48, 48)
    assert blank.getextrema() == ((BLANK_LEVEL, BLANK_LEVEL),) * 3


@pytest.fixture
def asked_and_local(tmp_path, tiny_folder):
    from skingpt_r1.model.load import load_model

    questions = prepare_questions(bench_recipe(), tmp_path)
    asked = with_pictures(questions, data_root(tmp_path))
    loads = []

    def load(where, adapters):
        loads.append((where, adapters))
        return load_model(where)

    recipe = LocalRecipe(max_new_tokens=12, batch_size=4)
    return asked, LocalModel("m", str(tiny_folder), adapters=True, recipe=recipe, load=load), loads


def test_local_answers_are_those_of_the_model(asked_and_local, tiny_folder):
    from skingpt_r1.model.generation import Decoding
    from skingpt_r1.model.load import load_model
    from skingpt_r1.model.prompt import Request

    asked, system, _ = asked_and_local
    answers = list(system.answer(asked, ()))
    assert [answer.id for answer in answers] == [item.question.id for item in asked]
    model = load_model(tiny_folder)
    requests = [Request(item.pictures) for item in asked[:4]]
    written = model.write(requests, decoding=Decoding(max_new_tokens=12))
    assert [answer.text for answer in answers[:4]] == [one.text for one in written]
    for answer in answers:
        assert answer.stop_reason == ("length" if answer.output_tokens == 12 else "stop")
        assert answer.input_tokens > 20


def test_local_blocks_do_not_depend_on_what_is_done(asked_and_local):
    asked, system, loads = asked_and_local
    whole = list(system.answer(asked, ()))
    done = {asked[0].question.id, *(item.question.id for item in asked[4:8])}
    rest = list(system.answer(asked, done))
    assert rest == [answer for answer in whole if answer.id not in done]
    loads.clear()
    assert list(system.answer(asked, {item.question.id for item in asked})) == []
    assert loads == []


def test_local_models_need_a_picture(asked_and_local):
    asked, system, _ = asked_and_local
    bare = asked[1]._replace(pictures=())
    first, second = system.answer([asked[0], bare], ())
    assert first.problem is None
    assert (second.problem, second.text) == ("no_picture", "")


def test_local_models_weigh_candidates(asked_and_local):
    asked, system, _ = asked_and_local
    changes = {"form": "candidates", "candidates": ("wart", "acne")}
    weighed = asked[0]._replace(question=asked[0].question.model_copy(update=changes))
    (answer,) = system.answer([weighed], ())
    assert set(answer.probabilities) == {"wart", "acne"}
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_choice_of_a_control_names_the_weights():
    assert Choice("x", "control/shuffled-images:skingpt/nano#plain").directory == "nano"
    assert Choice("x", "control/shuffled-images:openai/gpt-5").directory is None
