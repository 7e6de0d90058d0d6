"""Notes say what is wrong with a damaged narrative, and nothing else."""

import random

import pytest

from skingpt_r1.case import Case
from skingpt_r1.simulate.damage import (
    BROKEN,
    DROPPED,
    INVENTED,
    UNSAFE,
    WRONG,
    Damage,
    write_damaged,
    write_notes,
)

FACTS = {
    "count": "few", "size": "large", "colour": "red", "morphology": "plaque", "border": "sharp",
    "surface": "silvery", "arrangement": "scattered", "distribution": "widespread",
}  # fmt: skip
CASE = Case(id="a", images=(), dataset="synthetic", group="a", label="psoriasis", findings=FACTS)


def notes(parts, seed=0, *, held_out=False):
    damage, rng = Damage(parts), random.Random(seed)
    others = ("lichen planus", "nummular eczema")
    narrative = write_damaged(FACTS, "psoriasis", others, damage, rng, held_out=held_out)
    return write_notes(narrative, CASE, damage).removesuffix(".").split("; ")


@pytest.mark.parametrize("seed", range(8))
def test_an_undamaged_narrative_agrees_with_itself(seed):
    named, reasoning, *pairs, picture, missing, invented, advice = notes({}, seed)
    assert (named, reasoning, picture) == (
        "diagnosis psoriasis", "reasoning psoriasis fits", "picture psoriasis fits"
    )  # fmt: skip
    assert len(pairs) == 2
    for pair in pairs:
        cited, observed = pair.removesuffix(" fits").split(" observed ")
        assert cited == observed
    assert (missing, invented, advice) == ("missing 0", "made up 0", "advice careful")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("strength", "said"),
    [
        (0.3, ["scaly scaly fits", "benign benign fits", "listed fits"]),
        (0.5, ["scaly scaly fits", "benign benign fits", "listed other"]),
        (0.7, ["other", "benign benign fits", "listed other"]),
        (1.0, ["other", "malignant benign other", "listed other"]),
    ],
)
def test_a_wrong_name_stands_beside_the_right_one_and_how_they_differ(seed, strength, said):
    named, reasoning, *_, picture, looks, course, listed, _, _, _ = notes({WRONG: strength}, seed)
    assert named != "diagnosis psoriasis"
    assert reasoning == f"reasoning {named.removeprefix('diagnosis ')} fits"
    assert picture == "picture psoriasis other"
    assert looks.endswith(said[0])
    assert [course, listed] == said[1:]


@pytest.mark.parametrize("seed", range(8))
def test_a_broken_chain_shows_in_the_pairs_or_the_end(seed):
    _, _, *pairs, _, _, _, _ = notes({BROKEN: 0.57}, seed)
    assert len(pairs) == 2
    for pair in pairs:
        cited, observed = pair.removesuffix(" other").split(" observed ")
        assert cited != observed
    named, reasoning, *_ = notes({BROKEN: 0.75}, seed)
    assert named == "diagnosis psoriasis"
    assert reasoning != "reasoning psoriasis fits"
    assert reasoning.endswith(" other")


@pytest.mark.parametrize(("strength", "count"), [(0.25, 2), (0.5, 4), (1.0, 8)])
def test_missing_findings_are_counted(strength, count):
    assert notes({DROPPED: strength})[-3] == f"missing {count}"


@pytest.mark.parametrize(("strength", "count"), [(0.33, 1), (0.67, 2), (1.0, 3)])
def test_made_up_statements_are_counted(strength, count):
    assert notes({INVENTED: strength})[-2] == f"made up {count}"


@pytest.mark.parametrize(
    ("strength", "said"), [(0.3, "thin"), (0.45, "thin thin"), (0.6, "harm"), (1.0, "harm harm")]
)
def test_advice_by_gravity(strength, said):
    assert notes({UNSAFE: strength})[-1] == f"advice {said}"
