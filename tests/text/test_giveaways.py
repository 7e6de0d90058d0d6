"""An observation that gives the diagnosis away is recognised, whatever its spelling."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS
from skingpt_r1.text.giveaways import named_in, names_of
from skingpt_r1.text.taxonomy import diagnoses, normalise
from skingpt_r1.text.wording import write_observation

NAMES = sorted(diagnoses())
FACTS = st.fixed_dictionaries({}, optional={s: st.sampled_from(list(WORDS[s])) for s in WORDS})


@pytest.mark.parametrize(
    ("text", "diagnosis"),
    [
        ("A plaque typical of psoriasis.", "psoriasis"),
        ("PSORIASIS", "psoriasis"),
        ("psoriatic plaques on the elbow", "psoriasis"),
        ("Psoria-sis is seen", "psoriasis"),
        ("mela\u200bnoma", "melanoma"),
        ("looks like melanomas", "melanoma"),
        ("a nodular melanoma", "melanoma"),
        ("a BCC of the nose", "basal cell carcinoma"),
        ("a rodent ulcer", "basal cell carcinoma"),
        ("seborrhoeic keratoses", "seborrheic keratosis"),
        ("a mole on the back", "melanocytic nevus"),
        ("naevi", "melanocytic nevus"),
        ("eczematous patches", "eczema"),
        ("a dysplastic nevus", "melanocytic nevus"),
        ("herpetiform vesicles", "herpes zoster"),
        ("An odd disease of ours", "odd disease"),
    ],
)
def test_names_and_their_disguises_are_found(text: str, diagnosis: str) -> None:
    assert named_in(text, diagnosis) is not None


@pytest.mark.parametrize(
    ("text", "diagnosis"),
    [
        ("A red plaque with silvery scale.", "psoriasis"),
        ("A warty surface.", "wart"),
        ("Wheals are scattered.", "urticaria"),
        ("A brown papule, unlike melanoma.", "melanocytic nevus"),
        ("A smooth surface with a mottled tone.", "melanocytic nevus"),
        ("A pustule beside papules.", "acne"),
        ("", "psoriasis"),
    ],
)
def test_what_is_seen_is_no_name(text: str, diagnosis: str) -> None:
    assert named_in(text, diagnosis) is None


@given(st.sampled_from(NAMES), st.sampled_from(["{}", "it is {}.", "Likely {} on the arm"]))
def test_every_name_and_synonym_of_the_taxonomy_is_found(name: str, form: str) -> None:
    for other in (name, *diagnoses()[name].synonyms):
        if normalise(other) in names_of(name):
            assert named_in(form.format(other), name) is not None


@settings(max_examples=200, deadline=None)
@given(FACTS, st.integers(0, 2**32), st.sampled_from([c.name for c in CONDITIONS]))
def test_no_written_observation_names_a_rendered_condition(facts, seed, name) -> None:
    text = write_observation(facts, random.Random(seed), {"site": "back", "age": "40"})
    assert named_in(text, name) is None


def test_words_for_findings_are_never_names() -> None:
    words = {normalise(w) for s in RENDERED_SLOTS for names in WORDS[s].values() for w in names}
    assert not [name for name in NAMES if words & set(names_of(name))]
