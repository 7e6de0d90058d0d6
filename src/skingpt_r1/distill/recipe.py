"""What a run of distillation is made from: one frozen description; with its seed it repeats.

Where a number is not the paper's, docs/sources.md says so. `recipes.py` says what a file may hold.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from skingpt_r1.case import Split
from skingpt_r1.model.config import AdapterConfig, ModelRecipe
from skingpt_r1.plugins import load_plugins
from skingpt_r1.recipes import Section, check_recipe, read_recipe

SYNTHETIC = "synthetic"


class DataRecipe(Section):
    """Which cases, how they are split, and where their narratives come from.

    Attributes:
        root: folder of the data set; for `synthetic` the pictures are drawn into the run's folder.
        split: share of each part, where groups (patient, lesion) stay together; or `official`, the
            parts that the data set itself names.
        balance: draw every label equally often in an epoch, with repetition (our choice).
        limit: at most so many training cases, chosen by the seed; all when None.
        narratives: `given` uses the data set's reference narratives and refuses cases without one;
            `written` writes one from the known findings where a case has none.
        measure: add colour, size and symmetry measured on the picture to the known findings.
        views: so many flips and turns of every training picture are taught, each as a case of its
            own, so that an epoch and the feature store are as many times larger (our choice).
    """

    dataset: str = SYNTHETIC  # `synthetic`, or a name of `datasets.READERS`
    root: Path | None = None
    count: PositiveInt = 3000  # pictures to draw; `synthetic` only
    size: PositiveInt = 112  # side of a drawn picture in pixels; `synthetic` only
    seed: int = 0  # of the drawing and of the split
    split: dict[Split, PositiveFloat] | Literal["official"] = Field(
        default={Split.TRAIN: 0.8, Split.TEST: 0.2}
    )
    allow_missing: bool = False  # continue without the files that are missing, with counts
    balance: bool = False
    limit: PositiveInt | None = None
    narratives: Literal["written", "given"] = "written"
    measure: bool = False
    views: int = Field(default=1, ge=1, le=8)  # the flips and turns of a square

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dataset != SYNTHETIC and self.root is None:
            raise ValueError(f"data.root is missing: say where the {self.dataset} files are")
        if self.split == "official":
            return self
        if Split.TRAIN not in self.split:
            raise ValueError("data.split needs a share for train")
        if abs(sum(self.split.values()) - 1) > 1e-6:
            raise ValueError(f"data.split adds up to {sum(self.split.values()):g}, not to 1")
        return self


TEACHERS = ("none", "built-in", "precomputed", "encoder")


class TeacherRecipe(Section):
    """The teacher of the visual term; it never becomes a part of the adapter.

    Attributes:
        kind: `none`; `built-in`, a small encoder trained on the labels at hand; `precomputed`, one
            vector for each picture on disk; `encoder`, a Hugging Face image encoder directory or
            the name of an encoder plug-in; or the name of a teacher plug-in.
    """

    kind: str = "built-in"
    path: Path | None = None  # the vectors or the encoder
    width: PositiveInt = 64  # width of the built-in teacher's vectors
    epochs: PositiveInt = 12  # epochs of the built-in teacher's training

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind not in TEACHERS:
            others = load_plugins("teachers", self.kind, Callable, taken=TEACHERS)
            if self.kind not in others:
                raise ValueError(
                    f"teacher.kind {self.kind!r} is none of {', '.join([*TEACHERS, *others])}"
                )
        if self.kind in ("precomputed", "encoder") and self.path is None:
            raise ValueError(f"teacher.path is missing: {self.kind} vectors must come from there")
        return self


class FeatureRecipe(Section):
    """How the feature pass stores what it computes."""

    dtype: Literal["bf16", "fp32"] = "bf16"  # of hidden states and tower tokens on disk
    shard_cases: PositiveInt = 256  # cases in one file; a killed pass repeats at most one
    batch_size: PositiveInt = 16  # cases that run through the backbone together


class LossWeights(Section):
    """Weights of the four terms; docs/sources.md converts them to the published constants."""

    text: NonNegativeFloat = 1.0
    visual: NonNegativeFloat = 1.0
    balance: NonNegativeFloat = 0.001
    tone: NonNegativeFloat = 0.1


class TrainRecipe(Section):
    """The optimisation.

    Attributes:
        max_steps: stop after so many updates; None means that the epochs decide.
        visual_learning_rate: peak for the visual adapter; `learning_rate` when None.
        lora_learning_rate: peak for low-rank matrices; `learning_rate` when None.
        schedule: of the learning rate after the warm-up.
        precision: `bf16` runs the adapters and a trained language model in mixed precision.
    """

    epochs: PositiveInt = 10  # passes over the training cases
    max_steps: PositiveInt | None = None
    batch_size: PositiveInt = 32  # cases in one micro-batch, over all processes together
    gradient_accumulation: PositiveInt = 1  # micro-batches in one update
    learning_rate: PositiveFloat = 1e-4  # peak, of every part that has no own
    visual_learning_rate: PositiveFloat | None = None
    lora_learning_rate: PositiveFloat | None = None
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup: NonNegativeFloat = 0.03  # below 1 a share of all updates, else a number of updates
    weight_decay: NonNegativeFloat = 0.0  # AdamW's
    clip: NonNegativeFloat = 1.0  # largest norm of the gradient; 0 does not clip
    precision: Literal["fp32", "bf16"] = "fp32"
    save_every: PositiveInt = 500  # updates between checkpoints
    log_every: PositiveInt = 10  # updates between lines of `metrics.jsonl`


class GenerateRecipe(Section):
    """How the evaluation writes narratives; greedy, so that a run can be repeated.

    Attributes:
        max_new_tokens: longest narrative; a longer one is cut and may be unreadable.
    """

    max_new_tokens: PositiveInt = 160
    batch_size: PositiveInt = 32  # cases decoded together


class EvaluateRecipe(Section):
    """The cases that are diagnosed after training.

    Attributes:
        count: at most so many cases of the split, chosen by the seed; all when None.
    """

    count: PositiveInt | None = 300
    split: Split = Split.TEST  # which part of the data
    resamples: PositiveInt = 2000  # of the bootstrap


class Recipe(Section):
    """One experiment.

    Attributes:
        seed: of the adapters' first values, the order of the cases and the wording of narratives.
        models: device and number format of the frozen backbone, in training and afterwards.
        visual_first: a stage before the training, in which the visual adapter and low-rank matrices
            in the tower learn from the teacher alone and no language model runs; None is none.
        start: an adapter directory whose weights are the first values of the adapters that both
            have, so that a cheap stage on stored features can come before a dear one.
    """

    name: str = Field(pattern=r"^[\w.-]+$")  # of the experiment; letters, digits, `_`, `-` and `.`
    seed: int = 0
    backbone: str = "nano"  # `nano` or a directory
    models: ModelRecipe = ModelRecipe()
    start: Path | None = None
    data: DataRecipe = DataRecipe()
    adapter: AdapterConfig = AdapterConfig()
    teacher: TeacherRecipe = TeacherRecipe()
    losses: LossWeights = LossWeights()
    features: FeatureRecipe = FeatureRecipe()
    visual_first: TrainRecipe | None = None
    train: TrainRecipe = TrainRecipe()
    generate: GenerateRecipe = GenerateRecipe()
    evaluate: EvaluateRecipe = EvaluateRecipe()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.losses.visual and self.teacher.kind == "none":
            raise ValueError(
                "losses.visual is above 0 and teacher.kind is none; name a teacher or set "
                "losses.visual to 0"
            )
        if self.losses.visual and self.adapter.visual.layers == "none":
            raise ValueError(
                "losses.visual is above 0 and adapter.visual.layers is none, so that nothing can "
                "learn from a teacher; set losses.visual to 0"
            )
        if self.visual_first is not None and not self.losses.visual:
            raise ValueError("visual_first is a stage of the visual term; losses.visual is 0")
        if self.adapter.backbone is not None:
            raise ValueError("adapter.backbone is filled in by the run; set `backbone` instead")
        if self.data.split != "official" and self.evaluate.split not in self.data.split:
            raise ValueError(
                f"evaluate.split is {self.evaluate.split}; data.split has no such part"
            )
        return self

    @property
    def uses_teacher(self) -> bool:
        """Whether the run needs teacher vectors at all."""
        return self.teacher.kind != "none" and self.losses.visual > 0


def load_recipe(path: Path | str, settings: Sequence[str] = ()) -> Recipe:
    """Read, merge and check a recipe; see `recipes.read_recipe`."""
    return read_recipe(Recipe, path, settings)


def make_recipe(values: dict[str, Any], origin: str = "recipe") -> Recipe:
    """Check the values of a recipe; see `recipes.check_recipe`."""
    return check_recipe(Recipe, values, origin)
