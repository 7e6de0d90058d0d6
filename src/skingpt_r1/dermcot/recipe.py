"""What a corpus is made from: one frozen description; with its seed it repeats the corpus.

The paper gives the sizes (15,000 candidates, 10,000 kept, 3,000 certified) and no threshold; every
other number is our choice, docs/sources.md.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from skingpt_r1.llm.budget import ApiRecipe, CallsRecipe
from skingpt_r1.model.placement import ModelRecipe
from skingpt_r1.ratings.certification import CertifyRules
from skingpt_r1.recipes import Section, read_recipe

SYNTHETIC = "synthetic"
OFFLINE = "offline"

Share = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(ge=0, le=5)]


class CasesRecipe(Section):
    """The cases that narratives are wanted of.

    Attributes:
        dataset: `synthetic`, or a name of `datasets.READERS`.
        root: folder of the data set; not for `synthetic`.
        count: candidates to draw; for a data set, at most so many, chosen by the seed; all when
            None.
        held_out: further cases for certification, of other groups; they are not scored.
        size: side of a drawn picture in pixels; `synthetic` only.
        seed: of the drawing and of the choice.
        allow_missing: continue without the files that are missing, with counts.
        measure: add colour, size, border and symmetry measured on the picture to the findings.
    """

    dataset: str = SYNTHETIC
    root: Path | None = None
    count: PositiveInt | None = None
    held_out: NonNegativeInt = 0
    size: Annotated[int, Field(ge=32)] = 112
    seed: int = 0
    allow_missing: bool = False
    measure: bool = False

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
    """What writes the texts.

    Attributes:
        observe: of the answer-blind description: `offline`, `own:nano`, `own:<directory>`, or a
            model that inspect-ai can name.
        reason: of the reasoning.
        api: what a language model is sent and asked for.
        calls: prices, connections and retries of language models; may change when a run continues.
        slips: share of cases in which the offline narrator makes a simulated mistake, so that there
            is something to filter; `synthetic` only.
    """

    observe: str = OFFLINE
    reason: str = OFFLINE
    api: ApiRecipe = ApiRecipe()
    calls: CallsRecipe = CallsRecipe()
    slips: Share = 0.0


class AuditRecipe(Section):
    """What a narrative must look like.

    Attributes:
        least_words: of the observation and of the reasoning, each.
        most_characters: of the whole narrative.
    """

    least_words: PositiveInt = 5
    most_characters: PositiveInt = 8000


class ScoreRecipe(Section):
    """The evaluator.

    Attributes:
        evaluator: `nano`, or a directory of a trained evaluator.
        batch_size: narratives scored together.
    """

    evaluator: str = "nano"
    batch_size: PositiveInt = 64


class SelectRecipe(Section):
    """Which scored narratives are kept.

    Attributes:
        order: which come first: `score`, the best; or `random`, by chance alone, to see what the
            filter is worth.
        keep: how many, when enough are good; all that are good when None.
        minimum_mean: of the six scores.
        minimum: of every single score.
        quota: most narratives of one diagnosis, body site and skin tone; no limit when None.
        text_similarity: share of word triples from which two texts are near-duplicates; above 1
            no text is one.
        picture_distance: bits of 256 up to which two pictures are near-duplicates; below 0 no
            picture is one.
    """

    order: Literal["score", "random"] = "score"
    keep: PositiveInt | None = None
    minimum_mean: Score = 3.5
    minimum: Score = 2.5
    quota: PositiveInt | None = None
    text_similarity: Annotated[float, Field(gt=0)] = 0.95
    picture_distance: Annotated[int, Field(ge=-1, le=256)] = 40


class CorpusRecipe(Section):
    """One corpus.

    Attributes:
        name: of the corpus; letters, digits, `_`, `-` and `.`.
        seed: of the wording, the sampling and the simulated slips.
        models: where the evaluator and narrators of our own go.
        certify: when a held-out narrative counts as certified; changes nothing that is built.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    seed: int = 0
    cases: CasesRecipe
    narrators: NarratorsRecipe = NarratorsRecipe()
    audit: AuditRecipe = AuditRecipe()
    score: ScoreRecipe = ScoreRecipe()
    select: SelectRecipe = SelectRecipe()
    models: ModelRecipe = ModelRecipe()
    certify: CertifyRules = CertifyRules()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.narrators.slips and self.cases.dataset != SYNTHETIC:
            raise ValueError("narrators.slips needs synthetic cases; set it to 0")
        if self.narrators.slips and OFFLINE not in (self.narrators.observe, self.narrators.reason):
            raise ValueError("narrators.slips are the offline narrator's; set it to 0")
        return self


def load_corpus_recipe(path: Path | str, settings: Sequence[str] = ()) -> CorpusRecipe:
    """Read a recipe of a corpus; see `distill.recipe_values.read_recipe`."""
    return read_recipe(CorpusRecipe, path, settings)
