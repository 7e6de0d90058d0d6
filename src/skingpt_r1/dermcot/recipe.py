"""What a corpus is made from: one frozen description; with its seed it repeats the corpus.

The paper gives the sizes (15,000 candidates, 10,000 kept, 3,000 certified) and no threshold; every
other number is our choice, docs/sources.md.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from skingpt_r1.llm.budget import ApiRecipe, CallsRecipe
from skingpt_r1.model.config import ModelRecipe
from skingpt_r1.ratings.certification import CertifyRules, Limit
from skingpt_r1.recipes import Section

SYNTHETIC = "synthetic"
OFFLINE = "offline"


class CasesRecipe(Section):
    """The cases that narratives are wanted of."""

    dataset: str = SYNTHETIC  # or the name of a reader
    root: Path | None = None  # folder of the data set; not for `synthetic`
    count: PositiveInt | None = None  # candidates; of a data set at most so many, all when None
    held_out: NonNegativeInt = 0  # further cases for certification, of other groups; not scored
    size: Annotated[int, Field(ge=32)] = 112  # side of a rendered picture in pixels
    seed: int = 0  # of the rendering and of the choice
    allow_missing: bool = False  # continue without the files that are missing, with counts
    measure: bool = False  # add colour, size, border and symmetry measured on the picture

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dataset == SYNTHETIC and self.count is None:
            raise ValueError("cases.count is missing: say how many pictures to draw")
        if self.dataset == SYNTHETIC and self.root is not None:
            raise ValueError("cases.root goes with a data set; synthetic pictures are drawn")
        if self.dataset != SYNTHETIC and self.root is None:
            raise ValueError(f"cases.root is missing: say where the {self.dataset} files are")
        return self


class NarratorsRecipe(Section):
    """What writes the texts: the answer-blind description, and the reasoning.

    Each is `offline`, `own:nano`, `own:<directory>`, or a model that inspect-ai can name. `slips`
    is the share of cases in which the offline narrator makes a simulated mistake, so that there is
    something to filter; `synthetic` only.
    """

    observe: str = OFFLINE
    reason: str = OFFLINE
    api: ApiRecipe = ApiRecipe()
    calls: CallsRecipe = CallsRecipe()  # may change when a run continues
    slips: Annotated[float, Field(ge=0, le=1)] = 0.0


class AuditRecipe(Section):
    """What a narrative must look like."""

    least_words: PositiveInt = 5  # of the observation and of the reasoning, each
    most_characters: PositiveInt = 8000  # of the whole narrative


class ScoreRecipe(Section):
    """The evaluator."""

    evaluator: str = "nano"  # or a directory of a trained evaluator
    batch_size: PositiveInt = 64


class SelectRecipe(Section):
    """Which scored narratives are kept.

    `score` puts the best first; `random` goes by chance alone, to see what the filter is worth.
    """

    order: Literal["score", "random"] = "score"
    keep: PositiveInt | None = None  # all that are good when None
    minimum_mean: Limit = 3.5  # of the six scores
    minimum: Limit = 2.5  # of every single score
    quota: PositiveInt | None = None  # most of one diagnosis, body site and skin tone
    # Share of word triples from which two texts are near-duplicates; above 1 no text is one.
    text_similarity: Annotated[float, Field(gt=0)] = 0.95
    # Bits of 256 up to which two pictures are near-duplicates; below 0 no picture is one.
    picture_distance: Annotated[int, Field(ge=-1, le=256)] = 40


class CorpusRecipe(Section):
    """One corpus."""

    name: str = Field(pattern=r"^[\w.-]+$")
    seed: int = 0  # of the wording, the sampling and the simulated slips
    cases: CasesRecipe
    narrators: NarratorsRecipe = NarratorsRecipe()
    audit: AuditRecipe = AuditRecipe()
    score: ScoreRecipe = ScoreRecipe()
    select: SelectRecipe = SelectRecipe()
    models: ModelRecipe = ModelRecipe()  # where the evaluator and narrators of our own go
    certify: CertifyRules = CertifyRules()  # changes nothing that is built

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.narrators.slips and self.cases.dataset != SYNTHETIC:
            raise ValueError("narrators.slips needs synthetic cases; set it to 0")
        if self.narrators.slips and OFFLINE not in (self.narrators.observe, self.narrators.reason):
            raise ValueError("narrators.slips are the offline narrator's; set it to 0")
        return self
