"""Classification from end to end: a data set's reader, systems and controls, and the report."""

from collections import Counter

import pytest
from openai_server import openai_server, text
from small_bench import REPLY, bench_recipe
from small_sets import build

from skingpt_r1.dermbench.answers import read_answers, run_systems
from skingpt_r1.dermbench.classification.labels import LABEL_SETS
from skingpt_r1.dermbench.classification.match import likeliest, match_answer
from skingpt_r1.dermbench.questions import RENDERED, Asked, benchmark_title, prepare_questions
from skingpt_r1.dermbench.recipe import load_bench_recipe
from skingpt_r1.dermbench.records import Question
from skingpt_r1.dermbench.report.rows import report_rows, write_report
from skingpt_r1.dermbench.summary import summarise_runs
from skingpt_r1.dermbench.systems.named import majority, reference
from skingpt_r1.errors import RecipeError
from skingpt_r1.render.layouts import LAYOUTS
from skingpt_r1.stats.intervals import Bootstrap

BOOT = Bootstrap(seed=0, resamples=100)
FORMS = ("narrative", "label", "candidates")
NUMBER = 12


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    root = tmp_path_factory.mktemp("layouts")
    for name, write in LAYOUTS.items():
        write(root / name, NUMBER, 3, 48)
    return root


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)


def recipe_of(layouts, dataset, form, labels=None, **more):
    data = {"dataset": dataset, "root": layouts / dataset, "count": None, "form": form}
    return bench_recipe(data=data | {"labels": labels or dataset}, **more)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_with_every_kind_of_system(layouts, form, tmp_path, tiny_folder):
    recipe = recipe_of(layouts, "pad_ufes_20", form)
    model = f"skingpt/{tiny_folder}"
    systems = [
        "control/majority", "control/reference", f"tiny={model}", f"plain={model}#plain",
        f"blank=control/blank-images:{model}", f"other=control/shuffled-images:{model}",
    ]  # fmt: skip
    tallies = run_systems(recipe, tmp_path, systems=systems)
    assert [tally.asked for tally in tallies] == [NUMBER] * len(systems)
    assert all(tally.answered + tally.problems.total() == NUMBER for tally in tallies)
    assert all(not tally.problems for tally in tallies[:2])

    summary = summarise_runs([tmp_path], boot=BOOT, baseline="tiny")
    commonest = max(Counter(q.label for q in prepare_questions(recipe, tmp_path)).values())
    parts = summary.of("classification")
    for part in parts:
        assert part.cell("control/reference", "accuracy").value == 1.0
        assert part.cell("control/majority", "accuracy").value == commonest / NUMBER
        assert part.systems["control/reference"] == "oracle"
        assert {part.systems[name] for name in ("control/majority", "blank", "other")} == {
            "control"
        }
        assert {part.cell(name, "no label").n for name in part.systems} == {NUMBER}
        assert all(sum(map(sum, matrix.counts)) == NUMBER for matrix in part.confusions)
        assert len(part.confusions) == len(systems)
    assert len({part.of for part in parts}) == (2 if form == "candidates" else 1)
    assert {table.scale for table in parts[0].tones} == {
        "skin tone", "Fitzpatrick type",
    }  # fmt: skip
    page = write_report(summary, tmp_path / "report").page.read_text("utf-8")
    assert 'id="labels"' not in page


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LABEL_SETS)
def test_controls_can_be_read_in_every_set(name, form):
    labels = LABEL_SETS[name]
    questions = [
        Question(
            id=label, benchmark=name, group=label, form=form, prompt="x", images=(), sha256=(),
            label=label, candidates=labels.labels if form == "candidates" else (),
        )
        for label in labels.labels
    ]  # fmt: skip
    asked = [Asked(question, ()) for question in questions]
    for question, answer in zip(questions, reference("r").answer(asked, ()), strict=True):
        assert match_answer(answer, labels).label == question.label
        if form == "candidates":
            assert likeliest(answer, labels).label == question.label
    # Every label is equally common here: the control still says one and no tie.
    said = list(majority("m", questions).answer(asked, ()))
    (words,) = {answer.text for answer in said}
    named = match_answer(said[0], labels).label
    assert named == min(labels.labels)
    assert named in words
    if form == "candidates":
        assert {likeliest(answer, labels).label for answer in said} == {named}
        assert sum(said[0].probabilities.values()) == pytest.approx(1)


def test_a_reference_that_is_missing_is_still_told_where_one_is_repeated():
    question = Question(
        id="1", benchmark="dermbench", group="1", form="narrative", prompt="x", images=(),
        sha256=(), label="wart",
    )  # fmt: skip
    (answer,) = reference("r").answer([Asked(question, ())], ())
    assert (answer.text, answer.problem) == ("", "no_reference")


