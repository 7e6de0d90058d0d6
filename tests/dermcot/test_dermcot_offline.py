"""The offline narrator says what is known, and nothing else; our own model counts when right."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpus import candidate

from skingpt_r1.dermcot.corpus import Candidate, StageRecord
from skingpt_r1.dermcot.narrators import (
    CONTRADICTED_FROM,
    OfflineNarrator,
    ask_own_model,
    name_slip,
)
from skingpt_r1.dermcot.write import (
    NOT_SUPPORTED,
    VISIBLE,
    Task,
    describe_attributes,
    findings_in,
    observe_task,
    read_reasoning,
    reason_task,
)
from skingpt_r1.distill.data import FindingsByLabel
from skingpt_r1.errors import NarrativeError
from skingpt_r1.render.layouts import iterate_cases
from skingpt_r1.simulate.damage import Damage
from skingpt_r1.text.findings import WORDS, check_findings, read_findings
from skingpt_r1.text.narrative import make_narrative

FACTS = st.fixed_dictionaries({}, optional={s: st.sampled_from(list(WORDS[s])) for s in WORDS})
RED = {"colour": "red", "surface": "silvery", "border": "sharp"}


@pytest.fixture(scope="module")
def likeness(tmp_path_factory):
    return FindingsByLabel(
        candidate(identity=case.id, label=case.label, findings=dict(case.findings)).case
        for case in iterate_cases(tmp_path_factory.mktemp("none"), 480, seed=2)
    )


def write(narrator, item, observation=None, tmp=None):
    """The reply to the first task, or to the second one about an observation."""
    if observation is None:
        task = observe_task(item, folder=tmp, seed=4)
    else:
        seen = StageRecord(id=item.case.id, stage="observe", text=observation)
        both = Candidate(item.case, {"observe": seen})
        task = reason_task(both, folder=tmp, seed=4)
    return narrator.write(task)


@settings(max_examples=100, deadline=None)
@given(FACTS, st.integers(0, 50))
def test_observations_say_the_findings_and_nothing_else(likeness, tmp_path_factory, facts, n):
    item = candidate(identity=f"case-{n}", findings=facts)
    reply = write(OfflineNarrator(likeness), item, tmp=tmp_path_factory.getbasetemp())
    if facts:
        assert read_findings(reply.text) == facts
        assert (reply.problem, reply.cost_usd, reply.simulated_slip) == (None, 0.0, None)
    else:
        assert reply.problem == "empty"


def test_the_reasoning_cites_the_observation_and_ends_with_the_gold_diagnosis(likeness, tmp_path):
    item = candidate(findings=RED)
    reply = write(OfflineNarrator(likeness), item, "A red lesion with sharp borders.", tmp_path)
    said = read_reasoning(reply.text)
    assert said.diagnosis == "psoriasis"
    assert read_findings(said.reasoning).items() <= {"colour": "red", "border": "sharp"}.items()
    assert len(said.differential) == 2
    assert "psoriasis" not in said.differential
    assert said.advice


def test_wording_varies_between_cases_and_not_between_calls(likeness, tmp_path):
    narrator = OfflineNarrator(likeness)
    items = [candidate(identity=f"case-{n}", findings=RED) for n in range(30)]
    texts = [write(narrator, item, tmp=tmp_path).text for item in items]
    assert len(set(texts)) > 5
    assert texts == [write(narrator, item, tmp=tmp_path).text for item in items]


def test_strong_contradiction_is_not_supported(likeness, tmp_path):
    """White smooth patches are vitiligo and nothing else."""
    seen = "Few large white patches with sharp borders and smooth surface, scattered, widespread."
    strict = OfflineNarrator(likeness, contradicted_from=CONTRADICTED_FROM)
    melanoma = candidate(label="melanoma")
    assert write(strict, melanoma, seen, tmp_path).text == NOT_SUPPORTED
    assert write(strict, candidate(label="vitiligo"), seen, tmp_path).text != NOT_SUPPORTED
    assert write(OfflineNarrator(likeness), melanoma, seen, tmp_path).text != NOT_SUPPORTED


def test_without_any_known_finding_nothing_is_supported(likeness, tmp_path):
    narrator = OfflineNarrator(likeness)
    assert write(narrator, candidate(), "Something is there.", tmp_path).text == NOT_SUPPORTED


def test_slips_are_made_at_their_rate_and_named(likeness, tmp_path):
    narrator = OfflineNarrator(likeness, slips=0.4, seed=1)
    facts = {
        "count": "few", "size": "large", "colour": "red", "morphology": "plaque",
        "border": "sharp", "surface": "silvery", "arrangement": "scattered",
        "distribution": "widespread",
    }  # fmt: skip
    slipped = 0
    for number in range(300):
        item = candidate(identity=f"case-{number}", findings=facts)
        seen = write(narrator, item, tmp=tmp_path)
        thought = write(narrator, item, seen.text, tmp_path)
        slips = [reply.simulated_slip for reply in (seen, thought) if reply.simulated_slip]
        slipped += bool(slips)
        assert seen.simulated_slip is None or seen.simulated_slip.startswith(
            ("finding dropped", "finding invented", "vague wording")
        )
        assert thought.simulated_slip is None or thought.simulated_slip.startswith(
            ("wrong diagnosis", "broken chain", "unsafe advice")
        )
        if not slips:
            assert read_findings(seen.text) == facts
            assert read_reasoning(thought.text).diagnosis == "psoriasis"
    assert 0.3 < slipped / 300 < 0.5


def test_slips_by_name():
    assert name_slip(Damage()) is None
    damage = Damage({"finding dropped": 0.625, "wrong diagnosis": 0.9})
    assert name_slip(damage) == "finding dropped 0.625 + wrong diagnosis 0.9"


def test_criteria_and_concepts_in_words():
    attributes = {
        "pigment_network": "atypical", "streaks": "irregular", "blue_whitish_veil": "present",
        "regression_structures": "white areas", "vascular_structures": "linear irregular",
        "dots_and_globules": "irregular", "pigmentation": "odd", "itch": "True",
        "concepts": "Plaque; Papule; Scale; Erythema; Ulcer; Crust; Scar; Nothing",
    }  # fmt: skip
    sentences = describe_attributes(attributes)
    assert "There is an atypical pigment network." in sentences
    assert sentences[-1] == "Also seen: an ulcer and a scar."
    assert not read_findings(" ".join(sentences))
    found = findings_in(attributes)
    assert found == {"morphology": "plaque", "surface": "scaly", "colour": "red"}
    assert not check_findings(found)
    assert "itch" not in VISIBLE
    assert describe_attributes({}) == []


def test_no_criterion_reads_as_a_finding():
    from skingpt_r1.dermcot import write as annotations

    sentences = [text for table in annotations._CRITERIA.values() for text in table.values()]
    sentences += [f"Also seen: {words}." for words in annotations._CONCEPT_WORDS.values()]
    assert not [text for text in sentences if read_findings(text)]


def test_known_concepts_are_those_of_the_data_set():
    from skingpt_r1.data.reading import label_set
    from skingpt_r1.dermcot import write as annotations

    concepts = {*annotations._CONCEPT_FINDINGS, *annotations._CONCEPT_WORDS}
    assert concepts <= set(label_set("skincon"))
    assert not annotations._CONCEPT_FINDINGS.keys() & annotations._CONCEPT_WORDS.keys()


def model(answer):
    """A stand-in for what a loaded model does."""

    def diagnose(images, context):
        assert images
        if isinstance(answer, NarrativeError):
            raise answer
        return answer

    return diagnose


def tasks(diagnosis, tmp_path):
    item = candidate(label=diagnosis)
    seen = Candidate(item.case, {"observe": StageRecord(id="case-1", stage="observe", text="x")})
    return [observe_task(item, folder=tmp_path, seed=1), reason_task(seen, folder=tmp_path, seed=1)]


def test_our_model_counts_when_it_is_right(tmp_path):
    said = make_narrative("A pearly nodule.", "It is pearly.", "BCC", ["acne"])
    narrator = partial(map, partial(ask_own_model, model(said), "own:nano"))
    seen, thought = narrator(tasks("basal cell carcinoma", tmp_path))
    assert (seen.text, seen.narrator) == ("A pearly nodule.", "own:nano")
    assert read_reasoning(thought.text)[:3] == ("It is pearly.", "BCC", ("acne",))
    _, thought = narrator(tasks("melanoma", tmp_path))
    assert (thought.text, thought.narrator) == (NOT_SUPPORTED, "own:nano")


@pytest.mark.parametrize(
    ("reason", "problem"),
    [("refusal", "refusal"), ("no_diagnosis", "no_diagnosis"), ("other", "not_readable")],
)
def test_unreadable_answers_of_our_model_have_their_reason(reason, problem, tmp_path):
    diagnose = model(NarrativeError(reason, "words"))
    replies = [ask_own_model(diagnose, "own:x", task) for task in tasks("acne", tmp_path)]
    assert [reply.problem for reply in replies] == [problem, problem]


def test_a_task_names_its_step(tmp_path):
    assert [task.step for task in tasks("acne", tmp_path)] == ["observe", "reason"]
    assert isinstance(tasks("acne", tmp_path)[0], Task)
