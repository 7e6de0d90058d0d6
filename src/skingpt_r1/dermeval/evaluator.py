"""The trained evaluator: where it is, how it is loaded and exported, and its model card."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from skingpt_r1.dermeval.recipe import EvaluatorRecipe
from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.adapters.text import merge_lora
from skingpt_r1.model.backbone import NANO
from skingpt_r1.model.checkpoint import (
    CONFIG_FILE,
    OWN_CONFIG_FILE,
    WEIGHTS_FILE,
    is_adapter,
    read_adapter_config,
    read_adapter_weights,
    saved_names,
)
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.placement import AUTO
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.records import ResultRow, read_json
from skingpt_r1.stats.intervals import NO_INTERVAL

NANO_EVALUATOR = Path(__file__).with_name("weights")

_CARD = Path(__file__).with_name("card.md")
_MARK = "**Every rating is simulated**"
_SIMULATED = (
    f"{_MARK}: narratives of rendered pictures, damaged in known ways, scored "
    "by formulas with bias and noise. No person has rated anything, and nothing follows from the "
    "figures below for photos of people."
)
_GIVEN = "The rating files are the user's own; their licence may restrict what the weights are for."


def knows_rendered_skin_only(folder: Path) -> bool:
    """Whether an evaluator has learned from rendered pictures and simulated raters alone.

    The recipe of its run says so, and elsewhere its card.
    """
    run, card = folder.parent / "run.json", folder / "README.md"
    if run.is_file():
        data = read_json(run).get("recipe", {}).get("data", {})
        return "raters" in data and data.get("train") is None
    return card.is_file() and _MARK in card.read_text("utf-8", errors="replace")


def evaluator_card(
    recipe: EvaluatorRecipe, config: AdapterConfig, rows: Sequence[ResultRow]
) -> str:
    """A model card in Markdown with the metadata header that model hubs read."""
    assert config.backbone is not None
    is_simulated = recipe.data.train is None
    data = recipe.data
    cases = (
        f"{data.cases * data.narratives} narratives of {data.cases} rendered cases, "
        f"{data.raters} simulated raters each"
    )
    return _CARD.read_text("utf-8").format(
        base=config.backbone.name,
        revision=config.backbone.revision,
        recipe=recipe.name,
        seed=recipe.seed,
        rank=config.lora.rank,
        merger=" and vision merger" if config.lora.merger else "",
        layers=config.visual.layers,
        features=config.visual.features,
        inject=str(config.visual.inject).lower(),
        stages="supervised" if recipe.policy is None else "supervised, then score-oriented policy",
        ratings=cases if is_simulated else "given by the user",
        provenance=_SIMULATED if is_simulated else _GIVEN,
        table=_table(rows),
    )


def _table(rows: Sequence[ResultRow]) -> str:
    lines = ["| system | measure | value (95 % interval) | n |", "|---|---|---:|---:|"]
    for row in rows:
        ends = NO_INTERVAL if row.low is None else f"{row.low:.3f} to {row.high:.3f}"
        lines.append(f"| {row.system} | {row.metric} | {row.value:.3f} ({ends}) | {row.n} |")
    return "\n".join(lines)


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
    model = SkinGPT.from_pretrained(folder, backbone=backbone, device=device, dtype=dtype)
    merge_lora(model.backbone)
    return model


def export_evaluator(adapter: Path, folder: Path, card: str) -> None:
    """Copy an evaluator without the files of its backbone's tokenizer, with a card as README.

    The weights are rounded to half precision, which halves the file.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG_FILE, OWN_CONFIG_FILE):
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, folder / name)
        weights = {name: value.half() for name, value in read_adapter_weights(adapter).items()}
        save_file(
            saved_names(read_adapter_config(adapter), weights),
            folder / WEIGHTS_FILE,
            {"format": "pt"},
        )
        (folder / "README.md").write_text(card, "utf-8")
    except OSError as error:
        raise CheckpointError(f"the evaluator cannot be written to {folder}: {error}") from error
