"""Guarantees that one changed sign would break: each test fails when its line is altered."""

import json
import shutil

import numpy as np
import pytest
from made_run import write_card, write_run
from PIL import Image
from safetensors.torch import load_file, save_file
from small_bench import bench_recipe

from finished_corpus import make_corpus
from skingpt_r1.case import Split
from skingpt_r1.dermbench.answers import run_systems
from skingpt_r1.dermbench.judgements import judge_folder, run_judge
from skingpt_r1.dermbench.judges.judge import record_verdict
from skingpt_r1.dermbench.judges.rules import RubricJudge
from skingpt_r1.dermbench.records import Judgement
from skingpt_r1.dermbench.summary import summarise_runs
from skingpt_r1.dermcot.certify import export_to_raters, simulate_raters
from skingpt_r1.dermcot.publish import Options, publish
from skingpt_r1.distill.data import load_parts
from skingpt_r1.distill.recipe import DataRecipe
from skingpt_r1.errors import TrainingError
from skingpt_r1.model.prompt import Request, encode_prompts
from skingpt_r1.ratings.certification import CertifyRules
from skingpt_r1.records import read_records
from skingpt_r1.stats.classification import Predictions, classification_metrics
from skingpt_r1.stats.intervals import Bootstrap
from skingpt_r1.text.rubric import DIMENSIONS, Unscored


def test_a_case_without_a_picture_is_refused(tiny_model):
    model = tiny_model()
    picture = Image.new("RGB", (56, 56), (200, 120, 90))
    batch = encode_prompts(model.processor, [Request.of([picture]), Request.of([picture])])
    ids = batch.input_ids.clone()
    ids[1][ids[1] == model.backbone.config.image_token_id] = 0
    with pytest.raises(ValueError, match="each case needs at least one picture"):
        model.count_images(ids, batch.image_grid_thw[:1])


def test_a_class_that_no_case_has_does_not_lower_the_macro_f1():
    said = Predictions(("a", "b", "c"), np.array([0, 0]), np.array([0, 1]), ["x", "y"])
    found = classification_metrics(said, Bootstrap(seed=0, resamples=100))
    assert found["macro-F1"].value == pytest.approx(2 / 3)


def test_training_never_takes_certified_cases(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", train=8, held_out=6)
    simulate_raters(corpus, CertifyRules(), raters=3, seed=0)
    publish(corpus, tmp_path / "published", Options("small"))
    recipe = DataRecipe(
        dataset="dermcot", root=tmp_path / "published", split={Split.TRAIN: 0.5, Split.TEST: 0.5}
    )
    parts = load_parts(recipe, tmp_path / "unused")
    own = {row["id"] for row in records_of(corpus / "corpus.jsonl")}
    certified = {case.id for case in parts[Split.TEST]}
    assert certified
    assert {case.id for case in parts[Split.TRAIN]} == own
    assert not certified & own


def records_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_rater_has_an_order_of_rows_that_is_not_the_corpus_order(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", train=2, held_out=8)
    export_to_raters(corpus, tmp_path / "sheets", ("a", "b", "c"), CertifyRules(raters=3), seed=0)
    orders = {}
    for row in records_of(tmp_path / "sheets" / "ratings.jsonl"):
        orders.setdefault(row["rater"], []).append(row["case"])
    held_out = [row["narrative"] for row in records_of(corpus / "held_out.jsonl")]
    shown = [r["narrative"] for r in records_of(tmp_path / "sheets" / "ratings.jsonl")][:8]
    assert shown != held_out
    assert len({tuple(order) for order in orders.values()}) == 3
    assert len({frozenset(order) for order in orders.values()}) == 1


class Unreadable(RubricJudge):
    """Its verdicts can never be read."""

    most_attempts = 3

    def judge(self, tasks):
        return (record_verdict(self, task, Unscored("no_scores")) for task in tasks)


def test_an_unreadable_verdict_is_asked_for_as_often_as_the_judge_says(tmp_path):
    write_run(tmp_path, cases=2, systems=("good",))
    shutil.rmtree(tmp_path / "judgements")
    for _ in range(2):
        run_judge(tmp_path, Unreadable())
        path = judge_folder(tmp_path, "rubric-1", "decimals 0-5") / "good.jsonl"
        assert len(read_records(path, Judgement)) == 2 * Unreadable.most_attempts


def test_scores_of_questions_that_a_system_was_trained_on_do_not_count(tmp_path):
    write_run(tmp_path, cases=8, systems=("good", "base"))
    free = means_of(tmp_path)
    judged = sorted((tmp_path / "judgements").glob("*/good.jsonl"))
    for path in judged:  # the two questions would change the mean by much
        rows = records_of(path)
        for row in rows:
            if row["id"] in ("case-0", "case-3"):
                row["scores"] = dict.fromkeys(DIMENSIONS, 0.0 if "0-5" in row["protocol"] else 1.0)
                row["unscored"] = None
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert means_of(tmp_path)["good"] < free["good"] - 0.5
    write_card(tmp_path, "good", overlapping=("case-0", "case-3"))
    assert means_of(tmp_path)["good"] > free["good"] - 0.5
    assert means_of(tmp_path)["base"] == free["base"]


def means_of(folder):
    table = summarise_runs([folder], boot=Bootstrap(resamples=100)).of("scores")[0]
    return {system: table.cell(system, "mean score").value for system in table.systems}


def test_other_weights_in_a_folder_of_the_same_name_are_refused(tmp_path, tiny_folder):
    recipe = bench_recipe(data={"count": 5})
    first, second = tmp_path / "a" / "mine", tmp_path / "b" / "mine"
    for folder in (first, second):
        shutil.copytree(tiny_folder, folder)
    path = second / "model.safetensors"
    tensors = load_file(path)
    name = min(tensors)
    save_file({**tensors, name: tensors[name] + 1}, path, metadata={"format": "pt"})
    run_systems(recipe, tmp_path / "run", systems=[f"m=skingpt/{first}"])
    answers = tmp_path / "run" / "answers" / "m.jsonl"
    answers.write_text("".join(answers.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(TrainingError, match="other weights than those that gave its answers"):
        run_systems(recipe, tmp_path / "run", systems=[f"m=skingpt/{second}"])
