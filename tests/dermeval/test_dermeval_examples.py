"""Simulated ratings: repeatable, marked as simulated; a test part that training has not seen."""

import pytest

from skingpt_r1.dermeval.examples import INJECTED, damage_probes, injected_texts, simulate
from skingpt_r1.dermeval.recipe import RatingsRecipe
from skingpt_r1.ratings.rating import read_rating_rows, read_ratings
from skingpt_r1.simulate.damage import KINDS, OWN_DIMENSION, WORDINGS
from skingpt_r1.text.narrative import parse_narrative

RECIPE = RatingsRecipe(cases=48, test_cases=16, size=32, injected=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulated"), RECIPE)


def test_three_simulated_raters_for_each_narrative(data):
    rows = read_rating_rows(data.train)
    assert all(row.simulated for row in rows)
    assert {row.rater for row in rows} == {"simulated-1", "simulated-2", "simulated-3"}
    judged = read_ratings(data.train)
    assert len(judged) == 48
    assert {len(item.ratings) for item in judged} == {3}
    assert all(image.is_file() for item in judged for image in item.images)


def test_several_narratives_of_each_case_to_learn_from(tmp_path):
    recipe = RatingsRecipe(cases=6, narratives=3, test_cases=4, size=32, raters=2)
    made = simulate(tmp_path, recipe)
    train, test = read_ratings(made.train), read_ratings(made.test)
    assert (len(train), len(test)) == (18, 4)
    assert len({item.group for item in train}) == 6
    assert len({item.text for item in train}) > 12
    assert all(item.notes.startswith("diagnosis ") for item in train)


def test_every_narrative_is_canonical(data):
    for item in [*read_ratings(data.train), *read_ratings(data.test)]:
        narrative = parse_narrative(item.text)
        assert narrative.observation
        assert narrative.reasoning


def test_injected_instructions_are_marked_and_change_no_true_score(data, tmp_path):
    train = read_ratings(data.train)
    injected = {item.id: item for item in train if INJECTED in item.damage}
    assert 10 < len(injected) < 40
    said = WORDINGS["injections"].training
    assert all(any(words in item.text for words in said) for item in injected.values())
    plain = [item for item in train if not item.damage]
    assert all(min(item.mean.values) > 4 for item in plain)
    clean = [item for item in injected.values() if item.damage == (INJECTED,)]
    assert all(min(item.mean.values) > 4 for item in clean)


def test_the_test_part_has_other_cases_and_no_injections(data):
    train, test = read_ratings(data.train), read_ratings(data.test)
    assert not {item.group for item in train} & {item.group for item in test}
    assert not {image for item in train for image in item.images} & {
        image for item in test for image in item.images
    }
    assert not any(INJECTED in item.damage for item in test)


def test_the_same_recipe_gives_the_same_bytes(data, tmp_path):
    again = simulate(tmp_path, RECIPE)
    assert again.train.read_bytes() == data.train.read_bytes()
    assert again.test.read_bytes() == data.test.read_bytes()


def test_probes_tell_a_case_with_and_without_one_damage(data):
    probes = damage_probes(data, 3)
    assert [probe.kind for probe in probes] == [kind for kind in OWN_DIMENSION for _ in range(3)]
    assert set(OWN_DIMENSION) == set(KINDS) - {"undamaged"}
    assert all(probe.clean != probe.damaged for probe in probes)
    assert probes == damage_probes(data, 3)
    trained = {item.text for item in read_ratings(data.train)}
    assert not trained & {probe.damaged for probe in probes}


def test_instructions_for_testing_are_not_those_for_training():
    texts = injected_texts(["One. Two."] * 20, seed=0)
    assert all(any(words in text for words in WORDINGS["injections"].held_out) for text in texts)
    assert not set(WORDINGS["injections"].held_out) & set(WORDINGS["injections"].training)
    assert texts == injected_texts(["One. Two."] * 20, seed=0)
