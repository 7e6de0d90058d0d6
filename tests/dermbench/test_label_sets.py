"""Labels of the benchmarks, questions about them, and which label a text names."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skingpt_r1.case import Case
from skingpt_r1.dermbench.classification.labels import LABEL_SETS, find_label_set, gold_labels
from skingpt_r1.dermbench.classification.match import REASONS, likeliest, match_answer, match_name
from skingpt_r1.dermbench.questions import classification_questions, shuffled_candidates
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.errors import DatasetError, RecipeError, RecordError
from skingpt_r1.text.wording import ask

SIZES = {
    "ham10000": 7, "pad_ufes_20": 6, "fitzpatrick17k_9": 9, "fitzpatrick17k_114": 114, "ddi": 78,
    "ddi_malignancy": 2, "derm7pt": 20, "dermnet": 23,
}  # fmt: skip


def said(text: str, name: str = "ham10000", **changes) -> tuple[str | None, str | None]:
    return match_answer(Answer(system="s", id="1", text=text, **changes), LABEL_SETS[name])


def test_sizes_and_open_sets() -> None:
    assert {name: len(item.labels) for name, item in LABEL_SETS.items()} == SIZES
    assert LABEL_SETS["ddi"].candidates == ()
    assert len(LABEL_SETS["ddi_malignancy"].candidates) == 2
    with pytest.raises(RecipeError, match="'ham1000'; nearest: 'ham10000'"):
        find_label_set("ham1000")


@pytest.mark.parametrize("name", SIZES)
def test_every_label_means_itself(name: str) -> None:
    labels = LABEL_SETS[name]
    for label in labels.labels:
        for text in (label, f"{label}.", f"**{label.upper()}**", f"<answer> {label} </answer>"):
            assert said(text, name) == (label, None)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("nodular melanoma", "melanoma"),
        ("mole", "melanocytic nevus"),
        ("likely melanoma", "melanoma"),
        ("basal cell carcinoma (BCC)", "basal cell carcinoma"),
        ("<think> It may be a melanoma. </think> <answer> mole </answer>", "melanocytic nevus"),
        ("Asymmetric pigment is seen. The most likely diagnosis is melanoma.", "melanoma"),
    ],
)
def test_what_a_text_names(text: str, label: str) -> None:
    assert said(text) == (label, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("melanoma or nevus", "several_labels"),
        ("melanoma, nevus", "several_labels"),
        ("melanoma (or nevus)", "several_labels"),
        ("<answer> melanoma / Bowen's disease </answer>", "several_labels"),
        ("psoriasis", "not_a_label"),
        ("<answer> psoriasis </answer>", "not_a_label"),
        ("not melanoma", "unknown_name"),
        ("gibberish", "unknown_name"),
        ("", "empty"),
        ("I'm sorry, I cannot help with that.", "refusal"),
    ],
)
def test_nothing_is_guessed(text: str, reason: str) -> None:
    assert said(text) == (None, reason)
    assert reason in REASONS


def test_a_cut_text_is_no_name() -> None:
    assert said("melanoma", stop_reason="length") == (None, "truncated")
    assert said("<answer> mole </answer> and", stop_reason="length")[0] == "melanocytic nevus"
    assert said("", problem="timeout") == (None, "timeout")


def test_groups_of_diseases_and_malignancy() -> None:
    assert said("psoriasis", "fitzpatrick17k_9") == ("inflammatory", None)
    assert said("benign epidermal", "fitzpatrick17k_9") == ("benign epidermal", None)
    assert said("nodular melanoma", "ddi_malignancy") == ("malignant", None)
    assert said("mole", "ddi_malignancy") == ("benign", None)
    assert said("acne", "dermnet") == ("Acne and Rosacea Photos", None)
    assert said("hand, foot and mouth disease", "dermnet")[0].startswith("Warts")


def test_two_names_of_the_set_for_one_disease_are_not_one_label() -> None:
    # Fitzpatrick17k has both `melanoma` and `malignant melanoma`.
    assert match_name("melanoma", LABEL_SETS["fitzpatrick17k_114"]).label == "melanoma"
    found = match_name("MM melanoma", LABEL_SETS["fitzpatrick17k_114"])
    assert found.label is None


@given(st.text(max_size=60))
def test_any_text_names_one_label_or_has_a_reason(text: str) -> None:
    label, reason = said(text)
    assert (label is None) is (reason is not None)
    assert label is None or label in LABEL_SETS["ham10000"].labels
    assert reason is None or reason in REASONS


def test_the_likeliest_candidate() -> None:
    labels = LABEL_SETS["ddi_malignancy"]

    def weighed(**chances) -> Answer:
        return Answer(system="s", id="1", text="", probabilities=chances or None)

    assert likeliest(weighed(malignant=0.7, benign=0.3), labels).label == "malignant"
    assert likeliest(weighed(malignant=0.5, benign=0.5), labels).reason == "tie"
    assert likeliest(weighed(), labels).reason == "no_probabilities"
    with pytest.raises(RecordError, match="other candidates than ddi_malignancy: benign"):
        likeliest(weighed(malignant=1.0), labels)


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    found = []
    for number, label in enumerate(["melanoma", "melanocytic nevus", "dermatofibroma"] * 4):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(bytes([number]))
        found.append(
            Case(
                id=f"c{number}", images=(path,), dataset="ham10000", group=f"l{number // 2}",
                label=label, context={"site": "back"}, attributes={"malignant": "True"},
            )
        )  # fmt: skip
    return found


def test_questions_in_three_forms(cases: list[Case], tmp_path: Path) -> None:
    labels = LABEL_SETS["ham10000"]
    by_form = {
        form: classification_questions(cases, labels, form, root=tmp_path, seed=1)
        for form in ("narrative", "label", "candidates")
    }
    for form, questions in by_form.items():
        assert [item.id for item in questions] == [case.id for case in cases]
        assert {item.form for item in questions} == {form}
        assert questions[3].images == ("3.jpg",)
        assert len(questions[3].sha256[0]) == 64
        assert questions[0].licence == "CC BY-NC 4.0"
        assert questions[0].embeddable
    first = by_form["label"][0]
    assert first.prompt.endswith("Context: site back.")
    assert all(label in first.prompt for label in labels.labels)
    assert "; ".join(first.candidates) in first.prompt
    assert by_form["candidates"][0].prompt == ask({"site": "back"})
    assert sorted(by_form["candidates"][0].candidates) == sorted(labels.labels)


def test_the_order_of_candidates_varies_by_case_and_seed(cases, tmp_path) -> None:
    labels = LABEL_SETS["ham10000"]
    one, same, other = (
        [
            item.candidates
            for item in classification_questions(cases, labels, "label", root=tmp_path, seed=seed)
        ]
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other
    assert len(set(one)) > 8
    turned = list(cases)
    random.Random(0).shuffle(turned)
    again = classification_questions(turned, labels, "label", root=tmp_path, seed=1)
    assert {item.id: item.candidates for item in again} == {
        case.id: order for case, order in zip(cases, one, strict=True)
    }


def test_first_places_are_shared_evenly() -> None:
    labels = LABEL_SETS["pad_ufes_20"]
    firsts = [shuffled_candidates(labels, str(n), 0, "label")[0] for n in range(1200)]
    assert all(150 < firsts.count(label) < 250 for label in labels.labels)


def test_an_open_set_shows_no_label() -> None:
    assert shuffled_candidates(LABEL_SETS["ddi"], "1", 0, "label") == ()
    assert len(shuffled_candidates(LABEL_SETS["ddi"], "1", 0, "candidates")) == 78


def test_gold_labels_come_from_the_columns_of_the_data_set() -> None:
    def case(**attributes: str) -> Case:
        return Case(
            id="1", images=(Path("1.png"),), dataset="ddi", group="g", label="wart",
            attributes=attributes,
        )  # fmt: skip

    malignancy = LABEL_SETS["ddi_malignancy"]
    assert gold_labels([case(malignant="True")], malignancy) == {"1": "malignant"}
    assert gold_labels([case(malignant="False")], malignancy) == {"1": "benign"}
    with pytest.raises(DatasetError, match="1 cases have no label of ddi_malignancy"):
        gold_labels([case()], malignancy)
    with pytest.raises(DatasetError, match="is of ddi, not of fitzpatrick17k"):
        gold_labels([case(nine_partition_label="inflammatory")], LABEL_SETS["fitzpatrick17k_9"])


def test_repeated_ids(cases: list[Case], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="id 'c0' appears 2 times"):
        classification_questions([*cases, cases[0]], LABEL_SETS["ham10000"], "label", root=tmp_path)
