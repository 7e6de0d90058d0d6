"""Candidates weighed by a model: probabilities in the order of the question, equal to rank()."""

import pytest
from model_kinds import CONFIGS

from skingpt_r1.dermbench.questions import Asked
from skingpt_r1.dermbench.records import Question
from skingpt_r1.dermbench.systems.own import candidate_probabilities
from skingpt_r1.errors import SkinGPTError
from skingpt_r1.model.prompt import Request
from skingpt_r1.text.wording import INSTRUCTION

LABELS = ("wart", "naevus", "a scalp ringworm with crusts", "melanoma")


@pytest.fixture
def asked(tmp_path, pictures):
    path = tmp_path / "0.png"
    pictures[0].save(path)
    question = Question(
        id="1", benchmark="b", group="g", form="candidates", prompt=INSTRUCTION, images=("0.png",),
        sha256=("0" * 64,), label="wart", candidates=LABELS,
    )  # fmt: skip
    return Asked(question, (path,))


@pytest.mark.parametrize("adapters", [True, False])
def test_as_the_model_weighs_them(tiny_model, asked, adapters) -> None:
    model = tiny_model(CONFIGS["bias-lora-inject"], stir=True)
    text = "<think> Observation: red. </think> <answer> naevus </answer>"
    found = candidate_probabilities(model, asked, text, adapters=adapters)
    assert tuple(found) == LABELS
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)
    request = Request(asked.pictures)
    ranked = model.weigh(request, text.partition("<answer>")[0], LABELS, adapters=adapters)
    assert found == pytest.approx({item.label: item.probability for item in ranked})


def test_no_candidates(tiny_model, asked) -> None:
    model = tiny_model(CONFIGS["bias"])
    question = asked.question.model_copy(update={"candidates": ()})
    with pytest.raises(SkinGPTError, match="candidates"):
        candidate_probabilities(model, asked._replace(question=question))
