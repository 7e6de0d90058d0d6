"""Qwen2.5-VL: all in which this family of backbones differs from others.

What its `config.json` and image settings may say, checked before anything is built from them; how
a picture becomes patches, tower tokens and language tokens; positions, and where low-rank matrices
go. `backbone.Family` describes what another family needs.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from torch import Tensor
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.vision_utils import get_vision_window_index

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.config import LoraSettings
from skingpt_r1.model.weight_files import refusing
from skingpt_r1.records import read_json

MODEL = Qwen2_5_VLForConditionalGeneration
Backbone: TypeAlias = Qwen2_5_VLForConditionalGeneration
IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105
MODEL_TYPE = "qwen2_5_vl"


class TowerTokens(NamedTuple):
    """What the vision tower gives for some pictures.

    The input of the merger is only needed when that carries low-rank adapters.
    """

    merged: Tensor  # [patches / 4, D], what the language model reads, in reading order
    pre_merger: Tensor | None = None  # [patches, C], in the tower's window order


def run_tower(backbone: Backbone, pixel_values: Tensor, grids: Tensor) -> TowerTokens:
    """Run the vision tower once on `[patches, F]` of pictures with grids `[images, 3]`."""
    output = backbone.model.visual(pixel_values.to(backbone.dtype), grid_thw=grids)
    return TowerTokens(output.pooler_output, output.last_hidden_state)


def merge(backbone: Backbone, pre_merger: Tensor, grids: Tensor) -> Tensor:
    """Run the merger again on stored tokens, `[patches, C]` to `[patches / 4, D]`."""
    vision = backbone.config.vision_config
    window_index, _ = get_vision_window_index(
        grids,
        spatial_merge_size=vision.spatial_merge_size,
        window_size=vision.window_size,
        patch_size=vision.patch_size,
    )
    merged: Tensor = backbone.model.visual.merger(pre_merger.to(backbone.dtype))
    return merged[torch.argsort(window_index.to(merged.device))]


def tower_states(
    backbone: Backbone, pixel_values: Tensor, grids: Tensor, layers: Sequence[int]
) -> Tensor:
    """What layers of the tower emit, side by side: `[patches, len(layers) * C]`, row by row."""
    vision = backbone.config.vision_config
    output = backbone.model.visual(
        pixel_values.to(backbone.dtype), grid_thw=grids, output_hidden_states=True
    )
    states = torch.cat([output.hidden_states[layer + 1] for layer in layers], dim=-1)
    merge = vision.spatial_merge_size
    window_index, _ = get_vision_window_index(
        grids,
        spatial_merge_size=merge,
        window_size=vision.window_size,
        patch_size=vision.patch_size,
    )
    grouped = states.view(-1, merge**2, states.shape[-1])
    states = grouped[torch.argsort(window_index.to(states.device))].flatten(0, 1)
    # The processor lets the patches that are merged follow one another.
    rows = []
    for part, (_, height, width) in zip(
        torch.split(states, grids.prod(-1).tolist()), grids.tolist(), strict=True
    ):
        blocks = part.view(height // merge, width // merge, merge, merge, -1)
        rows.append(blocks.transpose(1, 2).reshape(height * width, -1))
    return torch.cat(rows)


def patch_width(backbone: Backbone) -> int:
    """Values per patch as the processor emits them; 1176 for every published size."""
    vision = backbone.config.vision_config
    return int(vision.in_channels * vision.temporal_patch_size * vision.patch_size**2)


def merged_lengths(backbone: Backbone, grids: Tensor) -> Tensor:
    """`[images]`: language tokens of each picture."""
    lengths: Tensor = grids.prod(-1) // backbone.config.vision_config.spatial_merge_size**2
    return lengths


def picture_inputs(tokens: Tensor) -> dict[str, Any]:
    """How the backbone takes picture tokens, `[patches / 4, D]`, that are ready."""
    return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=(tokens,))}}


def positions(backbone: Backbone, input_ids: Tensor, mask: Tensor, grids: Tensor) -> Tensor:
    """`[3, cases, length]`: rotary positions in time, height and width."""
    found, _ = backbone.model.get_rope_index(
        input_ids,
        mm_token_type_ids=(input_ids == backbone.config.image_token_id).int(),
        image_grid_thw=grids,
        attention_mask=mask,
    )
    return torch.as_tensor(found)


def lora_targets(settings: LoraSettings) -> str:
    """A regular expression for the projections that get low-rank matrices."""
    language = "|".join(re.escape(name) for name in settings.target_modules)
    targets = rf"model\.language_model\.layers\.\d+\.(?:self_attn|mlp)\.(?:{language})"
    if settings.merger:
        targets += r"|model\.visual\.merger\.mlp\.(?:0|2)"
    if settings.tower:
        blocks = r"attn\.(?:qkv|proj)|mlp\.(?:gate_proj|up_proj|down_proj)"
        targets += rf"|model\.visual\.blocks\.\d+\.(?:{blocks})"
    return f"(?:{targets})"


# Source: CLIP normalisation, as in Qwen2.5-VL's preprocessor_config.json.
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


def patch_pictures(
    pictures: Tensor, *, patch: int = 14, merge: int = 2, temporal: int = 2
) -> Tensor:
    """Normalise and cut pictures exactly as Qwen2-VL's image processor does after resizing.

    From uint8 `[images, height, width, 3]`, both sides multiples of `patch * merge`, to float32
    `[images * (height / patch) * (width / patch), 3 * temporal * patch * patch]`, where the
    `merge * merge` patches that the merger joins follow one another.
    """
    images, height, width, _ = pictures.shape
    unit = patch * merge
    if height % unit or width % unit:
        raise ValueError(f"picture sides {height}x{width} are not multiples of {unit} pixels")
    mean = torch.tensor(PIXEL_MEAN, device=pictures.device)
    std = torch.tensor(PIXEL_STD, device=pictures.device)
    x = (pictures.float() / 255 - mean) / std
    x = x.reshape(images, height // unit, merge, patch, width // unit, merge, patch, 3)
    x = x.permute(0, 1, 4, 2, 5, 7, 3, 6).unsqueeze(6)
    x = x.expand(*x.shape[:6], temporal, patch, patch)
    return x.reshape(-1, 3 * temporal * patch * patch)


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


class _Rope(BaseModel):
    model_config = ConfigDict(strict=True)

    rope_theta: Positive = 1.0
    mrope_section: list[Side] = Field(default=[], max_length=8)


class _Numbers(BaseModel):
    """What the file may say; None where transformers' own value holds.

    The fields of the language model stand in `text_config`, in old files at the top; those of the
    tower in `vision_config`.
    """

    model_config = ConfigDict(strict=True)

    text_config: "_Numbers | None" = None
    vision_config: "_Numbers | None" = None
    # of the language model, and its tokens
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
    image_token_id: TokenId | None = None
    video_token_id: TokenId | None = None
    vision_start_token_id: TokenId | None = None
    vision_end_token_id: TokenId | None = None
    # of the vision tower, beside hidden_size, intermediate_size and rope_parameters
    depth: Layers | None = None
    num_heads: Heads | None = None
    in_channels: Annotated[int, Field(ge=3, le=3)] | None = None
    in_chans: Annotated[int, Field(ge=3, le=3)] | None = None
    out_hidden_size: Width | None = None
    patch_size: Side | None = None
    spatial_merge_size: Side | None = None
    temporal_patch_size: Side | None = None
    window_size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    fullatt_block_indexes: list[Annotated[int, Field(ge=0, le=320)]] | None = None


def build_config(path: Path, config: dict[str, Any]) -> Qwen2_5_VLConfig:
    """The checked `config.json` at a path, with every value that it leaves to the library.

    Raises:
        CheckpointError: a size that cannot be one, or sizes that do not go together.
    """
    with refusing(str(path)):
        _Numbers.model_validate(config)
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


IMAGE_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"
IMAGE_PROCESSOR = "Qwen2"  # how the names of the library's fitting classes begin
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
        small, large = self.shortest_edge, self.longest_edge
        if small > large:
            raise ValueError(f"the smallest area, {small}, is above the largest, {large}")
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
    found = {
        path: read_json(path, CheckpointError)
        for path in (folder / PROCESSOR_FILE, folder / IMAGE_FILE)
        if path.is_file()
    }
    if folder / PROCESSOR_FILE in found:
        found[folder / PROCESSOR_FILE] = found[folder / PROCESSOR_FILE].get("image_processor", {})
    made = {path: _make(path, settings) for path, settings in found.items() if settings}
    if not made:
        raise CheckpointError(
            f"{folder} has a tokenizer but no image settings; add its {IMAGE_FILE} or "
            f"{PROCESSOR_FILE}"
        )
    values = [image_settings(processor) for processor in made.values()]
    if differing := [
        name for name in _ImageSettings.model_fields if values[0][name] != values[-1][name]
    ]:
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
    return {name: values.get(name) for name in _ImageSettings.model_fields}


def _make(path: Path, settings: Any) -> Qwen2VLImageProcessorPil:
    sizes = settings if isinstance(settings, dict) else {}
    if all(sizes.get(name) is None for name in ("size", "max_pixels")):
        raise CheckpointError(
            f"{path} does not say how large pictures are to be; size or min_pixels and max_pixels "
            "are expected"
        )
    kind = settings.get("image_processor_type", IMAGE_PROCESSOR)
    if not str(kind).startswith(IMAGE_PROCESSOR):
        raise CheckpointError(
            f"{path} is for an image processor of type {kind!r:.100}; only those of "
            f"{IMAGE_PROCESSOR} work"
        )
    with refusing(f"{path} cannot be used"):
        processor = Qwen2VLImageProcessorPil.from_dict(settings)
        values = image_settings(processor)
    with refusing(str(path)):
        _ImageSettings.model_validate(values)
    return processor


def refuse_strangers(
    folder: Path,
    config: Qwen2_5_VLConfig,
    tokens: Mapping[str, int],
    images: Qwen2VLImageProcessorPil,
) -> None:
    """Stop when a directory's vocabulary or picture settings are those of another model."""
    vision = config.vision_config
    image_id = tokens[IMAGE_TOKEN]
    wrong = {
        f"{IMAGE_TOKEN} is token {image_id} and config.json says {config.image_token_id}":
            image_id != config.image_token_id,
        f"the tokenizer has token {max(tokens.values())} and the model has "
        f"{config.text_config.vocab_size}":
            max(tokens.values()) >= config.text_config.vocab_size,
        f"pictures are cut into patches of {images.patch_size} and the tower reads "
        f"{vision.patch_size}": images.patch_size != vision.patch_size,
        f"{images.merge_size} patches a side are merged and the tower merges "
        f"{vision.spatial_merge_size}": images.merge_size != vision.spatial_merge_size,
        f"patches repeat {images.temporal_patch_size} times and the tower reads "
        f"{vision.temporal_patch_size}": images.temporal_patch_size != vision.temporal_patch_size,
    }  # fmt: skip
    if found := [problem for problem, holds in wrong.items() if holds]:
        raise CheckpointError(f"the files in {folder} are of different models: {'; '.join(found)}")
