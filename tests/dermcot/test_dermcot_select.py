"""Selection, against a slow reference that follows the words of the rule."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpus import candidate

from skingpt_r1.dermcot.corpus import StageRecord
from skingpt_r1.dermcot.recipe import SelectRecipe
from skingpt_r1.dermcot.select import SIGNATURE, ScoredRow, decide, read_hashes, select
from skingpt_r1.text.rubric import DIMENSIONS

NOTHING_ALIKE = {"text_similarity": 1.01, "picture_distance": -1}


def row(place, stratum=("a", "unknown", "light"), mean=4.0, lowest=3.0, text=None, picture=None):
    """A row whose text and picture are its own, or those of a number."""
    words = np.random.default_rng(place if text is None else 1000 + text)
    pixels = np.random.default_rng(place if picture is None else 1000 + picture)
    return ScoredRow(
        id=f"case-{place}",
        stratum=stratum,
        mean=mean,
        lowest=(lowest, "Safety"),
        signature=words.integers(0, 2**32, SIGNATURE, dtype=np.uint32),
        hashes=read_hashes((pixels.bytes(32).hex(),)),
    )


def kept(problems):
    return [place for place, problem in enumerate(problems) if problem is None]


def reasons(problems):
    return [problem and problem[0] for problem in problems]


def by_the_words(rows, recipe):
    """In every turn, each stratum gives its best that is left; within a turn the best go first."""
    good = [r for r in rows if r.mean >= recipe.minimum_mean and r.lowest[0] >= recipe.minimum]
    waiting = {}
    for item in good:
        waiting.setdefault(item.stratum, []).append(item)
    for group in waiting.values():
        group.sort(key=lambda item: (-item.mean, rows.index(item)))
        if recipe.quota is not None:
            del group[recipe.quota :]
    chosen = []
    while any(waiting.values()):
        turn = [group.pop(0) for group in waiting.values() if group]
        turn.sort(key=lambda item: (-item.mean, rows.index(item)))
        chosen += turn
    return sorted(rows.index(item) for item in chosen[: recipe.keep])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(20, 50), st.integers(10, 50)), max_size=25
    ),
    st.integers(1, 25),
    st.integers(1, 6) | st.none(),
)
def test_the_rule_is_followed(values, keep, quota) -> None:
    rows = [
        row(place, (name, "unknown", "light"), mean / 10, lowest / 10)
        for place, (name, mean, lowest) in enumerate(values)
    ]
    recipe = SelectRecipe(keep=keep, minimum_mean=3, minimum=2, quota=quota, **NOTHING_ALIKE)
    problems = decide(rows, [], recipe)
    assert kept(problems) == by_the_words(rows, recipe)
    assert "" not in reasons(problems)


def test_every_reason() -> None:
    strata = [("a", "arm", "light"), ("b", "arm", "light")]
    rows = [
        row(0, strata[0], 4.0, text=0),
        row(1, strata[0], 2.9),
        row(2, strata[0], 4.9, lowest=1.9),
        row(3, strata[0], 3.9, text=0),
        row(4, strata[0], 3.8, picture=77),
        row(5, strata[0], 3.7, picture=77),
        row(6, strata[0], 3.6),
        row(7, strata[1], 3.5),
        row(8, strata[1], 3.4),
        row(9, strata[1], 3.3, picture=55),
    ]
    apart = [row(0, picture=55).hashes]
    recipe = SelectRecipe(keep=3, minimum_mean=3, minimum=2, quota=2)
    problems = decide(rows, apart, recipe)
    assert reasons(problems) == [
        None,
        "below_mean",
        "below_minimum",
        "duplicate_text",
        None,
        "duplicate_picture",
        "over_quota",
        None,
        "not_among_best",
        "held_out_picture",
    ]
    assert problems[2][1] == "Safety 1.9"
    assert problems[3][1] == "of case-0"
    assert problems[5][1] == "of case-4"


def test_equal_texts_of_other_diagnoses_are_no_duplicates() -> None:
    rows = [row(0, ("a", "x", "light"), text=3), row(1, ("b", "x", "light"), text=3)]
    assert reasons(decide(rows, [], SelectRecipe())) == [None, None]


def test_the_better_duplicate_stays_whatever_the_order() -> None:
    rows = [row(0, mean=3.6, text=3), row(1, mean=4.2, text=3)]
    assert reasons(decide(rows, [], SelectRecipe())) == ["duplicate_text", None]
    equal = [row(0, mean=4.0, text=3), row(1, mean=4.0, text=3)]
    assert reasons(decide(equal, [], SelectRecipe())) == [None, "duplicate_text"]


def test_nothing_to_select() -> None:
    assert decide([], [], SelectRecipe(keep=3)) == []


def test_random_order_looks_at_no_score():
    rows = [row(place, mean=place / 10) for place in range(40)]
    turned = [item_with_mean(item, 4.0 - item.mean) for item in rows]
    recipe = SelectRecipe(order="random", keep=20, minimum_mean=0, minimum=0, **NOTHING_ALIKE)
    chosen = kept(decide(rows, [], recipe))
    assert chosen == kept(decide(turned, [], recipe))
    assert chosen != list(range(20, 40))
    assert len(chosen) == 20


def test_random_order_goes_by_the_ids_alone():
    rows = [row(place) for place in range(40)]
    recipe = SelectRecipe(order="random", keep=20, minimum_mean=0, minimum=0, **NOTHING_ALIKE)
    chosen = {rows[place].id for place in kept(decide(rows, [], recipe))}
    turned = rows[::-1]
    assert {turned[place].id for place in kept(decide(turned, [], recipe))} == chosen


def item_with_mean(item, mean):
    return replace(item, mean=mean)


def pictured(place, *numbers, mean=4.0):
    """A row with a picture for each number, which is the hash."""
    hashes = read_hashes(tuple(number.to_bytes(32).hex() for number in numbers))
    return replace(row(place, mean=mean), hashes=hashes)


def test_a_distance_or_similarity_of_just_the_limit_is_a_duplicate() -> None:
    recipe = SelectRecipe(picture_distance=8, text_similarity=1.01)
    first, eight, nine = pictured(0, 0), pictured(1, 2**8 - 1), pictured(1, 2**9 - 1)
    assert reasons(decide([first, eight], [], recipe)) == [None, "duplicate_picture"]
    assert reasons(decide([first, nine], [], recipe)) == [None, None]
    half, less = row(1), row(1)
    half.signature[: SIGNATURE // 2] = row(0).signature[: SIGNATURE // 2]
    less.signature[: SIGNATURE // 2 - 1] = row(0).signature[: SIGNATURE // 2 - 1]
    recipe = SelectRecipe(picture_distance=-1, text_similarity=0.5)
    assert reasons(decide([row(0), half], [], recipe)) == [None, "duplicate_text"]
    assert reasons(decide([row(0), less], [], recipe)) == [None, None]


def test_every_picture_of_a_case_is_compared() -> None:
    first = pictured(0, 2**128 - 1, 0)  # all but the second pictures are 128 bits apart
    again = pictured(1, 2**192 - 2**64, 0)
    recipe = SelectRecipe(picture_distance=8, text_similarity=1.01)
    assert reasons(decide([first, again], [], recipe)) == [None, "duplicate_picture"]
    apart = [pictured(2, 2**256 - 1, 2**192 - 2**64).hashes]
    assert reasons(decide([first, again], apart, recipe)) == [None, "held_out_picture"]


def scored(place, scores):
    """A candidate whose text and picture are its own."""
    words = " ".join(f"word{place}x{number}" for number in range(30))
    digits = np.random.default_rng(place).bytes(32).hex()
    found = candidate({"normalise": words}, identity=f"case-{place}", phash=(digits,))
    record = StageRecord(
        id=found.case.id, stage="score", scores=dict(zip(DIMENSIONS, scores, strict=True))
    )
    return replace(found, records={**found.records, "score": record})


def dropped(candidates, recipe):
    records = select(candidates, [], recipe)
    return [(record.id, record.dropped, record.detail) for record in records]


def test_the_lowest_of_the_six_scores_must_reach_the_minimum() -> None:
    candidates = [scored(0, (5, 5, 1.9, 5, 5, 5)), scored(1, (5, 5, 2, 5, 5, 5))]
    recipe = SelectRecipe(minimum_mean=3, minimum=2)
    assert dropped(candidates, recipe) == [
        ("case-0", "below_minimum", f"{DIMENSIONS[2]} 1.9"),
        ("case-1", None, ""),
    ]


def test_scores_in_another_order_have_the_same_mean() -> None:
    """Sums of floats depend on their order; the first of two equal candidates is kept all the same.

    Both orders are tried, so that one of the sums is the larger one in either place.
    """
    one, two = (3.6, 4.8, 4.8, 3.6, 4.7, 4.5), (4.8, 4.7, 4.8, 3.6, 3.6, 4.5)
    assert sum(one) / 6 != sum(two) / 6
    for scores in ((one, two), (two, one)):
        candidates = [scored(place, own) for place, own in enumerate(scores)]
        found = dropped(candidates, SelectRecipe(keep=1))
        assert [reason for _, reason, _ in found] == [None, "not_among_best"]
