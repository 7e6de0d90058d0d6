"""The trained evaluator: where it is, how it is loaded, and how it is exported."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from skingpt_r1.dermeval.card import NANO_EVALUATOR
from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.adapters.lora import merge_lora
from skingpt_r1.model.backbone import NANO
from skingpt_r1.model.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    is_adapter,
    load_adapter,
    read_adapter_weights,
)
from skingpt_r1.model.placement import AUTO
from skingpt_r1.model.skingpt import SkinGPT


def load_evaluator(
    name_or_dir: str | Path = NANO,
    *,
    backbone: str | Path | None = None,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype = AUTO,
) -> SkinGPT:
    """An evaluator. For research, not for diagnosis.

    Its low-rank matrices are merged into the language model: it judges and is not trained on.

    Args:
        name_or_dir: `nano`, the one that comes with the package, or the adapter folder of a
            `skingpt dermeval train` run.
        backbone: for an evaluator whose backbone has moved since training.
        device: `auto`, `cpu`, `cuda`, ...; see `model.placement.ModelRecipe`.
        dtype: of the backbone; `auto`, `fp32`, `bf16` or `fp16`.

    Raises:
        DeviceError: this machine has no such device.
        CheckpointError: there is no evaluator, or it belongs to another backbone.
    """
    folder = NANO_EVALUATOR if str(name_or_dir) == NANO else Path(name_or_dir)
    if not is_adapter(folder):
        raise CheckpointError(
            f"there is no evaluator in {str(name_or_dir)!r}; give the folder that "
            "`skingpt dermeval train --export DIR` has written, or `nano`"
        )
    model = load_adapter(folder, backbone=backbone, device=device, dtype=dtype)
    merge_lora(model.backbone)
    return model


def export_evaluator(adapter: Path, folder: Path, card: str) -> None:
    """Copy an evaluator without the files of its backbone's tokenizer, and write its card.

    The weights are rounded to half precision, which halves the file.

    Args:
        adapter: the adapter folder of a run.
        folder: where it goes; made when missing.
        card: text of its README.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(adapter / CONFIG_FILE, folder / CONFIG_FILE)
        weights = {name: value.half() for name, value in read_adapter_weights(adapter).items()}
        save_file(weights, folder / WEIGHTS_FILE, {"format": "pt"})
        (folder / "README.md").write_text(card, "utf-8")
    except OSError as error:
        raise CheckpointError(f"the evaluator cannot be written to {folder}: {error}") from error
