"""The feature pass: run the frozen backbone once over every case and keep what training needs.

Fields of a case (ragged in the first dimension):

    targets    [tokens]          ids to be predicted: the narrative and the end of turn
    hidden     [tokens, D]       last hidden states that predict them; vocabulary bias only
    input_ids  [length]          prompt and narrative; where the language model runs in training
    pixels     [bytes]           uint8 pictures at the processor's size; `features: pixels`, or
                                 low-rank adapters in the tower, which then runs in training
    tower      [patches / 4, D]  merged tokens; `features: tower`, or the language model runs
    pre_merger [patches, C]      the merger's input; low-rank adapters in the merger
    grids      [images, 3]       patches of each picture in time, height and width
    teacher    [images, T]       the teacher's vectors; where there is a teacher
    tones      [images]          skin tone 0..2, -1 unknown
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from skingpt_r1.case import Case
from skingpt_r1.distill.losses import UNKNOWN_TONE
from skingpt_r1.errors import DatasetError, FeatureStoreError, TeacherError
from skingpt_r1.model.families.qwen2_5_vl import PIXEL_MEAN, PIXEL_STD, patch_pictures
from skingpt_r1.model.processor import SkinProcessor, pad_rows
from skingpt_r1.model.prompt import Example, Request, encode_answer, encode_example
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.text.tokens import control_token

_TURNS = Image.Transpose
# Skin has no up and no left: a turned picture shows the same findings. Our choice; the paper names
# no augmentation. The first few change a picture most without changing its sides.
_VIEWS: tuple[Image.Transpose | None, ...] = (
    None, _TURNS.FLIP_LEFT_RIGHT, _TURNS.FLIP_TOP_BOTTOM, _TURNS.ROTATE_180,
    _TURNS.TRANSPOSE, _TURNS.TRANSVERSE, _TURNS.ROTATE_90, _TURNS.ROTATE_270,
)  # fmt: skip
DTYPES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class StoredCase:
    """One case of the feature pass: the case, its narrative, and its teacher's vectors."""

    case: Case  # the pictures and what is known
    narrative: str  # what the model should write
    teacher: Tensor | None  # [images, T]; None without a teacher
    view: int = 0  # which flip or turn of the pictures is shown; 0 is none

    @property
    def id(self) -> str:
        """Of the case, and of the view where it is not the first."""
        return f"{self.case.id} view {self.view}" if self.view else self.case.id


def turn(image: Image.Image, view: int) -> Image.Image:
    """The picture in one of the eight flips and turns of a square; 0 is the picture as it is."""
    how = _VIEWS[view]
    return image if how is None else image.transpose(how)


def stored_fields(model: SkinGPT, teacher: bool) -> tuple[str, ...]:
    """The fields that training this model needs, in a fixed order."""
    config = model.config
    runs_language_model = not config.states_are_frozen
    wanted = {
        "targets": True,
        "hidden": not runs_language_model,
        "input_ids": runs_language_model,
        "pixels": config.visual.features == "pixels" or config.adapts_tower,
        "tower": not config.adapts_tower
        and (
            config.visual.features == "tower" or (runs_language_model and not config.adapts_merger)
        ),
        "pre_merger": config.adapts_merger,
        "grids": True,
        "teacher": teacher,
        "tones": True,
    }
    return tuple(name for name, needed in wanted.items() if needed)


