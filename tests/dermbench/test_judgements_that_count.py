"""Which judgement counts, against a slow reading of the rule."""

import random

from skingpt_r1.dermbench.reading import judgements_that_count
from skingpt_r1.dermbench.records import Judgement
from skingpt_r1.text.rubric import DIMENSIONS


def make_judgement(rng):
    is_scored = rng.random() < 0.5
    return Judgement(
        system=rng.choice(["a", "b"]),
        id=rng.choice(["x", "y"]),
        answer_sha256=rng.choice(["now", "before"]),
        judge="rules",
        protocol=rng.choice(["decimals 0-5", "integers 1-5"]),
        repeat=rng.choice([0, 1]),
        scores=dict.fromkeys(DIMENSIONS, 3.0) if is_scored else None,
        unscored=None if is_scored else "no_scores",
    )


def test_the_first_with_scores_counts_else_the_last():
    rng = random.Random(0)
    answers = {(system, name): "now" for system in "ab" for name in "xy"}
    for _ in range(50):
        records = list(enumerate(make_judgement(rng) for _ in range(rng.randint(0, 40))))
        kept = judgements_that_count(records, answers)
        seen = set()
        for _, record in records:
            if record.answer_sha256 == "now":
                seen.add((record.system, record.id, record.judge, record.protocol, record.repeat))
        assert set(kept) == seen
        for key, number in kept.items():
            own = [
                (at, one)
                for at, one in records
                if (one.system, one.id, one.judge, one.protocol, one.repeat) == key
                and one.answer_sha256 == "now"
            ]
            scored = [at for at, one in own if one.scores]
            assert number == (scored[0] if scored else own[-1][0])


def test_an_answer_that_is_not_there_has_no_judgement():
    records = [(0, make_judgement(random.Random(1)))]
    assert judgements_that_count(records, {}) == {}
