"""What an adapter is made of, saved beside its weights; where a model runs, with which numbers.

The section `models` of every recipe, the options `--device` and `--dtype` of every command that
loads a model, and the arguments of `load_model` all end here.
"""

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from skingpt_r1.errors import DeviceError
from skingpt_r1.recipes import Section

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState


class BackboneReference(Section):
    """The backbone an adapter belongs to; it is refused on any other."""

    name: str  # `nano`, or the directory that it was loaded from
    revision: str  # sha256 over the weight files


class VisualConfig(Section):
    """The visual adapter: what it reads and what its layers are.

    Attributes:
        features: `pixels` reads the processor's patches (1176 values each), as the released model
            does; `tower` reads the frozen vision tower's merged tokens.
        layers: `residual` is the paper's first stack, `experts` its second; `none` has no weights,
            for low-rank matrices alone.
        inject: add the stack's output to the tower's tokens before the language model reads them.
    """

    features: Literal["pixels", "tower"] = "pixels"
    layers: Literal["residual", "experts", "none"] = "residual"
    embed_dim: int = Field(default=1024, ge=1, le=65_536)  # width E of the image embedding
    num_layers: int = Field(default=4, ge=1, le=256)
    bottleneck: int = Field(default=64, ge=1, le=65_536)  # width inside each layer or expert
    num_experts: int = Field(default=8, ge=1, le=1024)  # of each layer of `experts`
    experts_per_token: int = Field(default=2, ge=1, le=1024)  # chosen for each patch
    inject: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.inject and self.features != "tower":
            raise ValueError(
                "inject: true needs features: tower, because one vector is added per tower token; "
                f"features is {self.features!r}"
            )
        if self.layers == "none" and (self.inject or self.features != "tower"):
            raise ValueError("layers: none needs features: tower and inject: false")
        if self.experts_per_token > self.num_experts:
            raise ValueError(
                f"experts_per_token ({self.experts_per_token}) must not exceed "
                f"num_experts ({self.num_experts})"
            )
        return self


class LoraSettings(Section):
    """Low-rank adapters in the language model's projections, the vision merger and the tower.

    Attributes:
        target_modules: projections of each language layer.
        tower: also adapt every projection of the vision tower's blocks. What the tower emits can
            then not be stored: training runs it on the stored pictures.
    """

    rank: int = Field(default=16, ge=1, le=4096)  # of each pair of matrices
    alpha: float = Field(default=32.0, gt=0, le=65_536)  # the update is scaled by alpha / rank
    dropout: float = Field(default=0.0, ge=0, lt=1)  # on the input of the pair, in training only
    target_modules: tuple[str, ...] = Field(default=(
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ), max_length=64)  # fmt: skip
    merger: bool = True  # also adapt the two linear maps of the vision merger
    tower: bool = False


class AdapterConfig(Section):
    """Everything that defines the adapters of one model.

    Attributes:
        text_adapter: `bias` is the paper's vocabulary bias; `lora` and `bias + lora` are our
            stronger choices, low-rank matrices without and with the vocabulary bias.
        rank: width of the bias code, 64 in the released code.
        scale_init: first value of the bias scale, 1.5 in the released code.
        teacher_dim: width of the teacher's vectors; None when it is `visual.embed_dim`.
    """

    text_adapter: Literal["bias", "lora", "bias + lora"] = "bias"
    visual: VisualConfig = VisualConfig()
    rank: int = Field(default=64, ge=1, le=65_536)
    scale_init: float = Field(default=1.5, ge=-65_536, le=65_536)
    lora: LoraSettings = LoraSettings()  # ignored by `bias`
    teacher_dim: int | None = Field(default=None, ge=1, le=65_536)
    backbone: BackboneReference | None = None  # filled in when the adapters are put on a backbone

    @model_validator(mode="after")
    def _has_adapters(self) -> Self:
        if self.visual.layers == "none" and self.text_adapter != "lora":
            raise ValueError(
                f"visual.layers: none gives a vocabulary bias nothing to read; text_adapter is "
                f"{self.text_adapter!r} and must be 'lora'"
            )
        return self

    @property
    def has_bias(self) -> bool:
        """Whether there is a vocabulary bias."""
        return self.text_adapter != "lora"

    @property
    def has_lora(self) -> bool:
        """Whether there are low-rank matrices."""
        return self.text_adapter != "bias"

    @property
    def is_lora_alone(self) -> bool:
        """Whether there are low-rank matrices and nothing else: then `peft` reads the adapter."""
        return self.visual.layers == "none"

    @property
    def adapts_tower(self) -> bool:
        """Whether the vision tower carries low-rank adapters."""
        return self.has_lora and self.lora.tower

    @property
    def adapts_merger(self) -> bool:
        """Whether the merger, but not the tower, carries them: it runs on the frozen tokens."""
        return self.has_lora and self.lora.merger and not self.lora.tower

    @property
    def states_are_frozen(self) -> bool:
        """Whether the last hidden states depend on no trained weight and can be stored."""
        return not self.has_lora and not self.visual.inject


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


class ModelRecipe(Section):
    """Where the models of a run go.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`: the first accelerator that is there.
        dtype: of the weights; `auto` is `bf16` on CUDA and `fp32` elsewhere.
    """

    device: Annotated[str, AfterValidator(check_device_name)] = AUTO
    dtype: Annotated[str, AfterValidator(check_dtype_name)] = AUTO


ANYWHERE = ModelRecipe()


def place(
    device: "str | torch.device" = AUTO, dtype: "str | torch.dtype" = AUTO
) -> "tuple[torch.device, torch.dtype]":
    """Choose where a model goes; a device or dtype of PyTorch is taken as it is.

    Raises:
        DeviceError: a name that means nothing, or a device that this machine lacks.
    """
    import torch

    found = _device(device) if isinstance(device, str) else device
    if isinstance(dtype, torch.dtype):
        return found, dtype
    if check_dtype_name(dtype) == AUTO:
        dtype = "bf16" if found.type == "cuda" else "fp32"
    return found, getattr(torch, DTYPES[dtype])


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
