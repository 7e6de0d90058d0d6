"""What a benchmark run is made from: the questions, and how systems are asked.

The systems themselves are not part of a run's identity: one may be added to a run that is there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from skingpt_r1.case import Split
from skingpt_r1.dermbench.records import Form
from skingpt_r1.llm.budget import ApiRecipe, CallsRecipe
from skingpt_r1.model.config import ModelRecipe
from skingpt_r1.recipes import Section, read_recipe

SYNTHETIC = "synthetic"


class QuestionsRecipe(Section):
    """The cases that are asked about.

    Attributes:
        dataset: `synthetic`, `dermbench`, `dermcot`, or another name of `data.READERS`.
        root: folder of the data set; pictures of `synthetic` are drawn into the run's folder.
        count: pictures to draw; of a data set at most so many, chosen by the seed; all when None.
        labels: a name of `labels.LABEL_SETS` to sort the cases into; None asks for narratives
            that are compared with the references.
        form: with `labels`: a narrative, a bare label, or candidates that are weighed.
    """

    dataset: str = SYNTHETIC
    root: Path | None = None
    count: PositiveInt | None = None
    size: Annotated[int, Field(ge=32)] = 112  # side of a drawn picture in pixels; `synthetic` only
    seed: int = 0  # of the drawing and of the choice
    split: Split = Split.TEST  # cases of another part are not asked; those without a part are
    allow_missing: bool = False  # continue without the files that are missing, with counts
    labels: str | None = None
    form: Form = "narrative"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dataset == SYNTHETIC and self.count is None:
            raise ValueError("data.count is missing: say how many pictures to draw")
        if self.dataset == SYNTHETIC and self.root is not None:
            raise ValueError("data.root goes with a data set; synthetic pictures are drawn")
        if self.dataset != SYNTHETIC and self.root is None:
            raise ValueError(f"data.root is missing: say where the {self.dataset} files are")
        if self.labels is None and self.form != "narrative":
            raise ValueError(f"data.form is {self.form}; name the label set with data.labels")
        return self


class LocalRecipe(Section):
    """How models of this machine write; greedy, so that a run can be repeated."""

    max_new_tokens: PositiveInt = 512  # longest answer; a longer one is cut, and marked so
    batch_size: PositiveInt = 16  # questions decoded together


class LeakRecipe(Section):
    """When a training picture and a question's picture are the same.

    Attributes:
        picture_distance: bits of 256 up to which two pictures are near-identical; see
            `data.overlap.MAX_DISTANCE`.
    """

    picture_distance: Annotated[int, Field(ge=0, le=256)] = 40


class BenchRecipe(Section):
    """One benchmark run.

    Attributes:
        seed: of the wording of written references, of the shuffled pictures and of the sampling.
        prompt: what every system is asked; the prompt of our models when None. A question for a
            label has words of its own.
        api: what language models behind an interface are sent and asked for.
        calls: prices, connections and retries; may change when a run continues.
        systems: `MODEL` or `NAME=MODEL`; see `named.py`. More may be added to a run.
        training: name of a system -> folder of what it was trained on, for leaks.
    """

    name: str = Field(pattern=r"^[\w.-]+$")  # of the run; letters, digits, `_`, `-` and `.`
    seed: NonNegativeInt = 0
    data: QuestionsRecipe  # the cases
    prompt: str | None = None
    local: LocalRecipe = LocalRecipe()
    models: ModelRecipe = ModelRecipe()  # device and number format of models of this machine
    api: ApiRecipe = ApiRecipe(temperature=0.0)
    calls: CallsRecipe = CallsRecipe()
    systems: tuple[str, ...] = ()
    training: dict[str, Path] = Field(default={})
    leaks: LeakRecipe = LeakRecipe()  # when pictures are the same

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.prompt is not None and self.data.form == "label":
            raise ValueError(
                "prompt goes with data.form narrative or candidates; a question for a label names "
                "the candidates in words of its own"
            )
        return self

    @property
    def identity(self) -> dict[str, object]:
        """What must stay the same when a run continues, as it goes into `run.json`."""
        return self.model_dump(mode="json", exclude={"systems", "training", "calls", "seed"})


def load_bench_recipe(path: Path | str, settings: Sequence[str] = ()) -> BenchRecipe:
    """Read a recipe of a benchmark run; see `recipes.read_recipe`."""
    return read_recipe(BenchRecipe, path, settings)
