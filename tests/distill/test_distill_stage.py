"""A stage is carried out once, and what it leaves is what it saved."""

import pytest
import torch
from accelerate import PartialState

from skingpt_r1.distill.trainer import finish_stage
from skingpt_r1.errors import TrainingError
from skingpt_r1.model.checkpoint import WEIGHTS_FILE
from skingpt_r1.model.config import AdapterConfig, VisualConfig

CONFIG = AdapterConfig(visual=VisualConfig(embed_dim=8, num_layers=1, bottleneck=4), rank=4)


@pytest.fixture
def lesson(tiny_model):
    """A model, and a teaching that moves every weight and counts its calls."""
    model = tiny_model(CONFIG)
    calls = []

    def teach():
        calls.append(model.training)
        model.train()
        with torch.no_grad():
            for parameter in model.adapter_state().values():
                parameter.add_(1.0)

    return model, teach, calls


def values(model):
    return {name: value.detach().clone() for name, value in model.adapter_state().items()}


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left)


def test_a_stage_is_carried_out_once(lesson, tmp_path):
    model, teach, calls = lesson
    before = values(model)
    finish_stage(tmp_path, model, PartialState(), teach)
    after = values(model)
    assert len(calls) == 1
    assert not same(before, after)
    assert not model.training
    teach()  # whatever the weights are by then
    calls.clear()
    finish_stage(tmp_path, model, PartialState(), teach)
    assert calls == []
    assert same(values(model), after)
    assert not model.training


def test_an_adapter_without_its_weights_does_not_count(lesson, tmp_path):
    model, teach, calls = lesson
    finish_stage(tmp_path, model, PartialState(), teach)
    (tmp_path / "adapter" / WEIGHTS_FILE).unlink()
    finish_stage(tmp_path, model, PartialState(), teach)
    assert len(calls) == 2


def test_a_stage_that_fails_leaves_no_adapter(lesson, tmp_path):
    model, _, _ = lesson

    def fail():
        raise TrainingError("the loss is not finite")

    with pytest.raises(TrainingError):
        finish_stage(tmp_path, model, PartialState(), fail)
    assert not (tmp_path / "adapter").exists()
