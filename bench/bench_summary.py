"""A result set of 4,000 cases and six systems, summarised and reported: seconds and memory.

Expected: under 60 s and 1 GB on two cores. Answers and judgements are gone through once and read
again for the report one by one, so memory holds scores and places, and no text.
"""

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.answers import answers_path
from skingpt_r1.dermbench.benchmark_records import Answer, Judgement, Question
from skingpt_r1.dermbench.summary import summarise, write_summary
from skingpt_r1.narrative import format_narrative
from skingpt_r1.records import append_records, start_run
from skingpt_r1.rubric import DIMENSIONS
from skingpt_r1.taxonomy import diagnoses

WORDS = ("red", "scaly", "plaques", "sharp", "borders", "elbows", "knees", "seen", "picture")


def prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words)) + "."


def make_run(folder: Path, cases: int, systems: int, words: int) -> None:
    """Questions, answers and judgements by two judges, of made-up words."""
    rng = random.Random(0)
    labels = sorted(diagnoses())
    asked = [
        Question(
            id=f"case-{n}", benchmark="dermbench", group=f"patient-{n // 2}", form="narrative",
            prompt="What is it?", images=(), sha256=(), label=rng.choice(labels),
            reference=prose(rng, words), tone=rng.choice([*SkinTone, None]),
            fitzpatrick=rng.choice([*range(1, 7), None]),
        )
        for n in range(cases)
    ]  # fmt: skip
    append_records(folder / "questions.jsonl", asked)
    start_run(folder, {"name": "made up", "data": {"root": str(folder)}}, seed=0)
    for number in range(systems):
        name = f"system-{number}"
        texts = [
            format_narrative(prose(rng, words), prose(rng, words), rng.choice(labels))
            for _ in asked
        ]
        append_records(
            answers_path(folder, name),
            [Answer(system=name, id=q.id, text=t) for q, t in zip(asked, texts, strict=True)],
        )
        for judge in ("rubric", "llm"):
            append_records(
                folder / "judgements" / judge / f"{name}.jsonl",
                [
                    Judgement(
                        system=name, id=q.id, judge=judge, reply=prose(rng, words),
                        scores={d: round(rng.uniform(0, 5), 1) for d in DIMENSIONS},
                        rationales={d: prose(rng, words // 10) for d in DIMENSIONS},
                    )
                    for q in asked
                ],
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=4000)
    parser.add_argument("--systems", type=int, default=6)
    parser.add_argument("--words", type=int, default=150)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_run(folder, arguments.cases, arguments.systems, arguments.words)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start, used = time.perf_counter(), time.process_time()
        summary = summarise(folder)
        middle = time.perf_counter()
        written = write_summary(summary, folder / "report")
        end, used = time.perf_counter(), time.process_time() - used
        size = written.page.stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{arguments.cases:,} cases, {arguments.systems} systems, two judges: "
        f"{middle - start:.1f} s to summarise, {end - middle:.1f} s to report ({size:.0f} MB); "
        f"{used:.1f} s of processor time; peak {peak:.0f} MB of memory ({before:.0f} MB before)"
    )


if __name__ == "__main__":
    main()
