"""From a model to what is trained: the objective that fits its adapters."""

from typing import Literal

from skingpt_r1.distill.features import patch_settings
from skingpt_r1.distill.objective import LanguageModel, Sight, StoredBias, is_sight
from skingpt_r1.distill.trainer import Trained
from skingpt_r1.model.skingpt import SkinGPT


def make_sight(model: SkinGPT, precision: Literal["fp32", "bf16"] = "fp32") -> Trained:
    """The stage before the training: visual adapter and tower's adapters, without a text term.

    Args:
        model: with the adapters to be trained.
        precision: of a tower that runs in training.
    """
    state = model.adapter_state()
    for name, value in state.items():
        value.requires_grad_(is_sight(name))
    trained = {name: value for name, value in state.items() if value.requires_grad}
    return Trained(Sight(model, precision), trained)


def make_trained(model: SkinGPT, precision: Literal["fp32", "bf16"] = "fp32") -> Trained:
    """The objective and the trained parameters of a model.

    Args:
        model: with the adapters to be trained.
        precision: of a language model that runs in training; see `LanguageModel`.
    """
    state = model.adapter_state()
    for value in state.values():
        value.requires_grad_(True)  # a stage before may have left some out
    if not model.config.states_are_frozen:
        return Trained(LanguageModel(model, precision), state)
    assert model.language_bias is not None
    head = model.backbone.lm_head.weight
    return Trained(
        StoredBias(model.visual_adapter, model.language_bias, head, patch_settings(model)), state
    )
