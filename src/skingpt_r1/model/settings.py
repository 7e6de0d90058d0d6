"""What a backbone's `config.json` may say, checked before anything is built from it.

How a directory wants pictures to be prepared: read from its files, and checked.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from transformers import Qwen2_5_VLConfig, Qwen2VLImageProcessorPil

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.weight_files import refusing
from skingpt_r1.records import read_json

MODEL_TYPE = "qwen2_5_vl"

# Several times the largest published size (72B: 80 layers of width 8,192, inner width 29,568,
# 152,064 tokens); beyond that a number is a fault, and building from it would fill the memory.
Layers = Annotated[int, Field(ge=1, le=320)]
Heads = Annotated[int, Field(ge=1, le=1024)]
Width = Annotated[int, Field(ge=1, le=65_536)]
InnerWidth = Annotated[int, Field(ge=1, le=524_288)]
Tokens = Annotated[int, Field(ge=1, le=4_194_304)]
TokenId = Annotated[int, Field(ge=0, lt=4_194_304)]
Side = Annotated[int, Field(ge=1, le=1024)]
Positive = Annotated[FiniteFloat, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Rope(_Section):
    rope_theta: Positive = 1.0
    mrope_section: list[Side] = Field(default=[], max_length=8)


class _Text(_Section):
    """The language model; None where transformers' own value holds."""

    hidden_size: Width | None = None
    intermediate_size: InnerWidth | None = None
    num_hidden_layers: Layers | None = None
    num_attention_heads: Heads | None = None
    num_key_value_heads: Heads | None = None
    head_dim: Width | None = None
    vocab_size: Tokens | None = None
    max_position_embeddings: Annotated[int, Field(ge=1, le=1 << 30)] | None = None
    rms_norm_eps: Annotated[float, Field(gt=0, le=1)] = 1e-6
    rope_theta: Positive | None = None
    rope_parameters: _Rope | None = None
    rope_scaling: _Rope | None = None
    layer_types: list[str] | None = Field(default=None, max_length=320)
    eos_token_id: TokenId | list[TokenId] | None = None


class _Vision(_Section):
    """The vision tower."""

    depth: Layers | None = None
    hidden_size: Width | None = None
    intermediate_size: InnerWidth | None = None
    num_heads: Heads | None = None
    in_channels: Annotated[int, Field(ge=3, le=3)] | None = None
    in_chans: Annotated[int, Field(ge=3, le=3)] | None = None
    out_hidden_size: Width | None = None
    patch_size: Side | None = None
    spatial_merge_size: Side | None = None
    temporal_patch_size: Side | None = None
    rope_parameters: _Rope | None = None
    window_size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    fullatt_block_indexes: list[Annotated[int, Field(ge=0, le=320)]] | None = None


class _Backbone(_Text):
    """The whole file; old ones have the language model's fields at the top."""

    text_config: _Text | None = None
    vision_config: _Vision | None = None
    image_token_id: TokenId | None = None
    video_token_id: TokenId | None = None
    vision_start_token_id: TokenId | None = None
    vision_end_token_id: TokenId | None = None


