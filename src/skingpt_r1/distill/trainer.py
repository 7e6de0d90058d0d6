"""The training loop: `transformers.Trainer` around our terms, our optimizer and our checkpoints.

Trained set = optimizer set = saved set; it is checked before the first step. A training is carried
out once: its adapter, written last, says that it is done.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from accelerate import PartialState
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from skingpt_r1.distill.features import patch_settings
from skingpt_r1.distill.losses import Term, combine
from skingpt_r1.distill.objective import (
    Batch,
    CaseStore,
    EpochBatches,
    LanguageModel,
    StoredBias,
    StoredCases,
    VisualOnly,
    collate,
    is_visual_weight,
)
from skingpt_r1.distill.recipe import TrainRecipe
from skingpt_r1.errors import CheckpointError, TrainingError
from skingpt_r1.model.checkpoint import WEIGHTS_FILE as ADAPTER_WEIGHTS_FILE
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import refuse_not_finite, refusing
from skingpt_r1.records import keep_metrics, log_metrics
from skingpt_r1.runs import own_run

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "adapter_model.safetensors"
COMPLETE = "complete"  # written last: a checkpoint without it was torn by a kill


class Trained(NamedTuple):
    """What training needs to know of a model.

    Attributes:
        kept: what else a continued run needs and is no weight, by name.
    """

    objective: nn.Module  # batch -> one `Term` for each loss weight, in their order
    state: Mapping[str, Tensor]  # the trained parameters by their saved names
    kept: Mapping[str, Tensor] = MappingProxyType({})


def train(
    trained: Trained,
    store: CaseStore,
    recipe: TrainRecipe,
    *,
    weights: BaseModel,
    folder: Path,
    seed: int,
    labels: Sequence[str] | None = None,
    lengths: Sequence[int] | None = None,
    pad_id: int = 0,
    quiet: bool = False,
    join: Callable[..., Batch] = collate,
) -> None:
    """Train to the end of the recipe, from the last complete checkpoint if there is one.

    Args:
        trained: what is trained, and how its loss comes about.
        store: the features of the training cases.
        recipe: the optimisation.
        weights: of the loss terms.
        folder: checkpoints and `metrics.jsonl` go there.
        seed: of the order of the cases.
        labels: one for each stored case, for balanced sampling; see `EpochBatches`.
        lengths: see `EpochBatches`.
        pad_id: token that fills short rows where the language model runs.
        quiet: no progress bar.
        join: makes a batch of cases, as `collate` does.

    Raises:
        TrainingError: a loss or gradient that is not finite, or a folder that cannot be written.
    """
    arguments = _arguments(recipe, folder, seed, quiet)
    batches = EpochBatches(
        len(store),
        batch_size=recipe.batch_size,
        seed=seed,
        labels=labels,
        lengths=lengths,
        rank=arguments.process_index,
        processes=arguments.world_size,
    )
    optimizer = make_optimizer(trained, recipe)
    joined = partial(join, pad_id=pad_id)
    trainer = TermTrainer(trained, store, batches, weights, folder, optimizer, arguments, joined)
    checkpoint = last_checkpoint(folder)
    step = 0 if checkpoint is None else int(checkpoint.name.split("-")[1])
    if arguments.process_index == 0:
        keep_metrics(folder, step)
    if checkpoint is not None and recipe.max_steps is not None and step >= recipe.max_steps:
        # Nothing is left to do, and the library's loop would make one more step.
        trainer._load_from_checkpoint(str(checkpoint))
        return
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{folder} cannot be written or read: {error}; it needs a writable folder on a "
            "disk with space left. Start again: the run goes on from its last complete checkpoint"
        ) from error


class TermTrainer(Trainer):  # type: ignore[misc]  # the library is untyped
    """A Trainer whose loss is the weighted sum of term means over the whole step.

    Every micro-batch of every process divides its totals by the counts of the whole step, so
    accumulation and the number of processes do not change the gradient.
    """

    def __init__(
        self,
        trained: Trained,
        store: CaseStore,
        batches: EpochBatches,
        weights: BaseModel,
        folder: Path,
        optimizer: torch.optim.Optimizer,
        arguments: TrainingArguments,
        together: Callable[..., Batch],
    ) -> None:
        self.trained = trained
        self.batches = batches
        self.weights = weights
        self.folder = folder
        self.together = together
        self.names = tuple(type(weights).model_fields)
        self.loss_is_scaled_for_ga = True
        super().__init__(
            model=trained.objective,
            args=arguments,
            train_dataset=StoredCases(store),
            optimizers=(optimizer, None),
            callbacks=[_Guard(batches, trained.state)],
        )
        self.remove_callback(PrinterCallback)  # metrics.jsonl has the numbers
        self._sums = torch.zeros(2, len(self.names), dtype=torch.float64, device=arguments.device)

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """This process's share of every batch; no further wrapping."""
        return DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.together)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Tensor]:
        """The micro-batches of a step, and the term counts of the step over all processes."""
        samples = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        counts = torch.stack([batch["counts"] for batch in samples]).sum(0).to(device)
        return samples, self.accelerator.reduce(counts, reduction="sum")

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """The micro-batch's part of the step's loss."""
        assert not return_outputs, "the terms are logged, not returned"
        assert num_items_in_batch is not None
        terms: Sequence[Term] = model(inputs)
        loss = combine(terms, self.weights, num_items_in_batch)
        if not torch.isfinite(loss):
            raise TrainingError(self._describe_failure(terms))
        with torch.no_grad():
            self._sums[0] += torch.stack([term.total.double() for term in terms])
            self._sums[1] += inputs["counts"]
        # Data-parallel training averages the gradients of the processes; ours are parts of a sum.
        processes: int = self.accelerator.num_processes
        return loss * processes

    def _describe_failure(self, terms: Sequence[Term]) -> str:
        values = ", ".join(
            f"{name} {float(term.total.detach()):.4g}"
            for name, term in zip(self.names, terms, strict=True)
        )
        return (
            f"the loss is not finite at step {self.state.global_step + 1} ({values}); no weight "
            "was changed. Lower train.learning_rate or set train.clip, and start again: the run "
            "goes on from its last checkpoint"
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write one line of `metrics.jsonl`: the loss, its terms, the rate and the gradient."""
        super().log(logs, start_time)
        if "loss" not in logs:
            return
        totals, counts = self.accelerator.reduce(self._sums.clone(), reduction="sum").tolist()
        self._sums.zero_()
        means = {
            name: total / count
            for name, total, count in zip(self.names, totals, counts, strict=True)
            if count
        }
        # The Trainer's own mean is over unequal micro-batches; this one is over cases and tokens.
        weights = self.weights.model_dump()
        loss = sum(weights[name] * value for name, value in means.items())
        if self.args.process_index == 0:
            rate, norm = logs["learning_rate"], logs.get("grad_norm", 0.0)
            log_metrics(
                self.folder,
                self.state.global_step,
                loss=loss,
                learning_rate=rate,
                gradient_norm=float(norm),
                **means,
            )

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        """Checkpoints hold the trained weights only; the frozen ones are where they were."""
        if not self.args.should_save:
            return
        assert state_dict is None
        assert output_dir is not None
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: p.detach().cpu().contiguous() for name, p in self._held().items()}
        save_file(state, folder / WEIGHTS_FILE)

    def _held(self) -> dict[str, Tensor]:
        return {**self.trained.state, **self.trained.kept}

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """Put a checkpoint's weights back, strictly."""
        assert model is None
        path = Path(resume_from_checkpoint) / WEIGHTS_FILE
        with refusing(f"{path} cannot be read"):
            stored = load_file(path)
        refuse_not_finite(path, stored.items())
        own = self._held()
        if stored.keys() != own.keys():
            raise CheckpointError(
                f"{resume_from_checkpoint} has other weights than the recipe trains: "
                f"{', '.join(sorted(stored.keys() ^ own.keys()))}; choose a new folder"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(stored[name])


class _Guard(TrainerCallback):  # type: ignore[misc]  # the library is untyped
    """Gives the sampler its epoch, stops before a bad update, and marks complete checkpoints."""

    def __init__(self, batches: EpochBatches, state: Mapping[str, Tensor]) -> None:
        self.batches = batches
        self.state = state

    def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self.batches.epoch = int((state.epoch or 0) + 1e-6)

    def on_pre_optimizer_step(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        bad = [
            name
            for name, parameter in self.state.items()
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
        ]
        if bad:
            raise TrainingError(
                f"the gradient of {', '.join(bad[:5])} is not finite at step "
                f"{state.global_step + 1}; no weight was changed. Lower train.learning_rate, and "
                "start again: the run goes on from its last checkpoint"
            )

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
        # A line at every checkpoint: a resumed run then averages over the same stretches.
        control.should_log = control.should_log or control.should_save
        return control

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        if args.should_save:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def make_optimizer(trained: Trained, recipe: TrainRecipe) -> torch.optim.AdamW:
    """AdamW over exactly the trained parameters, one group for each learning rate.

    Raises:
        TrainingError: what requires a gradient is not what is saved.
    """
    wanted = {id(p): name for name, p in trained.state.items()}
    found = {id(p): name for name, p in trained.objective.named_parameters() if p.requires_grad}
    if wanted.keys() != found.keys():
        differing = [found.get(key) or wanted[key] for key in wanted.keys() ^ found.keys()]
        raise TrainingError(
            f"what is trained is not what is saved; they differ in {', '.join(differing[:10])}"
        )
    rates = {
        "visual_adapter": recipe.visual_learning_rate,
        "lora": recipe.lora_learning_rate,
        "language_bias": None,
    }
    groups = []
    for part, rate in rates.items():
        members = [p for name, p in trained.state.items() if name.partition(".")[0] == part]
        if members:
            groups.append({"params": members, "lr": rate or recipe.learning_rate})
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if held != wanted.keys():
        raise TrainingError("the optimizer does not hold exactly the trained weights")
    return optimizer


def describe_trained(state: Mapping[str, Tensor]) -> str:
    """A table of what is trained: name, shape, number of parameters."""
    rows = [(name, "x".join(map(str, p.shape)) or "1", p.numel()) for name, p in state.items()]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {shape:>14}  {count:>12,}" for name, shape, count in rows]
    total = sum(count for _, _, count in rows)
    return "\n".join([*lines, f"{'trained in all':<{width}}  {'':>14}  {total:>12,}"])


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run; None when there is none."""
    complete = [path.parent for path in (folder / "checkpoints").glob(f"checkpoint-*/{COMPLETE}")]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


def drop_torn_checkpoints(folder: Path) -> None:
    """Remove checkpoints that a kill left unfinished."""
    for path in (folder / "checkpoints").glob("checkpoint-*"):
        if not (path / COMPLETE).exists():
            logger.warning("%s is torn and was removed", path.name)
            shutil.rmtree(path)


def _arguments(recipe: TrainRecipe, folder: Path, seed: int, quiet: bool) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        max_grad_norm=recipe.clip,
        save_strategy="steps",
        save_steps=recipe.save_every,
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=recipe.log_every,
        logging_nan_inf_filter=False,
        seed=seed,
        use_cpu=PartialState().device.type == "cpu",
        report_to="none",
        disable_tqdm=quiet,
        remove_unused_columns=False,
        dataloader_pin_memory=PartialState().device.type == "cuda",
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        ddp_timeout=24 * 3600,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs are for torchrun, not for threads
    processes = arguments.world_size
    if recipe.batch_size % processes:
        raise TrainingError(
            f"train.batch_size {recipe.batch_size} cannot be shared by {processes} processes; "
            f"use a multiple of {processes}"
        )
    arguments.per_device_train_batch_size = recipe.batch_size // processes
    return arguments


def make_trained(
    model: SkinGPT, precision: Literal["fp32", "bf16"] = "fp32", *, visual_only: bool = False
) -> Trained:
    """The objective and the trained parameters of a model.

    Args:
        model: with the adapters to be trained.
        precision: of a language model or tower that runs in training; see `LanguageModel`.
        visual_only: train the visual adapter and the tower's adapters, without a text term.
    """
    state = model.adapter_state()
    for name, value in state.items():  # an earlier training may have left some out
        value.requires_grad_(not visual_only or is_visual_weight(name))
    if visual_only:
        trained = {name: value for name, value in state.items() if value.requires_grad}
        return Trained(VisualOnly(model, precision), trained)
    if not model.config.states_are_frozen:
        return Trained(LanguageModel(model, precision), state)
    assert model.language_bias is not None
    head = model.backbone.lm_head.weight
    return Trained(
        StoredBias(model.visual_adapter, model.language_bias, head, patch_settings(model)), state
    )


def finish_stage(
    folder: Path, model: SkinGPT, state: PartialState, teach: Callable[[], object]
) -> None:
    """Train, unless that was done before; the model then has `folder/adapter` and evaluates.

    Args:
        folder: of the training.
        model: what is trained.
        state: the processes that take part.
        teach: trains the model from its last complete checkpoint in `folder`, if there is one.
    """
    adapter = folder / "adapter"
    if not (adapter / ADAPTER_WEIGHTS_FILE).is_file():
        if state.is_main_process:
            drop_torn_checkpoints(folder)
        state.wait_for_everyone()
        teach()
        if state.is_main_process:
            model.save_pretrained(adapter)
        state.wait_for_everyone()
    model.eval()
    model.copy_adapter(adapter)


def own_shared(folder: Path, state: PartialState) -> AbstractContextManager[None]:
    """As `runs.own_run`, for several processes: the first of them owns the folder."""
    return own_run(folder) if state.is_main_process else nullcontext()
