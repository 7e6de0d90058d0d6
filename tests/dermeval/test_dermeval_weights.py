"""The evaluator that comes with the package: small, of this backbone, and not blind to damage."""

import random

from skingpt_r1.dermeval.report import NANO_EVALUATOR, load_evaluator
from skingpt_r1.dermeval.scoring import judge
from skingpt_r1.render.layouts import write_cases
from skingpt_r1.simulate.damage import DROPPED, UNSAFE, VAGUE, Damage, write_damaged
from skingpt_r1.text.rubric import Scores

OWN = {DROPPED: "Clinical Coverage", UNSAFE: "Safety", VAGUE: "Description Precision"}


def test_the_files_are_small():
    assert sum(path.stat().st_size for path in NANO_EVALUATOR.iterdir()) <= 4_000_000


def test_the_card_says_that_ratings_are_simulated():
    card = (NANO_EVALUATOR / "README.md").read_text("utf-8")
    assert "Every rating is simulated" in card
    assert "For research, not for diagnosis." in card


def test_grave_damage_lowers_its_own_dimension(tmp_path):
    cases = write_cases(tmp_path, 4, seed=31, size=112)
    kinds = [None, *OWN]
    items = []
    for case in cases:
        for kind in kinds:
            damage = Damage({} if kind is None else {kind: 1.0})
            others, rng = ("urticaria", "acne"), random.Random(1)
            text = write_damaged(case.findings, case.label, others, damage, rng).text
            items.append((case.images, text))
    verdicts = [found.verdict for found in judge(load_evaluator(), items, brief=True)]
    assert all(isinstance(verdict, Scores) for verdict in verdicts)
    for start in range(0, len(items), len(kinds)):
        clean, *damaged = verdicts[start : start + len(kinds)]
        for kind, verdict in zip(OWN, damaged, strict=True):
            assert verdict[OWN[kind]] < clean[OWN[kind]] - 1, kind