def test_a_model_without_probabilities_is_read_by_its_text_alone(layouts, tmp_path):
    recipe = recipe_of(layouts, "ham10000", "candidates")
    named = REPLY.replace("wart", "melanoma")
    with openai_server(lambda _: text(named)) as server:
        systems = [f"toy={server.url}#t", "control/majority", "control/reference"]
        run_systems(recipe, tmp_path, systems=systems)
        assert server.num_calls == NUMBER
    assert {answer.text for answer in read_answers(tmp_path, "toy").values()} == {named}
    summary = summarise_runs([tmp_path], boot=BOOT, baseline="control/majority")
    by_text, weighed = summary.of("classification")
    assert by_text.cell("toy", "no label").value == 0
    (toy,) = (row for row in weighed.rows if row.system == "toy")
    # Nothing was measured, which is not the same as nothing being right.
    assert (toy.metric, toy.value, toy.n) == ("no label", 1.0, NUMBER)
    assert "toy" not in {matrix.system for matrix in weighed.confusions}
    reasons = [row for row in report_rows(summary) if row.metric == "unmatched, no_probabilities"]
    assert [(row.system, row.value) for row in reasons] == [("toy", NUMBER)]
    case = next(summary.cases())
    outcomes = {item.answer.system: item.outcome for item in case.answers}
    verdict = "right" if case.question.label == "melanoma" else "wrong"
    assert outcomes["toy"] == f"melanoma, {verdict}"
    label = case.question.label
    assert outcomes["control/reference"] == f"{label}, right; likeliest: {label}, right, at 100 %"


@pytest.mark.parametrize(
    ("dataset", "labels"),
    [
        ("ham10000", "ham10000"),
        ("pad_ufes_20", "pad_ufes_20"),
        ("fitzpatrick17k", "fitzpatrick17k_9"),
        ("fitzpatrick17k", "fitzpatrick17k_114"),
    ],
)
def test_rendered_layouts_are_told_from_the_data_sets(layouts, dataset, labels, tmp_path):
    recipe = recipe_of(layouts, dataset, "label", labels)
    run_systems(recipe, tmp_path, systems=["control/majority"])
    assert {question.licence for question in prepare_questions(recipe, tmp_path)} == {RENDERED}
    data = summarise_runs([tmp_path], boot=BOOT)
    assert [table.of[0] for table in data.of("classification")] == [f"{labels} (rendered)"]
    assert "Rendered pictures in the layout of a data set, not that data set." in data.notes
    assert data.facts["Benchmarks"] == f"{labels} (rendered)"
    for case in data.cases():
        assert benchmark_title(case.question) == f"{labels} (rendered)"
        assert case.picture.startswith("data:image/jpeg")


def test_controls_that_are_no_models_need_no_note_on_overlap(layouts, tmp_path):
    recipe = recipe_of(layouts, "ham10000", "label")
    run_systems(recipe, tmp_path, systems=["control/majority", "control/reference"])
    assert not any("Overlap" in note for note in summarise_runs([tmp_path], boot=BOOT).notes)


def test_a_prompt_of_the_recipe_is_asked_or_refused(layouts, tmp_path):
    recipe = recipe_of(layouts, "ham10000", "candidates", prompt="Look well.")
    assert {question.prompt for question in prepare_questions(recipe, tmp_path)} == {"Look well."}
    with pytest.raises(ValueError, match=r"prompt goes with data\.form narrative"):
        recipe_of(layouts, "ham10000", "label", prompt="Look well.")


@pytest.mark.parametrize("name", ["ham10000", "pad_ufes_20", "fitzpatrick17k"])
def test_the_recipes(name, layouts, tmp_path):
    path = f"bench_{name}"
    recipe = load_bench_recipe(path, [f"data.root={layouts / name}"])
    assert (recipe.data.dataset, recipe.data.form) == (name, "candidates")
    tallies = run_systems(
        recipe.model_copy(update={"systems": ("control/majority",)}), tmp_path / name
    )
    assert tallies[0].answered == NUMBER
    if name == "fitzpatrick17k":
        with pytest.raises(RecipeError, match=r"data\.root is missing"):
            load_bench_recipe(path)


@pytest.mark.parametrize("name", ["ddi", "derm7pt", "dermnet"])
def test_the_recipes_of_sets_that_are_not_rendered(name, tmp_path):
    path = f"bench_{name}"
    root = build(name, tmp_path / "data")
    recipe = load_bench_recipe(path, [f"data.root={root}"])
    assert (recipe.data.dataset, recipe.data.labels) == (name, name)
    run = recipe.model_copy(update={"systems": ("control/majority",)})
    (tally,) = run_systems(run, tmp_path / "run")
    assert tally.answered == tally.asked > 0
    with pytest.raises(RecipeError, match=r"data\.root is missing"):
        load_bench_recipe(path)
