"""Where a model runs and with which numbers: the one place that chooses.

The section `models` of every recipe, the options `--device` and `--dtype` of every command that
loads a model, and the arguments of `load_model` all end here.
"""

import re
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict

from skingpt_r1.errors import DeviceError

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

AUTO = "auto"
DEVICES = "auto, cpu, cuda, cuda:<number> or mps"
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")


def check_device_name(name: str) -> str:
    """The name, if it is one of a device; whether this machine has it is not asked."""
    if _DEVICE.fullmatch(name) is None:
        raise DeviceError(f"{name!r} is no device; give {DEVICES}")
    return name


def check_dtype_name(name: str) -> str:
    """The name, if it is one of a number format."""
    if name not in (AUTO, *DTYPES):
        raise DeviceError(f"{name!r} is no dtype; give {AUTO}, {', '.join(DTYPES)}")
    return name


class ModelRecipe(BaseModel):
    """Where the models of a run go.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`: the first accelerator that is there.
        dtype: of the weights; `auto` is `bf16` on CUDA and `fp32` elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Annotated[str, AfterValidator(check_device_name)] = AUTO
    dtype: Annotated[str, AfterValidator(check_dtype_name)] = AUTO


ANYWHERE = ModelRecipe()


class Placement(NamedTuple):
    """A device and a number format that this machine has."""

    device: "torch.device"
    dtype: "torch.dtype"


def place(device: "str | torch.device" = AUTO, dtype: "str | torch.dtype" = AUTO) -> Placement:
    """Choose where a model goes; a device or dtype of PyTorch is taken as it is.

    Raises:
        DeviceError: a name that means nothing, or a device that this machine lacks.
    """
    import torch

    found = _device(device) if isinstance(device, str) else device
    if isinstance(dtype, torch.dtype):
        return Placement(found, dtype)
    if check_dtype_name(dtype) == AUTO:
        dtype = "bf16" if found.type == "cuda" else "fp32"
    return Placement(found, getattr(torch, DTYPES[dtype]))


def training_state(device: str = AUTO) -> "PartialState":
    """The processes of a run that trains; under `torchrun` each has a card of its own.

    Raises:
        DeviceError: a device that this machine lacks, or one card by its number.
    """
    from accelerate import PartialState

    found = _device(device)
    if found.index is not None:
        raise DeviceError(
            f"training takes the cards that it sees, not {device!r}; give cuda, and "
            f"CUDA_VISIBLE_DEVICES={found.index} before the command"
        )
    return PartialState(cpu=found.type == "cpu")


def _device(name: str) -> "torch.device":
    import torch

    check_device_name(name)
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    if name == AUTO:
        return torch.device("cuda" if cards else "mps" if has_mps else "cpu")
    found = torch.device(name)
    here = {"cpu": True, "mps": has_mps, "cuda": (found.index or 0) < cards}
    if not here[found.type]:
        have = [f"cuda:{number}" for number in range(cards)] + ["mps"] * has_mps + ["cpu"]
        raise DeviceError(
            f"this machine has no device {name!r}; it has {', '.join(have)}; give one of them "
            "or auto"
        )
    return found
