"""What an evaluator is trained from: data, adapters, two stages, and how it is measured.

The paper names the two stages and gives no number for either; every number here is our choice
(docs/sources.md).
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from skingpt_r1.distill.recipe import FeatureRecipe, TrainRecipe
from skingpt_r1.model.config import AdapterConfig, ModelRecipe, VisualConfig
from skingpt_r1.recipes import Section


class RatingsRecipe(Section):
    """Where the ratings come from.

    Attributes:
        injected: share of the training narratives that tell the judge what to score.
    """

    train: Path | None = None  # rating file to learn from; simulated on rendered cases when None
    test: Path | None = None  # rating file to measure on, of other cases; needed with `train`
    cases: PositiveInt = 3000  # rendered cases to learn from
    narratives: PositiveInt = 1  # damaged in different ways, of each case to learn from
    test_cases: PositiveInt = 400  # rendered cases to measure on
    size: PositiveInt = 112  # side of a rendered picture in pixels
    seed: int = 0  # of the pictures, the damage and the raters
    raters: PositiveInt = 3  # simulated raters of each narrative
    injected: float = Field(default=0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.train is None) != (self.test is None):
            raise ValueError("data.train and data.test go together; give both files or neither")
        return self


class SupervisedRecipe(TrainRecipe):
    """The supervised stage: critiques as targets.

    Attributes:
        targets: `raters`: one for each row of a rater; `mean`: one for each narrative, of the mean
            rater, whose decimals are less noisy.
    """

    targets: Literal["raters", "mean"] = "raters"
    brief: float = Field(default=0.5, ge=0, le=1)  # share of the targets that are scores alone


class PolicyRecipe(TrainRecipe):
    """The score-oriented stage: REINFORCE with a moving-average baseline.

    Attributes:
        brief: share of the questions that ask for scores alone.
        left_out: whether a dimension that a reply leaves out is `charged` the largest error, or
            does not count, as `published`.
        unparsed_reward: of a reply in which no dimension parsed; None leaves it out.
        notes: whether what stands before the scores is `sampled`, too, or written `greedy`, as a
            judge does, and neither praised nor blamed (`greedy_notes`).
        scores: whether the digits of a score are praised by the `sampled` reward or by the
            `expected` one of all digits that could stand there (`score_digits`).
        words: weight of the sampled praise, which is all there is for other tokens than digits
            with an expected reward.
        supervised: weight of the cross-entropy of the mean rater's critique; 0 is none.
    """

    brief: float = Field(default=0.5, ge=0, le=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)  # m of `b <- m b + (1 - m) r`
    left_out: Literal["charged", "published"] = "charged"
    unparsed_reward: float | None = -25.0
    temperature: PositiveFloat = 1.0  # of the sampled replies
    notes: Literal["sampled", "greedy"] = "sampled"
    scores: Literal["sampled", "expected"] = "sampled"
    words: NonNegativeFloat = 1.0
    kl: NonNegativeFloat = 0.0  # weight of the divergence from the supervised model; 0 is none
    supervised: NonNegativeFloat = 0.0


class CritiqueRecipe(Section):
    """How critiques are written in the second stage and in the measurement."""

    max_new_tokens: PositiveInt = 256  # longest critique; a longer one is cut and unscored
    batch_size: PositiveInt = 32  # narratives that are judged together


class ReportRecipe(Section):
    """What is measured after training.

    Attributes:
        pairs: rendered cases for each kind of damage, judged with and without it; 0 leaves it out.
    """

    pairs: NonNegativeInt = 60
    resamples: PositiveInt = 2000  # of the bootstrap


class EvaluatorRecipe(Section):
    """One evaluator.

    Attributes:
        seed: of the adapters' first values, the order of the examples and the sampled replies.
        adapter: low-rank matrices; a visual adapter that reads the tower's tokens.
    """

    name: str = Field(pattern=r"^[\w.-]+$")  # of the experiment; letters, digits, `_`, `-` and `.`
    seed: int = 0
    backbone: str = "nano"  # `nano` or the directory of a Qwen2.5-VL backbone
    models: ModelRecipe = ModelRecipe()  # device and number format of the frozen backbone
    data: RatingsRecipe = RatingsRecipe()  # the ratings
    adapter: AdapterConfig = AdapterConfig(
        text_adapter="lora", visual=VisualConfig(features="tower", inject=True)
    )
    features: FeatureRecipe = FeatureRecipe()  # how pictures are stored
    supervised: SupervisedRecipe = SupervisedRecipe()  # the first stage
    policy: PolicyRecipe | None = PolicyRecipe()  # the second stage; None stops after the first
    critique: CritiqueRecipe = CritiqueRecipe()  # how critiques are written
    report: ReportRecipe = ReportRecipe()  # what is measured

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.adapter.has_lora or self.adapter.visual.features != "tower":
            raise ValueError(
                "an evaluator needs adapter.text_adapter `lora` or `bias + lora` and "
                "adapter.visual.features `tower`: a shifted vocabulary alone cannot compare a text "
                f"with a picture; given: {self.adapter.text_adapter}, "
                f"{self.adapter.visual.features}"
            )
        if self.adapter.backbone is not None:
            raise ValueError("adapter.backbone is filled in by the run; set `backbone` instead")
        return self
