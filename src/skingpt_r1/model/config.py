"""What an adapter is made of: the settings that are saved beside its weights."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(frozen=True, extra="forbid")


class BackboneReference(BaseModel):
    """The backbone an adapter belongs to; it is refused on any other."""

    model_config = _STRICT

    name: str  # `nano`, or the directory that it was loaded from
    revision: str  # sha256 over the weight files


class VisualConfig(BaseModel):
    """The visual adapter: what it reads and what its layers are.

    Attributes:
        features: `pixels` reads the processor's patches (1176 values each), as the released model
            does; `tower` reads the frozen vision tower's merged tokens.
        layers: `residual` is the paper's first stack, `experts` its second; `none` has no weights,
            for low-rank matrices alone.
        embed_dim: width E of the image embedding.
        num_layers: layers of the stack.
        bottleneck: width inside each layer or expert.
        num_experts: experts per layer; used by `experts` only.
        experts_per_token: experts chosen for each patch; used by `experts` only.
        inject: add the stack's output to the tower's tokens before the language model reads them.
    """

    model_config = _STRICT

    features: Literal["pixels", "tower"] = "pixels"
    layers: Literal["residual", "experts", "none"] = "residual"
    embed_dim: int = Field(default=1024, ge=1, le=65_536)
    num_layers: int = Field(default=4, ge=1, le=256)
    bottleneck: int = Field(default=64, ge=1, le=65_536)
    num_experts: int = Field(default=8, ge=1, le=1024)
    experts_per_token: int = Field(default=2, ge=1, le=1024)
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


class LoraSettings(BaseModel):
    """Low-rank adapters in the language model's projections, the vision merger and the tower.

    Attributes:
        rank: rank of each pair of matrices.
        alpha: the update is scaled by alpha / rank.
        dropout: dropout on the input of the pair, in training only.
        target_modules: projections of each language layer.
        merger: also adapt the two linear maps of the vision merger.
        tower: also adapt every projection of the vision tower's blocks. What the tower emits can
            then not be stored: training runs it on the stored pictures.
    """

    model_config = _STRICT

    rank: int = Field(default=16, ge=1, le=4096)
    alpha: float = Field(default=32.0, gt=0, le=65_536)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] = Field(default=(
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ), max_length=64)  # fmt: skip
    merger: bool = True
    tower: bool = False


class AdapterConfig(BaseModel):
    """Everything that defines the adapters of one model.

    Attributes:
        text_adapter: `bias` is the paper's vocabulary bias; `lora` and `bias + lora` are our
            stronger choices, low-rank matrices without and with the vocabulary bias.
        visual: the visual adapter.
        rank: width of the bias code, 64 in the released code.
        scale_init: first value of the bias scale, 1.5 in the released code.
        lora: settings of the low-rank matrices; ignored by `bias`.
        teacher_dim: width of the teacher's vectors; None when it is `visual.embed_dim`.
        backbone: filled in when the adapters are put on a backbone.
    """

    model_config = _STRICT

    text_adapter: Literal["bias", "lora", "bias + lora"] = "bias"
    visual: VisualConfig = VisualConfig()
    rank: int = Field(default=64, ge=1, le=65_536)
    scale_init: float = Field(default=1.5, ge=-65_536, le=65_536)
    lora: LoraSettings = LoraSettings()
    teacher_dim: int | None = Field(default=None, ge=1, le=65_536)
    backbone: BackboneReference | None = None

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