def read_config(folder: Path) -> dict[str, Any]:
    """The directory's `config.json`.

    Raises:
        CheckpointError: it is absent, unreadable, not of the Qwen2.5-VL family, or has a size that
            cannot be one.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json; it is not a model directory")
    config = read_json(path, CheckpointError)
    if config.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{folder} holds a model of type {config.get('model_type')!r:.100}; only {MODEL_TYPE} "
            "works"
        )
    try:
        _Backbone.model_validate(config)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {problems(error)}") from None
    return config


def build_config(folder: Path) -> Qwen2_5_VLConfig:
    """The directory's configuration with every value that it leaves to the library.

    Raises:
        CheckpointError: as `read_config`; or sizes that do not go together.
    """
    config = read_config(folder)
    path = folder / "config.json"
    with refusing(f"{path} is not a Qwen2.5-VL configuration"):
        built = Qwen2_5_VLConfig.from_dict(config)
    if wrong := _contradictions(built):
        raise CheckpointError(f"{path}: {'; '.join(wrong)}")
    return built


def _contradictions(config: Qwen2_5_VLConfig) -> list[str]:
    text, vision = config.text_config, config.vision_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    sections = (text.rope_parameters or {}).get("mrope_section")
    wrong = {
        f"hidden_size {text.hidden_size} cannot be divided among num_attention_heads "
        f"{text.num_attention_heads}": text.hidden_size % text.num_attention_heads,
        f"num_attention_heads {text.num_attention_heads} cannot be divided among "
        f"num_key_value_heads {text.num_key_value_heads}":
            text.num_attention_heads % text.num_key_value_heads,
        f"mrope_section {sections} must sum to half the width of a head, {head // 2}":
            2 * sum(sections or []) != head,
        f"the vision tower's hidden_size {vision.hidden_size} cannot be divided among num_heads "
        f"{vision.num_heads} into parts of a multiple of 4":
            vision.hidden_size % (4 * vision.num_heads),
        f"out_hidden_size {vision.out_hidden_size} of the vision tower is not the language model's "
        f"hidden_size {text.hidden_size}": vision.out_hidden_size != text.hidden_size,
        f"window_size {vision.window_size} is smaller than a merged patch, {vision.patch_size} x "
        f"{vision.spatial_merge_size}":
            vision.window_size < vision.patch_size * vision.spatial_merge_size,
        f"image_token_id {config.image_token_id} is not below vocab_size {text.vocab_size}":
            config.image_token_id >= text.vocab_size,
    }  # fmt: skip
    return [problem for problem, holds in wrong.items() if holds]


def problems(error: ValidationError) -> str:
    """Every field that pydantic refused, and why, on one line."""
    found = error.errors(include_url=False, include_context=False)
    lines = [
        f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}, found {one['input']!r:.60}"
        for one in found[:10]
    ]
    return "; ".join([*lines, f"and {len(found) - 10} more"] if len(found) > 10 else lines)


IMAGE_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
SETTINGS = (
    "size", "patch_size", "merge_size", "temporal_patch_size", "image_mean", "image_std",
    "resample", "rescale_factor", "do_resize", "do_rescale", "do_normalize",
    "do_convert_rgb",
)  # fmt: skip

FAMILY = "Qwen2"

Area = Annotated[int, Field(ge=1, le=1 << 31)]
Channels = Annotated[tuple[FiniteFloat, FiniteFloat, FiniteFloat], Field(strict=False)]
Deviations = Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]


class _Size(BaseModel):
    """Bounds of a picture's area in pixels, under the names that the library gives them."""

    model_config = ConfigDict(strict=True)

    shortest_edge: Area
    longest_edge: Area

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest_edge > self.longest_edge:
            raise ValueError(
                f"the smallest area, {self.shortest_edge}, is above the largest, "
                f"{self.longest_edge}"
            )
        return self


class _ImageSettings(BaseModel):
    model_config = ConfigDict(strict=True)

    size: _Size
    patch_size: Side
    merge_size: Side
    temporal_patch_size: Side
    image_mean: Channels
    image_std: Deviations
    resample: Annotated[int, Field(ge=0, le=5)]
    rescale_factor: Annotated[float, Field(gt=0, le=1)]
    do_resize: bool
    do_rescale: bool
    do_normalize: bool
    do_convert_rgb: bool | None


def read_image_processor(folder: Path) -> Qwen2VLImageProcessorPil:
    """The image processor of a directory.

    Its settings stand in `preprocessor_config.json`, or in `processor_config.json` under
    `image_processor`; where both have them they must agree.

    Raises:
        CheckpointError: there are none, or they cannot be used.
    """
    found: dict[Path, dict[str, Any]] = {}
    for name in (PROCESSOR_FILE, IMAGE_FILE):
        path = folder / name
        settings = read_json(path, CheckpointError) if path.is_file() else {}
        if name == PROCESSOR_FILE:
            settings = settings.get("image_processor", {})
        if settings:
            found[path] = settings
    if not found:
        raise CheckpointError(
            f"{folder} has a tokenizer but no image settings; add its {IMAGE_FILE} or "
            f"{PROCESSOR_FILE}"
        )
    made = {path: _make(path, settings) for path, settings in found.items()}
    values = [image_settings(processor) for processor in made.values()]
    if differing := [name for name in SETTINGS if values[0][name] != values[-1][name]]:
        raise CheckpointError(
            f"{' and '.join(map(str, made))} differ in {', '.join(differing)}; delete the one that "
            "is not the model's"
        )
    return next(iter(made.values()))


def image_settings(processor: Qwen2VLImageProcessorPil) -> dict[str, Any]:
    """The settings that change what the model sees, as plain values."""
    values = processor.to_dict()
    size = values["size"]
    values["size"] = {name: size[name] for name in _Size.model_fields if size.get(name) is not None}
    return {name: values.get(name) for name in SETTINGS}


def _make(path: Path, settings: Any) -> Qwen2VLImageProcessorPil:
    sizes = settings if isinstance(settings, dict) else {}
    if all(sizes.get(name) is None for name in ("size", "max_pixels")):
        raise CheckpointError(
            f"{path} does not say how large pictures are to be; size or min_pixels and max_pixels "
            "are expected"
        )
    kind = settings.get("image_processor_type", FAMILY)
    if not str(kind).startswith(FAMILY):
        raise CheckpointError(
            f"{path} is for an image processor of type {kind!r:.100}; only those of {FAMILY} work"
        )
    with refusing(f"{path} cannot be used"):
        processor = Qwen2VLImageProcessorPil.from_dict(settings)
        values = image_settings(processor)
    try:
        _ImageSettings.model_validate(values)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {problems(error)}") from None
    return processor
