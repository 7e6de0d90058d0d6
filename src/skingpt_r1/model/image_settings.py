"""How a directory wants pictures to be prepared: read from its files, and checked."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from transformers import Qwen2VLImageProcessorPil

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.foreign import refusing
from skingpt_r1.model.settings import Positive, Side, problems
from skingpt_r1.records_json import read_json

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
