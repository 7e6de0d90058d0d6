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
        benchmark: `dermbench`, or the name of the classification data set.
        group: what is drawn together by the bootstrap: patient, lesion or file series.
        form: a narrative is written, a label is generated, or candidates are ranked.
        images: picture files, relative to the folder of the data.
        label: the gold diagnosis.
        candidates: the labels to choose from; empty for open questions.
        reference: the certified narrative; None where there is none.
        findings: what is known to be seen, slot -> value.
        fitzpatrick: skin type 1..6; None when unknown.
        tone: apparent skin colour; None when unknown.
        embeddable: whether the licence allows the picture in a report.
    """

    id: str
    benchmark: str
    group: str
    form: Form
    prompt: str
    images: tuple[str, ...]
    sha256: tuple[str, ...]
    label: str
    candidates: tuple[str, ...] = ()
    reference: str | None = None
    findings: dict[str, str] = Field(default_factory=dict)
    fitzpatrick: int | None = None
    tone: SkinTone | None = None
    licence: str = ""
    embeddable: bool = False


class Answer(Record):
    """What a system said to a question.

    Attributes:
        text: as written; it is kept where `problem` says that it does not count.
        problem: a short code why there is no usable text (`timeout`, `refusal`, `empty`, ...).
        stop_reason: why the text ended, where the system says so; `length` is a cut text.
        probabilities: candidate -> probability, for the form `candidates`.
    """

    system: str
    id: str
    text: str
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
        judge: name and version of the judge.
        judged_on: day of the judgement, ISO 8601; None for deterministic judges.
        repeat: 0, 1, ... for judges that are asked several times.
        scores: dimension -> score; None when unscored.
        unscored: reason code of `rubric.REASONS` or of the answer's problem; None when scored.
        rationales: dimension -> justification, where given.
        reply: the judge's reply as it was read; empty for rules.
        cut: whether the judged text was cut from the front before it was shown.
        flags: codes of `rubric.FLAGS`: what was unusual about a reply that counts.
    """

    system: str
    id: str
    answer_sha256: str
    judge: str
    judged_on: str | None = None
    repeat: int = 0
    protocol: ProtocolName = "decimals 0-5"
    scores: dict[str, FiniteFloat] | None = None
    unscored: str | None = None
    rationales: dict[str, str] = Field(default_factory=dict)
    reply: str = ""
    cut: bool = False
    flags: tuple[str, ...] = ()
