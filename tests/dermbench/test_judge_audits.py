"""Audits of judges find what was put in, and nothing where nothing is."""

import random

import numpy as np
import pytest

from skingpt_r1.dermbench.answers import answers_path
from skingpt_r1.dermbench.audits import (
    LENGTH,
    ORDER,
    REPEATS,
    SELF,
    _rank_correlation,
    agreement_audits,
    audit_run,
    family_of,
    match_ratings,
    measure_judges,
    read_judged,
)
from skingpt_r1.dermbench.judges.language_model import CANDIDATE_FIRST
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.rating import Rating, RatingScores, read_ratings, write_ratings
from skingpt_r1.records import append_records, start_run
from skingpt_r1.stats.intervals import bootstrap_statistic, spearman
from skingpt_r1.text.rubric import DIMENSIONS

SYSTEMS = ("openai/gpt-5", "qwen/qwen3-vl", "skingpt/nano")
JUDGE, OTHER = "openai/gpt-4o", "deepseek/deepseek-reasoner"


def words_of(system, number):
    return " ".join(["word"] * (20 + 7 * number)) + f" {system}"


def write_run(folder, score, *, count=24, judges=(JUDGE, OTHER), repeats=1):
    """A run whose scores are `score(judge, system, number, repeat)` in every dimension."""
    questions = [
        Question(
            id=f"q{number}", benchmark="dermbench", group=f"g{number // 2}", form="narrative",
            prompt="?", images=(), sha256=(), label="wart", reference="wart",
        )
        for number in range(count)
    ]  # fmt: skip
    append_records(folder / "questions.jsonl", questions)
    start_run(folder, {"data": {"root": str(folder)}}, seed=0)
    for place, system in enumerate(SYSTEMS):
        answers = [
            Answer(system=system, id=q.id, text=words_of(system, n))
            for n, q in enumerate(questions)
        ]
        append_records(answers_path(folder, system), answers)
        for at, judge in enumerate(judges):
            records = [
                Judgement(
                    system=system,
                    id=answer.id,
                    answer_sha256=answer.sha256,
                    judge=judge,
                    repeat=repeat,
                    scores=dict.fromkeys(DIMENSIONS, score(judge, system, number, repeat)),
                )
                for number, answer in enumerate(answers)
                for repeat in range(repeats)
            ]
            append_records(folder / "judgements" / f"j{at}" / f"s{place}.jsonl", records)


def noise(*key):
    return random.Random(str(key)).uniform(-0.05, 0.05)


def find(audits, check, judge=JUDGE, subject=None):
    return [
        a for a in audits
        if (a.check, a.judge) == (check, judge) and subject in (None, a.subject)
    ]  # fmt: skip


def test_a_fair_judge_has_no_flag_but_its_family(tmp_path):
    write_run(tmp_path, lambda judge, system, n, repeat: 3 + noise(judge, system, n))
    audits = audit_run(read_judged(tmp_path))
    flagged = [audit for audit in audits if audit.flagged]
    assert [(a.check, a.judge, a.subject) for a in flagged] == [(SELF, JUDGE, SYSTEMS[0])]
    assert "not shown" in flagged[0].verdict
    (spread,) = find(audits, REPEATS)
    assert spread.measure is None
    assert "no answer has the scores of two repeats" in spread.verdict


def test_repeats_that_differ(tmp_path):
    write_run(tmp_path, lambda judge, system, n, repeat: 2.0 + repeat, repeats=3)
    (spread,) = find(audit_run(read_judged(tmp_path)), REPEATS)
    assert spread.flagged
    assert spread.measure.value == pytest.approx(np.std([2, 3, 4], ddof=1))


def test_a_judge_that_likes_long_answers(tmp_path):
    write_run(tmp_path, lambda judge, system, n, repeat: 1 + n / 10)
    found = find(audit_run(read_judged(tmp_path)), LENGTH)
    assert [audit.subject for audit in found] == sorted(SYSTEMS)
    assert all(audit.flagged and audit.measure.value == pytest.approx(1) for audit in found)
    assert "longer" in found[0].verdict


def test_an_effect_of_order(tmp_path):
    turned = JUDGE + CANDIDATE_FIRST
    write_run(
        tmp_path,
        lambda judge, system, n, repeat: 3 + 0.5 * (judge == turned) + noise(system, n),
        judges=(JUDGE, turned),
    )
    audits = audit_run(read_judged(tmp_path))
    (order,) = [audit for audit in audits if audit.check == ORDER]
    assert order.flagged
    assert order.measure.value == pytest.approx(0.5)


def test_a_judge_that_prefers_its_own_family(tmp_path):
    def score(judge, system, n, repeat):
        own = judge == JUDGE and system == SYSTEMS[0]
        return 3 + 0.6 * own + noise(judge, system, n)

    write_run(tmp_path, score)
    (found,) = find(audit_run(read_judged(tmp_path)), SELF)
    assert found.flagged
    assert found.measure.value == pytest.approx(0.6, abs=0.05)
    assert "higher than other judges" in found.verdict


