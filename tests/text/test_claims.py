"""Claims of a text: found, and told apart by what the text does with them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skingpt_r1.text.claims import CHECKLIST, SKINCON, claim_values, read_claims
from skingpt_r1.text.findings import WORDS
from skingpt_r1.text.narrative import make_narrative

FIXTURE = Path(__file__).parents[1] / "fixtures" / "claims.tsv"
SIGNS = {"+": "stated", "-": "denied", "?": "hedged", "~": "other"}
LABEL = re.compile(r"([+\-?~])(\w+):([^+?~]+?)(?=\s[+\-?~]\w+:|$)")


def sentences():
    for line in FIXTURE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            part, sentence, labels = line.split("\t")
            wanted = {(slot, value, SIGNS[sign]) for sign, slot, value in LABEL.findall(labels)}
            yield part, sentence, wanted


def found_in(sentence):
    return {(claim.slot, claim.value, claim.status) for claim in read_claims(sentence)}


@pytest.mark.parametrize("part", ["A", "B"])
def test_precision_and_recall_of_what_is_stated(part):
    hits = said = true = 0
    for kind, sentence, wanted in sentences():
        if kind == part:
            found = {claim for claim in found_in(sentence) if claim[2] == "stated"}
            right = {claim for claim in wanted if claim[2] == "stated"}
            hits, said, true = hits + len(found & right), said + len(found), true + len(right)
    assert true > 100
    assert hits / said >= 0.95
    assert hits / true >= 0.90


def test_the_fixture_is_large_and_its_claims_are_known():
    rows = list(sentences())
    assert len({sentence for _, sentence, _ in rows}) >= 300
    for _, sentence, wanted in rows:
        for slot, value, _ in wanted:
            assert value in claim_values()[slot], (sentence, slot, value)


def test_what_is_not_stated_is_told_apart():
    right = total = 0
    for _, sentence, wanted in sentences():
        others = {claim for claim in wanted if claim[2] != "stated"}
        right, total = right + len(others & found_in(sentence)), total + len(others)
    assert total > 150
    assert right / total >= 0.9


@pytest.mark.parametrize(
    ("sentence", "slot", "value", "status"),
    [
        ("No scale is visible.", "surface", "scaly", "denied"),
        ("If it bleeds, come back.", "bleeding", "bleeding", "hedged"),
        ("A raised red nodule.", "elevation", "elevated", "stated"),
        ("A nodule with a raised border.", "border", "rolled", "stated"),
        ("It is scaly.", "surface", "scaly", "stated"),
        ("Scale covers the plaque.", "surface", "scaly", "stated"),
        ("Crusted in the middle.", "surface", "crusted", "stated"),
        ("Psoriasis usually has silvery scale.", "surface", "silvery", "other"),
        ("Ulceration cannot be excluded.", "sign", "ulceration", "hedged"),
        ("It is not scaly but crusted.", "surface", "crusted", "stated"),
        ("It is not scaly but crusted.", "surface", "scaly", "denied"),
    ],
)
def test_words_in_their_sense(sentence, slot, value, status):
    assert (slot, value, status) in found_in(sentence)


def test_a_recurrent_disease_in_the_differential_claims_nothing():
    assert not read_claims("Differential: recurrent herpes; plaque psoriasis; nodular melanoma.")


def test_places_are_those_of_the_words():
    text = "Observation: one red papule.\nNo crust."
    assert [text[claim.start : claim.end] for claim in read_claims(text)] == [
        "one", "red", "papule", "crust",
    ]  # fmt: skip


def test_a_narrative_gives_its_claims():
    narrative = make_narrative("One red papule.", "No scale is seen.", "wart", ("psoriasis",))
    found = [(c.value, c.status, narrative.text[c.start : c.end]) for c in narrative.claims]
    assert found == [
        ("one", "stated", "One"), ("red", "stated", "red"), ("papule", "stated", "papule"),
        ("scaly", "denied", "scale"),
    ]  # fmt: skip


def test_items_of_a_differential_speak_of_others_until_the_next_line():
    text = "1. **Psoriasis**: silvery scale on plaques.\nThe surface is smooth."
    statuses = {claim.value: claim.status for claim in read_claims(text)}
    assert statuses == {
        "silvery": "other", "scaly": "other", "plaque": "other", "smooth": "stated",
    }  # fmt: skip


def test_all_concepts_of_skincon_and_the_checklist_can_be_claimed():
    assert len(SKINCON) == 48
    assert len(CHECKLIST) == 7
    for slot, value in (*SKINCON.values(), *CHECKLIST.values()):
        assert value in claim_values()[slot]
    for slot, values in WORDS.items():
        assert set(values) <= claim_values()[slot], slot


@given(st.text(max_size=300))
def test_any_text_can_be_read(text):
    for claim in read_claims(text):
        assert 0 <= claim.start < claim.end <= len(text)
        assert claim.value in claim_values()[claim.slot]
