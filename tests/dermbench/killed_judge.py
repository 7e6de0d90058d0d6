"""A run of a language model as judge, small enough for a test, and what it ends with."""

import os
from pathlib import Path

from skingpt_r1.dermbench.judgements import JudgedSystem, judge_folder, run_judge
from skingpt_r1.dermbench.judges.judge import JudgeOptions
from skingpt_r1.dermbench.judges.language_model import LLMJudge, open_llm_judge
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.llm.budget import CallsRecipe, Ledger
from skingpt_r1.records import append_records, read_records, start_run

CONNECTIONS = 4


def write_run(folder: Path, count: int) -> None:
    """Questions and the answers of one system, `text 0` and so on."""
    questions = [
        Question(
            id=f"q{number}", benchmark="dermbench", group=f"q{number}", form="narrative",
            prompt="?", images=(), sha256=(), label="psoriasis", reference="It is psoriasis.",
        )
        for number in range(count)
    ]  # fmt: skip
    append_records(folder / "questions.jsonl", questions)
    start_run(folder, {"data": {"root": str(folder)}}, seed=0)
    append_records(
        folder / "answers" / "s.jsonl",
        [
            Answer(system="s", id=question.id, text=f"text {number}.")
            for number, question in enumerate(questions)
        ],
    )


def judge_run(url: str, folder: Path) -> JudgedSystem:
    """Judge every answer, or go on; the program that is killed."""
    os.environ["INSPECT_CACHE_DIR"] = str(folder / "cache")
    (tally,) = run_judge(folder, open_judge(url, folder))
    return tally


def judgements(url: str, folder: Path) -> list[Judgement]:
    """Every record, without the day."""
    place = judge_folder(folder, f"{url}#toy-1", "decimals 0-5")
    found = read_records(place / "s.jsonl", Judgement)
    return [record.model_copy(update={"judged_on": None}) for record in found]


def open_judge(url: str, folder: Path) -> LLMJudge:
    """The judge of a run's folder."""
    return open_llm_judge(
        f"{url}#toy-1",
        JudgeOptions(),
        Ledger(folder / "ledger.jsonl"),
        CallsRecipe(max_connections=CONNECTIONS, max_retries=0, max_failures=100),
    )
