"""Qwen2.5-VL backbones that our clinic saved under a `model_type` of its own."""

from pathlib import Path
from typing import Any

from transformers import Qwen2_5_VLConfig

from skingpt_r1.model.families import qwen2_5_vl
from skingpt_r1.model.families.qwen2_5_vl import *  # noqa: F403 - all that is not below


class ClinicConfig(Qwen2_5_VLConfig):
    """The same fields under another name."""

    model_type = "clinic_vl"


def build_config(path: Path, config: dict[str, Any]) -> ClinicConfig:
    """The checked `config.json` at a path."""
    qwen2_5_vl.build_config(path, {**config, "model_type": qwen2_5_vl.MODEL_TYPE})
    return ClinicConfig.from_dict(config)