class FeaturePass:
    """Computes the stored fields of cases, in batches.

    Attributes:
        model: its backbone is run; its adapters are not.
        fields: what to keep; see `stored_fields`.
    """

    def __init__(
        self,
        model: SkinGPT,
        cases: Sequence[StoredCase],
        *,
        dtype: str,
        batch_size: int,
        fields: Sequence[str] | None = None,
    ) -> None:
        """Keep these `fields`, all that training the model needs when None, as `dtype`.

        Raises:
            DatasetError: narratives that are longer than the backbone reads, or hold one of its
                special tokens; all of them.
        """
        self.model = model
        self.processor = model.needed_processor
        self.cases = cases
        _check_narratives(cases, self.processor, model.longest_input)
        self.dtype = DTYPES[dtype]
        self.batch_size = batch_size
        has_teacher = _check_teacher(cases)
        self.fields = tuple(fields or stored_fields(model, teacher=has_teacher))

    def __call__(self, rows: Sequence[int]) -> list[dict[str, Tensor]]:
        """The fields of the cases with these indices."""
        features = []
        for start in range(0, len(rows), self.batch_size):
            chosen = [self.cases[row] for row in rows[start : start + self.batch_size]]
            features += self._run([self._encode(item) for item in chosen], chosen)
        return features

    def _encode(self, item: StoredCase) -> Example:
        request = Request.of_case(item.case)
        if item.view:
            turned = tuple(turn(picture, item.view) for picture in request.open())
            request = replace(request, images=turned)
        example = encode_example(self.processor, request, item.narrative)
        length = len(example.prompt) + len(example.answer)
        limit = self.model.longest_input
        if length > limit:
            raise DatasetError(
                f"case {item.case.id!r} has {length} tokens with its pictures and the backbone "
                f"reads {limit}; shorten its narrative, or leave it out"
            )
        return example

    @torch.no_grad()
    def _run(
        self, examples: Sequence[Example], items: Sequence[StoredCase]
    ) -> list[dict[str, Tensor]]:
        columns: dict[str, Sequence[Tensor]] = {}
        if not self.model.config.adapts_tower:
            columns = self._look(examples)
        computed = [
            {name: column[row].to("cpu", self.dtype) for name, column in columns.items()}
            for row in range(len(examples))
        ]
        return [
            self._fields(example, item, tensors)
            for example, item, tensors in zip(examples, items, computed, strict=True)
        ]

    def _look(self, examples: Sequence[Example]) -> dict[str, Sequence[Tensor]]:
        """What the frozen tower says of each case, and the states of the language model."""
        device = self.model.device
        grids = torch.cat([example.pictures.image_grid_thw for example in examples])
        pixels = torch.cat([example.pictures.pixel_values for example in examples])
        tower = self.model.tower_tokens(pixels.to(device), grids.to(device))
        merge = self.model.backbone.config.vision_config.spatial_merge_size**2
        patches = [int(e.pictures.image_grid_thw.prod(-1).sum()) for e in examples]
        columns: dict[str, Sequence[Tensor]] = {
            "tower": torch.split(tower.merged, [count // merge for count in patches])
        }
        if "pre_merger" in self.fields:
            assert tower.pre_merger is not None
            columns["pre_merger"] = torch.split(tower.pre_merger, patches)
        if "hidden" in self.fields:
            columns["hidden"] = self._hidden(examples, tower.merged, grids.to(device))
        return columns

    def _hidden(self, examples: Sequence[Example], tokens: Tensor, grids: Tensor) -> list[Tensor]:
        device = self.model.device
        rows = [example.prompt + example.answer for example in examples]
        input_ids, mask = pad_rows(rows, self.processor.pad_id, "right")
        states = self.model.hidden_states(input_ids.to(device), mask.to(device), tokens, grids)
        # The state at t predicts the token at t + 1.
        return [
            state[len(example.prompt) - 1 : len(row) - 1]
            for state, example, row in zip(states, examples, rows, strict=True)
        ]

    def _fields(
        self, example: Example, item: StoredCase, computed: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        grids = example.pictures.image_grid_thw
        tone = UNKNOWN_TONE if item.case.tone is None else item.case.tone.class_index
        fields = dict(computed) | {
            "targets": torch.tensor(example.answer),
            "input_ids": torch.tensor(example.prompt + example.answer),
            "grids": grids,
            "tones": torch.full((len(grids),), tone),
        }
        if item.teacher is not None:
            fields["teacher"] = item.teacher.float()
        if "pixels" in self.fields:
            fields["pixels"] = restore_pixels(
                example.pictures.pixel_values, grids, **patch_settings(self.model)
            )
        return {name: fields[name] for name in self.fields}


def patch_settings(model: SkinGPT) -> dict[str, int]:
    """Side of a patch in pixels, patches joined per side, repeats of a still picture."""
    vision = model.backbone.config.vision_config
    return {
        "patch": int(vision.patch_size),
        "merge": int(vision.spatial_merge_size),
        "temporal": int(vision.temporal_patch_size),
    }


def restore_pixels(
    pixel_values: Tensor, grids: Tensor, *, patch: int, merge: int, temporal: int
) -> Tensor:
    """The uint8 pictures that the processor patched, as one flat row of bytes.

    Args:
        pixel_values: [patches, F], as the processor gives them.
        grids: [images, 3].

    Raises:
        FeatureStoreError: patching the bytes again does not give `pixel_values` back.
    """
    mean, std = torch.tensor(PIXEL_MEAN), torch.tensor(PIXEL_STD)
    pictures = []
    for values, (_, rows, columns) in zip(
        torch.split(pixel_values, grids.prod(-1).tolist()), grids.tolist(), strict=True
    ):
        x = values.reshape(
            rows // merge, columns // merge, merge, merge, 3, temporal, patch, patch
        )[:, :, :, :, :, 0]
        x = x.permute(0, 2, 5, 1, 3, 6, 4).reshape(rows * patch, columns * patch, 3)
        pictures.append(((x * std + mean) * 255).round().clamp(0, 255).to(torch.uint8).flatten())
    flat = torch.cat(pictures)
    again = patch_stored(flat, grids, patch=patch, merge=merge, temporal=temporal)
    if not torch.allclose(again, pixel_values, atol=1e-4):
        raise FeatureStoreError(
            "the processor's patches are not those of an 8-bit picture with Qwen2-VL's "
            f"normalisation (largest difference {(again - pixel_values).abs().max():.3g}); "
            "use a processor with the standard image_mean and image_std, or features: tower"
        )
    return flat


def patch_stored(pixels: Tensor, grids: Tensor, *, patch: int, merge: int, temporal: int) -> Tensor:
    """[patches, F]: the patches of stored pictures, as the processor would give them.

    Args:
        pixels: [bytes], pictures one after the other.
        grids: [images, 3], on the CPU.
    """
    shapes = [(rows * patch, columns * patch) for _, rows, columns in grids.tolist()]
    if len(set(shapes)) == 1:
        stacked = pixels.view(len(shapes), *shapes[0], 3)
        return patch_pictures(stacked, patch=patch, merge=merge, temporal=temporal)
    pieces = torch.split(pixels, [height * width * 3 for height, width in shapes])
    return torch.cat(
        [
            patch_pictures(piece.view(1, *shape, 3), patch=patch, merge=merge, temporal=temporal)
            for piece, shape in zip(pieces, shapes, strict=True)
        ]
    )


def store_key(
    model: SkinGPT,
    *,
    fields: Iterable[str],
    dtype: str,
    manifest: str,
    teacher: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Everything that stored features depend on, in the recipe's words."""
    assert model.processor is not None
    assert model.config.backbone is not None, "the run names the backbone in the adapter's config"
    return {
        "backbone": {
            **model.config.backbone.model_dump(),
            "dtype": str(model.backbone.dtype).removeprefix("torch."),
        },
        "processor": model.processor.settings(),
        "features": {"dtype": dtype, "fields": ", ".join(fields)},
        "teacher": teacher,
        "data": {"manifest": manifest},
    }


def _check_narratives(cases: Sequence[StoredCase], processor: SkinProcessor, limit: int) -> None:
    """Refuse, before any work, what the backbone cannot be taught."""
    special = processor.control_tokens
    problems = []
    for item in cases:
        if token := control_token(item.narrative, special):
            problems.append(f"{item.id}: its narrative contains the control token {token!r}")
        # No token is shorter than a byte.
        elif len(item.narrative.encode()) >= limit:
            length = len(encode_answer(processor, item.narrative))
            if length > limit:
                problems.append(f"{item.id}: its narrative has {length} tokens")
    if problems:
        raise DatasetError(
            f"{len(problems)} narratives cannot be taught: the backbone reads {limit} tokens, and "
            "no special token; shorten them, or leave the cases out",
            problems,
        )


def _check_teacher(cases: Sequence[StoredCase]) -> bool:
    """Whether there is a teacher; its vectors must be there for all pictures, of one width."""
    missing = [item.case.id for item in cases if item.teacher is None]
    if len(missing) == len(cases):
        return False
    if missing:
        raise TeacherError(
            f"{len(missing)} of {len(cases)} cases have no teacher vector: "
            f"{', '.join(missing[:20])}; give all of them, or set losses.visual and "
            "teacher.kind to 0 and none",
            missing,
        )
    shapes = {item.case.id: item.teacher.shape for item in cases if item.teacher is not None}
    width = next(iter(shapes.values()))[1]
    wrong = [
        item.case.id for item in cases if shapes[item.case.id] != (len(item.case.images), width)
    ]
    if wrong:
        raise TeacherError(
            f"{len(wrong)} cases do not have one teacher vector of width {width} for each "
            f"picture: {', '.join(wrong[:20])}",
            wrong,
        )
    return True