def test_an_own_family_without_another_judge_is_flagged_by_its_name(tmp_path):
    write_run(tmp_path, lambda *key: 3.0, judges=(JUDGE,))
    (found,) = find(audit_run(read_judged(tmp_path)), SELF)
    assert (found.flagged, found.measure) == (True, None)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("openai/gpt-5", "gpt"), ("http://x/v1#Qwen/Qwen2.5-VL-7B", "qwen"),
        ("anthropic/claude-opus-4", "claude"), ("deepseek/deepseek-reasoner", "deepseek"),
        ("dermeval:nano", "skingpt"), ("skingpt/nano", "skingpt"), ("rubric-1", None),
        ("google/gemini-2.5-flash", "gemini"), ("control/majority", None),
        ("https://api.example.com/openai/v1#llama-3.3-70b (candidate first)", "llama"),
        ("https://gpt-4.example.com/v1", None),
    ],
)  # fmt: skip
def test_families(name, family):
    assert family_of(name) == family


def rate(folder, *, shift=0.0, name="{system}/{question}", text=None):
    rows = []
    for number in range(24):
        for system in SYSTEMS[:1]:
            value = min(5.0, max(0.0, 1 + number / 10 + shift))
            rows.append(
                Rating(
                    id=name.format(system=system, question=f"q{number}"),
                    image="a.png",
                    diagnostic_text=text or words_of(system, number),
                    rater="r1",
                    scores=RatingScores.of((value,) * 6),
                )
            )
    write_ratings(folder / "ratings.jsonl", rows)
    return folder / "ratings.jsonl"


@pytest.mark.parametrize("name", ["{system}/{question}", "{question}"])
def test_agreement_with_clinicians(tmp_path, name):
    write_run(tmp_path, lambda judge, system, n, repeat: 1 + n / 10, judges=(JUDGE,))
    path = rate(tmp_path, shift=0.25, name=name)
    (found,) = measure_judges(read_judged(tmp_path), path, resamples=100)
    values = {(row.system, row.metric): row.value for row in found.rows}
    assert values["Accuracy", "mean absolute error"] == pytest.approx(0.25)
    assert values["Overall", "bias"] == pytest.approx(-0.25)
    assert values["Safety", "weighted kappa"] > 0.8
    assert found.unmatched == 0
    shown = agreement_audits([found])
    assert len(shown) == 14
    assert {audit.judge for audit in shown} == {JUDGE}


def test_ratings_of_other_texts_do_not_count(tmp_path):
    write_run(tmp_path, lambda *key: 3.0, judges=(JUDGE,))
    reading = read_judged(tmp_path)
    with pytest.raises(RecordError, match="about another text"):
        measure_judges(reading, rate(tmp_path, text="other words"))
    with pytest.raises(RecordError, match=r"no rating of .* belongs to an answer"):
        measure_judges(reading, rate(tmp_path, name="x{question}"))
    with pytest.raises(
        RecordError, match="no judge 'j' on the scale 0-5; there are: openai/gpt-4o"
    ):
        measure_judges(reading, rate(tmp_path), judges=["j"])
    ratings = read_ratings(rate(tmp_path))
    matched, unmatched = match_ratings(ratings, {(SYSTEMS[0], "q1"): words_of(SYSTEMS[0], 1)})
    assert (list(matched), unmatched) == ([(SYSTEMS[0], "q1")], 23)


def test_what_has_no_agreement_is_named_without_a_number(tmp_path):
    """Equal scores have no kappa: no interval of zeros stands for it."""
    write_run(tmp_path, lambda *key: 3.0, judges=(JUDGE,))
    answers = [
        Rating(
            id=f"{SYSTEMS[0]}/q{number}",
            image="a.png",
            diagnostic_text=words_of(SYSTEMS[0], number),
            rater="r1",
            scores=RatingScores.of((3.0,) * 6),
        )
        for number in range(6)
    ]
    stranger = answers[0].model_copy(update={"id": "of nobody"})
    write_ratings(tmp_path / "ratings.jsonl", [*answers, stranger])
    found = measure_judges(read_judged(tmp_path), tmp_path / "ratings.jsonl", resamples=100)
    shown = {(audit.check, audit.subject): audit for audit in agreement_audits(found)}
    assert len(shown) == 14
    kappa = shown["agreement with clinicians: weighted kappa", "Overall"]
    assert kappa.measure is None
    assert kappa.verdict == "6 answers that both have scored; 1 ratings of no answer"
    error = shown["agreement with clinicians: mean absolute error", "Safety"]
    assert tuple(error.measure) == (0, 0, 0, 6)


def test_judgements_of_another_run_are_no_scores(tmp_path):
    write_run(tmp_path, lambda *key: 3.0, judges=(JUDGE,))
    path = tmp_path / "judgements" / "j0" / "s0.jsonl"
    path.write_text(path.read_text().replace('"id": "q0"', '"id": "q99"'))
    with pytest.raises(RecordError, match="on 'q99'; the run has no such answer"):
        read_judged(tmp_path)


def test_a_run_without_judgements(tmp_path):
    write_run(tmp_path, lambda *key: 3.0, judges=())
    with pytest.raises(RecordError, match="no judgements yet"):
        read_judged(tmp_path)


@pytest.mark.parametrize("slope", [0.0, 0.02, 0.2])
def test_sums_of_ranks_give_the_interval_of_ranking_anew(slope: float) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 60, 400).astype(float)
    values = slope * lengths + rng.normal(size=400)
    groups = [str(number // 3) for number in range(400)]
    fast = _rank_correlation(lengths, values, groups)
    slow = bootstrap_statistic(
        lambda chosen: spearman(lengths[chosen], values[chosen]), 400, groups, seed=0
    )
    assert fast.value == slow.value
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.01)
    assert fast.n == 400
