"""From a model to what is trained: the objective that fits its adapters."""

from typing import Literal

from skingpt_r1.distill.features import patch_settings
from skingpt_r1.distill.objective import LanguageModel, StoredBias
from skingpt_r1.distill.trainer import Trained
from skingpt_r1.model.skingpt import SkinGPT


def make_trained(model: SkinGPT, precision: Literal["fp32", "bf16"] = "fp32") -> Trained:
    """The objective and the trained parameters of a model.

    Args:
        model: with the adapters to be trained.
        precision: of a language model that runs in training; see `LanguageModel`.
    """
    state = model.adapter_state()
    if not model.config.states_are_frozen:
        return Trained(LanguageModel(model, precision), state)
    assert model.language_bias is not None
    head = model.backbone.lm_head.weight
    return Trained(
        StoredBias(model.visual_adapter, model.language_bias, head, patch_settings(model)), state
    )
