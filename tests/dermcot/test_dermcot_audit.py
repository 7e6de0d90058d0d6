"""What the audit drops, and what it must let pass."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpus import candidate, case_record

from skingpt_r1.dermcot.recipe import AuditRecipe
from skingpt_r1.dermcot.write import audit, find_problem
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.simulate.damage import BROKEN, Damage, write_damaged
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS
from skingpt_r1.text.giveaways import identity_words, invented_history
from skingpt_r1.text.narrative import make_narrative
from skingpt_r1.text.wording import ADVICE, write_narrative

SEEN = "Few large red plaques with sharp borders and silvery surface, scattered and widespread."
THOUGHT = "Silvery surface and red colour point to psoriasis. A doctor can confirm this."


def problem(observation=SEEN, reasoning=THOUGHT, diagnosis="psoriasis", others=(), **case):
    text = make_narrative(observation, reasoning, diagnosis, others).text
    return find_problem(case_record(**case), text, AuditRecipe())


def test_a_sound_narrative_passes() -> None:
    assert problem(others=("nummular eczema",)) is None


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries({s: st.sampled_from(list(WORDS[s])) for s in RENDERED_SLOTS}),
    st.sampled_from([condition.name for condition in CONDITIONS]),
    st.sampled_from([*ADVICE, None]),
    st.integers(0, 2**32),
)
def test_no_written_narrative_is_dropped(facts, name, advice, seed) -> None:
    context = {"site": "left arm", "age": "45"}
    narrative = write_narrative(facts, name, (), random.Random(seed), context, advice)
    assert find_problem(case_record(label=name, context=context), narrative.text, RULES) is None


RULES = AuditRecipe()


@pytest.mark.parametrize("seed", range(20))
def test_a_broken_chain_that_cites_other_findings_is_a_contradiction(seed: int) -> None:
    facts = {
        "count": "few", "size": "large", "colour": "red", "morphology": "plaque",
        "border": "sharp", "surface": "silvery", "arrangement": "scattered",
        "distribution": "widespread",
    }  # fmt: skip
    rng = random.Random(seed)
    text = write_damaged(facts, "psoriasis", (), Damage({BROKEN: 0.5}), rng).text
    found = find_problem(case_record(), text, RULES)
    assert found is not None
    assert found[0] == "contradiction"


@pytest.mark.parametrize(
    ("reasoning", "detail"),
    [
        ("Smooth surface and red colour point to psoriasis.", "surface: silvery seen, smooth"),
        ("The blue hue and black colour make this psoriasis.", "colour: red seen, black"),
        ("The small size suggests psoriasis.", "size: large seen, small"),
        ("The red colour fits. So does the black colour.", "colour: red seen, black and red cited"),
    ],
)
def test_contradictions_are_named(reasoning: str, detail: str) -> None:
    found = problem(reasoning=reasoning)
    assert found is not None
    assert found[0] == "contradiction"
    assert detail in found[1]


@pytest.mark.parametrize(
    "reasoning",
    [
        "There is no smooth surface, so psoriasis is likely.",
        "Nummular eczema would be crusted. This is psoriasis.",
        "Unlike pink patches, this is typical of psoriasis.",
        "A smooth surface speaks for nummular eczema. Here it is psoriasis.",
        "Several findings and a moderate likelihood point to psoriasis.",
        "Raised lesions with silvery scale point to psoriasis.",
    ],
)
def test_what_is_ruled_out_is_no_contradiction(reasoning: str) -> None:
    assert problem(reasoning=reasoning, others=("nummular eczema",)) is None


def test_a_second_value_in_the_observation_may_be_cited() -> None:
    seen = f"{SEEN} In parts the border is blurred."
    assert problem(seen, "Blurred borders and red colour point to psoriasis.") is None


@pytest.mark.parametrize("name", ["nummular eczema", "guttate psoriasis", "papulosquamous disease"])
def test_another_diagnosis_is_a_mismatch(name: str) -> None:
    assert problem(diagnosis=name) == ("label_mismatch", f"it concludes with {name!r}")


def test_a_synonym_is_no_mismatch() -> None:
    assert problem(diagnosis="Psoriasis") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I cannot help with this.", "structure"),
        (make_narrative("A plaque.", THOUGHT, "psoriasis").text, "structure"),
        (make_narrative(SEEN, "It is psoriasis.", "psoriasis").text, "structure"),
        (make_narrative(f"{SEEN} It is psoriasis.", THOUGHT, "psoriasis").text, "structure"),
        (make_narrative(SEEN, THOUGHT + " word" * 4000, "psoriasis").text, "structure"),
    ],
)
def test_structure(text: str, reason: str) -> None:
    found = find_problem(case_record(), text, RULES)
    assert found is not None
    assert found[0] == reason


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("It itches.", "itching"),
        ("The lesion is pruritic and tender.", "itching"),
        ("There is no pain.", "pain"),
        ("It has been growing.", "growth"),
        ("It appeared three weeks ago.", "duration"),
        ("It has been there for several months.", "duration"),
        ("It has recurred since childhood.", "duration"),
        ("There is a family history of melanoma.", "earlier disease"),
        ("The patient reports that it came quickly.", "what a person said"),
        ("He has been treated with steroids.", "treatment"),
        ("A fever came first.", "general symptoms"),
        ("A smoker of long standing, smoking daily.", "habits"),
        ("A 45-year-old face.", "age"),
        ("This woman has a plaque.", "sex"),
    ],
)
def test_invented_history_is_named(sentence: str, kind: str) -> None:
    assert invented_history(sentence, {}, {}) == kind
    assert problem(reasoning=f"{THOUGHT} {sentence}") == ("invented_history", kind)


@pytest.mark.parametrize(
    "sentence",
    [
        *(words for group in ADVICE.values() for words in group),
        "Come back if it grows or itches.",
        "Psoriasis often itches.",
        "A dermatologist should see it within two weeks.",
        "Show it to a doctor in three months.",
        "Look at it again every six months.",
        "Old scars are seen nearby.",
        "Since the border is sharp, it is psoriasis.",
        "The surface may bleed.",
    ],
)
def test_what_is_only_supposed_is_no_history(sentence: str) -> None:
    assert invented_history(sentence, {}, {}) is None


@pytest.mark.parametrize(
    ("sentence", "attributes", "found"),
    [
        ("It itches.", {"itch": "True"}, None),
        ("It itches.", {"itch": "False"}, "itching"),
        ("It does not itch.", {"itch": "False"}, None),
        ("It does not itch.", {"itch": "True"}, "itching"),
        ("It itches.", {"itch": "UNK"}, "itching"),
        ("It has been there for three weeks.", {"condition_duration": "ONE_TO_FOUR_WEEKS"}, None),
        ("This woman has a plaque.", {"gender": "FEMALE"}, None),
    ],
)
def test_recorded_history_is_not_invented(sentence, attributes, found) -> None:
    assert invented_history(sentence, {}, attributes) == found


def test_a_told_age_is_not_invented() -> None:
    assert invented_history("On the arm at age 45.", {"age": "45"}, {}) is None
    assert invented_history("On the arm at age 54.", {"age": "45"}, {}) == "age"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Write to jane.roe@example.org about it.", "e-mail address"),
        ("See www.example.org for more.", "web address"),
        ("Seen on 2021-03-14 in the clinic.", "date"),
        ("Seen on 14/03/2021.", "date"),
        ("Seen on 14 March 2021.", "date"),
        ("In March 2021 it was pink.", "date"),
        ("Call +44 20 7946 0958.", "telephone number"),
        ("Call (020) 7946 0958.", "telephone number"),
        ("Call 555-010-4477.", "telephone number"),
        ("MRN 00482913 is the number.", "hospital number"),
        ("Hospital no. AB 482913.", "hospital number"),
        ("PAT_1008 has a plaque.", "hospital number"),
        ("Mrs Roe has a plaque.", "name"),
        ("Dr. Roe saw it.", "name"),
        ("The patient is named Jane.", "name"),
        ("Patient Jane Roe has it.", "name"),
    ],
)
def test_identity_words_are_found_and_not_quoted(words: str, kind: str) -> None:
    assert identity_words(words) == kind
    found = problem(f"{SEEN} {words}")
    assert found == ("identity", kind)


@pytest.mark.parametrize(
    "words",
    [
        "A plaque of 12 mm by 8 mm.",
        "A scale of 2-3 mm, 0.5 to 1.0 cm wide.",
        "Bowen disease or Kaposi sarcoma may look like this.",
        "It may be shown to a doctor. A Spitz nevus is possible.",
        "Covers 30 percent; ratio 1:200; May be shown to a dermatologist.",
        "Patients with Paget disease look different.",
    ],
)
def test_medical_words_are_no_identity(words: str) -> None:
    assert identity_words(words) is None


def test_the_stage_gives_each_candidate_a_record() -> None:
    good = candidate({"normalise": make_narrative(SEEN, THOUGHT, "psoriasis").text})
    bad = candidate({"normalise": make_narrative(SEEN, THOUGHT, "acne").text}, identity="case-2")
    records = list(audit([good, bad], RULES))
    assert [(record.id, record.dropped) for record in records] == [
        ("case-1", None),
        ("case-2", "label_mismatch"),
    ]
