"""A judge that counts words. It always says the same, and it does not measure quality."""

from collections.abc import Iterator, Sequence

from skingpt_r1.dermbench.judges.judge import JudgeOptions, JudgeTask, record_verdict
from skingpt_r1.dermbench.records import Judgement, ProtocolName
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.text.rubric import Scores, Unscored

WORDS = [  # one line for each of skingpt_r1.text.rubric.DIMENSIONS
    "diagnosis carcinoma melanoma nevus psoriasis eczema wart",
    "doctor dermatologist biopsy urgent monitor consult",
    "because points typical evidence supports",
    "differential border surface colour shape size",
    "observation reasoning therefore differential",
    "red brown scaly sharp blurred smooth raised",
]


class WordJudge:
    """One point for each word of a dimension, five at most."""

    def __init__(self) -> None:
        self.name, self.needs_reference, self.most_attempts = "words-1", False, 1
        self.protocol: ProtocolName = "decimals 0-5"
        self.settings: dict[str, object] = {"words": WORDS}

    def judge(self, tasks: Sequence[JudgeTask]) -> Iterator[Judgement]:
        """One record for each task, in their order."""
        for task in tasks:
            said = set(task.answer.text.lower().replace(".", " ").split())
            points = tuple(min(5.0, len(said & set(line.split()))) for line in WORDS)
            yield record_verdict(self, task, Scores(points) if said else Unscored("empty"))


def open_judge(name: str, options: JudgeOptions, ledger: Ledger) -> WordJudge:
    """The name as it was asked for, the options of the command, the costs of the run."""
    return WordJudge()
