"""The records of a corpus: the case, what each stage made of it, and the finished narrative.

Every stage writes one record for each case that entered it, in the order of the cases. A record
holds no time and no path of the machine, so that a continued run writes the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from skingpt_r1.case import SkinTone, Split
from skingpt_r1.text.rubric import DIMENSIONS

Stage = Literal["observe", "reason", "normalise", "audit", "score", "select"]
STAGES: tuple[Stage, ...] = ("observe", "reason", "normalise", "audit", "score", "select")
Part = Literal["candidate", "held_out"]

# reason code -> what it means; every dropped record carries one of these.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "refusal": "the narrator declines to write",
        "empty": "the narrator's reply has no words",
        "truncated": "the narrator's reply breaks off",
        "too_long": "the narrator's reply is longer than any narrative",
        "timeout": "the narrator did not answer in time",
        "connection": "the connection to the narrator broke",
        "server_error": "the narrator's server failed",
        "rate_limited": "the narrator's server turned the request away",
        "names_diagnosis": "the observation names the diagnosis, or a synonym of it",
        "not_supported": "the narrator says that the observation does not support the diagnosis",
        "no_diagnosis": "the reasoning does not say what it concludes",
        "not_readable": "the reply has no reasoning that can be told apart",
        "structure": "a part of the narrative is missing, too short or too long",
        "label_mismatch": "the narrative concludes with another diagnosis than the label",
        "contradiction": "the reasoning names a finding otherwise than the observation",
        "invented_history": "history or symptoms that nobody told",
        "identity": "words that may tell who the person is",
        "unscored": "the evaluator's verdict cannot be read",
        "below_mean": "the mean score is below the minimum",
        "below_minimum": "a score is below the minimum of every dimension",
        "duplicate_text": "nearly the text of a better candidate",
        "duplicate_picture": "nearly the picture of a better candidate",
        "held_out_picture": "nearly a picture of the held-out part",
        "over_quota": "better candidates fill the quota of its diagnosis, site and tone",
        "not_among_best": "enough better candidates were kept",
    }
)


class Record(BaseModel):
    """A line of a file: frozen, strict, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Provenance(Record):
    """Where a text or a decision comes from.

    Attributes:
        narrator: what wrote or decided it; `rules` for the code of a stage.
        prompt_sha256: hash of the prompt; None where there was none.
        seed: of the wording or the sampling; None where nothing was drawn.
        cost_usd: paid for it; None when the price is not known.
        input_tokens: read, where they were counted.
        output_tokens: written, where they were counted.
        simulated_slip: the mistake that an offline narrator was told to make, to have something to
            filter; never shown to the evaluator.
    """

    narrator: str = "rules"
    prompt_sha256: str | None = None
    seed: int | None = None
    cost_usd: FiniteFloat | None = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    simulated_slip: str | None = None


class CaseRecord(Record):
    """A case that a narrative is wanted of.

    Attributes:
        id: of the case, unique in the corpus.
        dataset: the reader that made the case, or `synthetic`.
        group: what must not be split: patient, lesion or file series.
        part: `candidate`, or `held_out` for the part that dermatologists certify.
        images: picture files, relative to the folder of the corpus.
        sha256: of each file.
        phash: perceptual hash of each picture, 64 hexadecimal digits.
        label: the gold diagnosis.
        split: the official split, where the data set has one.
        fitzpatrick: skin type 1..6; None when unknown.
        tone: apparent skin colour; None when unknown.
        findings: what is seen, recorded or measured.
        context: site and age, where known.
        attributes: other columns; the audit looks here whether a told symptom is known.
    """

    id: str
    dataset: str
    group: str
    part: Part
    images: tuple[str, ...]
    sha256: tuple[str, ...]
    phash: tuple[str, ...]
    label: str
    split: Split | None = None
    fitzpatrick: int | None = None
    tone: SkinTone | None = None
    findings: dict[str, str] = {}
    context: dict[str, str] = {}
    attributes: dict[str, str] = {}

    @property
    def stratum(self) -> tuple[str, str, str]:
        """Diagnosis, body site and skin tone; `unknown` where the data set does not say."""
        return self.label, self.context.get("site", "unknown"), str(self.tone or "unknown")


class StageRecord(Record):
    """What a stage made of a case.

    Attributes:
        id: of the case.
        stage: which stage.
        text: what it wrote; empty for stages that only decide, and for dropped cases without one.
        provenance: where it comes from.
        dropped: a code of `REASONS`, or None when the case goes on.
        detail: for a person; never quotes what may identify somebody.
        scores: dimension -> score; the score stage only.
    """

    id: str
    stage: Stage
    text: str = ""
    provenance: Provenance = Provenance()
    dropped: str | None = None
    detail: str = ""
    scores: dict[str, FiniteFloat] | None = None


class CorpusRecord(Record):
    """A finished narrative with its case; a line of `corpus.jsonl` or `held_out.jsonl`.

    Attributes:
        id: of the case.
        dataset: where the pictures are from.
        group: what must not be split.
        part: `candidate` for the training part, `held_out` for what is to be certified.
        images: picture files, relative to the folder of the corpus.
        sha256: of each file.
        phash: perceptual hash of each picture, 64 hexadecimal digits.
        diagnosis: the gold label.
        split: the official split of the source, where it has one.
        fitzpatrick: skin type 1..6; None when unknown.
        tone: apparent skin colour; None when unknown.
        findings: what is seen, recorded or measured.
        context: site and age, where known.
        narrative: in canonical form.
        scores: dimension -> score of the evaluator; None in the held-out part, which is not scored.
        evaluator: what scored it; None in the held-out part.
        observe: provenance of the observation.
        reason: provenance of the reasoning.
    """

    id: str
    dataset: str
    group: str
    part: Part
    images: tuple[str, ...]
    sha256: tuple[str, ...]
    phash: tuple[str, ...]
    diagnosis: str
    split: Split | None
    fitzpatrick: int | None
    tone: SkinTone | None
    findings: dict[str, str]
    context: dict[str, str]
    narrative: str
    scores: dict[str, FiniteFloat] | None
    evaluator: str | None
    observe: Provenance
    reason: Provenance

    @property
    def mean(self) -> float | None:
        """Mean of the six scores; None when the narrative was not scored."""
        return None if self.scores is None else mean_score(self.scores)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case and what the finished stages made of it; it passed all of them.

    Attributes:
        case: the case.
        records: stage -> its record.
    """

    case: CaseRecord
    records: Mapping[Stage, StageRecord] = field(hash=False)

    def text(self, stage: Stage) -> str:
        """What a stage wrote."""
        return self.records[stage].text


def mean_score(scores: Mapping[str, float]) -> float:
    """Mean over the six dimensions."""
    return sum(scores[name] for name in DIMENSIONS) / len(DIMENSIONS)


def drop(candidate: Candidate, stage: Stage, reason: str, detail: str = "") -> StageRecord:
    """The record of a case that a stage of rules lets go."""
    assert reason in REASONS
    return StageRecord(id=candidate.case.id, stage=stage, dropped=reason, detail=detail)
