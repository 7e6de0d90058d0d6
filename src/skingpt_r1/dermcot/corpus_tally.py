"""What a corpus holds, counted while its records stream by; the texts are not kept."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from skingpt_r1.dermcot.corpus import CorpusRecord
from skingpt_r1.render.folder import DATASET

UNKNOWN = "unknown"
Counts = Counter[str]


@dataclass(slots=True)
class Tally:
    """Counts of one split.

    Attributes:
        cases: number of cases.
        pictures: number of pictures.
        synthetic: number of cases with rendered pictures.
        sources: source -> cases.
        diagnoses: diagnosis -> cases.
        sites: body site -> cases; `unknown` where nothing is known.
        tones: apparent skin tone -> cases; `unknown` is a row of its own.
        fitzpatrick: skin type -> cases; `unknown` is a row of its own.
        diagnosis_tones: (diagnosis, tone) -> cases.
        narrators: narrator of the reasoning -> cases.
        evaluators: evaluator -> cases; `none` for cases that were not scored.
    """

    cases: int = 0
    pictures: int = 0
    synthetic: int = 0
    sources: Counts = field(default_factory=Counter)
    diagnoses: Counts = field(default_factory=Counter)
    sites: Counts = field(default_factory=Counter)
    tones: Counts = field(default_factory=Counter)
    fitzpatrick: Counts = field(default_factory=Counter)
    diagnosis_tones: Counter[tuple[str, str]] = field(default_factory=Counter)
    narrators: Counts = field(default_factory=Counter)
    evaluators: Counts = field(default_factory=Counter)

    def add(self, record: CorpusRecord) -> None:
        """Count one record."""
        tone = str(record.tone or UNKNOWN)
        self.cases += 1
        self.pictures += len(record.images)
        self.synthetic += record.dataset == DATASET
        self.sources[record.dataset] += 1
        self.diagnoses[record.diagnosis] += 1
        self.sites[record.context.get("site", UNKNOWN)] += 1
        self.tones[tone] += 1
        self.fitzpatrick[str(record.fitzpatrick or UNKNOWN)] += 1
        self.diagnosis_tones[record.diagnosis, tone] += 1
        self.narrators[record.reason.narrator] += 1
        self.evaluators[record.evaluator or "none"] += 1


def ordered(counts: Iterable[Counts]) -> list[str]:
    """Keys of several counts, the most frequent first, `unknown` last."""
    total: Counts = Counter()
    for one in counts:
        total.update(one)
    return sorted(total, key=lambda key: (key == UNKNOWN, -total[key], key))
