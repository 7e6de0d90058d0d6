"""The records of a benchmark run: what was asked, what came back, how it was judged.

A run is a folder: `run.json`, `questions.jsonl`, `answers/<system>.jsonl`,
`judgements/<judge>/<system>.jsonl` and `ledger.jsonl`; one record for each unit of work, appended
and flushed, so that a run that was stopped goes on. No record holds a path of the machine or a
picture's bytes.
"""

import hashlib
import re
from typing import Literal

from pydantic import Field, FiniteFloat

from skingpt_r1.case import SkinTone
from skingpt_r1.records import Record

ProtocolName = Literal["decimals 0-5", "integers 1-5"]
Form = Literal["narrative", "label", "candidates"]

JUDGEMENTS = "judgements"
LEDGER = "ledger.jsonl"


def file_stem(name: str) -> str:
    """The name of a system or a judge as the name of a file."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.")


class Question(Record):
    """One case of a benchmark, as every system is asked.

    Attributes:
        findings: what is known to be seen, slot -> value.
    """

    id: str
    benchmark: str  # `dermbench`, or the name of the classification data set
    group: str  # what is drawn together by the bootstrap: patient, lesion or file series
    form: Form  # a narrative is written, a label is generated, or candidates are ranked
    prompt: str
    images: tuple[str, ...]  # picture files, relative to the folder of the data
    sha256: tuple[str, ...]
    label: str  # the gold diagnosis
    candidates: tuple[str, ...] = ()  # the labels to choose from; empty for open questions
    reference: str | None = None  # the certified narrative; None where there is none
    findings: dict[str, str] = Field(default_factory=dict)
    fitzpatrick: int | None = None  # skin type 1..6; None when unknown
    tone: SkinTone | None = None  # apparent skin colour; None when unknown
    licence: str = ""
    embeddable: bool = False  # whether the licence allows the picture in a report


class Answer(Record):
    """What a system said to a question.

    Attributes:
        problem: a short code why there is no usable text (`timeout`, `refusal`, `empty`, ...).
        stop_reason: why the text ended, where the system says so; `length` is a cut text.
        probabilities: candidate -> probability, for the form `candidates`.
    """

    system: str
    id: str
    text: str  # as written; it is kept where `problem` says that it does not count
    problem: str | None = None
    stop_reason: str | None = None
    probabilities: dict[str, FiniteFloat] | None = None
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of the text, or of the problem where there is none: what a judgement is about."""
        return hashlib.sha256((self.text or f"problem: {self.problem}").encode()).hexdigest()


class Judgement(Record):
    """How one judge scored one answer once.

    Attributes:
        answer_sha256: `Answer.sha256` of what was judged; a judgement of another text than that of
            the answer that counts now does not count.
        repeat: 0, 1, ... for judges that are asked several times.
        unscored: reason code of `rubric.REASONS` or of the answer's problem; None when scored.
        rationales: dimension -> justification, where given.
        flags: codes of `rubric.FLAGS`: what was unusual about a reply that counts.
    """

    system: str
    id: str
    answer_sha256: str
    judge: str  # name and version of the judge
    judged_on: str | None = None  # day of the judgement, ISO 8601; None for deterministic judges
    repeat: int = 0
    protocol: ProtocolName = "decimals 0-5"
    scores: dict[str, FiniteFloat] | None = None  # dimension -> score; None when unscored
    unscored: str | None = None
    rationales: dict[str, str] = Field(default_factory=dict)
    reply: str = ""  # the judge's reply as it was read; empty for rules
    cut: bool = False  # whether the judged text was cut from the front before it was shown
    flags: tuple[str, ...] = ()
