"""A stage of training that is carried out once: its adapter, written last, says that it is done."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from accelerate import PartialState

from skingpt_r1.distill.trainer import drop_torn_checkpoints
from skingpt_r1.model.checkpoint import WEIGHTS_FILE, copy_adapter, save_adapter
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.runs import own_run


def finish_stage(
    folder: Path, model: SkinGPT, state: PartialState, teach: Callable[[], object]
) -> None:
    """Train, unless that was done before, and leave the model with the stage's adapter.

    Args:
        folder: of the stage; the result is `folder/adapter`.
        model: what is trained, in evaluation mode afterwards.
        state: the processes that take part.
        teach: trains the model from its last complete checkpoint in `folder`, if there is one.

    Raises:
        SkinGPTError: see `trainer.train`.
    """
    adapter = folder / "adapter"
    if not (adapter / WEIGHTS_FILE).is_file():
        if state.is_main_process:
            drop_torn_checkpoints(folder)
        state.wait_for_everyone()
        teach()
        if state.is_main_process:
            save_adapter(model, adapter)
        state.wait_for_everyone()
    model.eval()
    copy_adapter(adapter, model)


def own_shared(folder: Path, state: PartialState) -> AbstractContextManager[None]:
    """As `runs.own_run`, for several processes: the first of them owns the folder."""
    return own_run(folder) if state.is_main_process else nullcontext()
