"""Time and memory of a report: 4,000 cases, six systems, two judges, every picture embedded.

The run is made up: its narratives are written from drawn findings, its scores are drawn, its
pictures are coloured noise. No model answers and no person is shown. The folder is made first and
not measured; then `summarise_runs` and `write_report` run in a fresh process, of which the
wall-clock time and the largest resident memory are printed.

python bench/report_size.py --out runs/report_size
"""

import argparse
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.answers import answers_path
from skingpt_r1.dermbench.records import Answer, Judgement, Question, file_stem
from skingpt_r1.dermbench.report.rows import write_report
from skingpt_r1.dermbench.summary import summarise_runs
from skingpt_r1.records import append_records, sha256_file, start_run
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.text.rubric import DIMENSIONS
from skingpt_r1.text.wording import ask, write_narrative

SYSTEMS = {"best": 4.2, "second": 4.1, "base": 3.0, "other": 3.1, "weak": 2.2, "weakest": 1.4}
JUDGES = (("made-up judge 1", "decimals 0-5"), ("made-up judge 2", "integers 1-5"))
LIMIT_S, LIMIT_BYTES = 60.0, 1e9
SENTENCE = "This sentence is made up and stands for a longer text of a larger model. "
PICTURE_SIZE = (600, 450)


def made_questions(folder: Path, count: int) -> list[Question]:
    conditions = [condition.name for condition in CONDITIONS]
    questions = []
    for number in range(count):
        rng = random.Random(number)
        label = conditions[number % len(conditions)]
        picture = draw_picture(folder / "pictures", number)
        questions.append(
            Question(
                id=f"case-{number:05d}",
                benchmark="dermbench",
                group=f"series-{number // 4}",
                form="narrative",
                prompt=ask({}),
                images=(picture.name,),
                sha256=(sha256_file(picture),),
                label=label,
                reference=narrative(label, rng),
                findings=drawn_findings(rng),
                tone=rng.choice([*SkinTone, None]),
                licence="made up",
                embeddable=True,
            )
        )
    return questions


def draw_picture(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    coarse = rng.integers(60, 230, (45, 60, 3), dtype=np.uint8)
    path = folder / f"{number:05d}.jpg"
    Image.fromarray(coarse).resize(PICTURE_SIZE).save(path, quality=90)
    return path


def drawn_findings(rng: random.Random) -> dict[str, str]:
    return {"colour": rng.choice(["red", "brown"]), "border": rng.choice(["sharp", "blurred"])}


def narrative(label: str, rng: random.Random) -> str:
    text = write_narrative(drawn_findings(rng), label, [], rng).text
    return text.replace("Reasoning:", f"Reasoning: {SENTENCE * rng.randint(12, 20)}", 1)


def made_answers(system: str, skill: float, questions: list[Question]) -> list[Answer]:
    rng = random.Random(system)
    labels = sorted({question.label for question in questions})
    answers = []
    for question in questions:
        if rng.random() < 0.01:
            answers.append(Answer(system=system, id=question.id, text="", problem="timeout"))
            continue
        named = question.label if rng.random() < skill / 5 else rng.choice(labels)
        text = narrative(named, rng)
        answers.append(Answer(system=system, id=question.id, text=text, stop_reason="stop"))
    return answers


def made_judgements(
    judge: str, protocol: str, skill: float, answers: list[Answer]
) -> list[Judgement]:
    rng = random.Random(f"{judge} {answers[0].system}")
    digits = 0 if protocol == "integers 1-5" else 1
    judgements = []
    for answer in answers:
        if answer.problem:
            continue
        scores = {
            name: min(5.0, max(1.0, round(rng.gauss(skill, 0.7), digits))) for name in DIMENSIONS
        }
        words = {name: f"{name}: {SENTENCE * 2}" for name in DIMENSIONS}
        judgements.append(
            Judgement(
                system=answer.system, id=answer.id, answer_sha256=answer.sha256, judge=judge,
                protocol=protocol, scores=scores, rationales=words,
                reply="\n".join(words.values()),
            )
        )  # fmt: skip
    return judgements


def make_run(folder: Path, count: int) -> None:
    questions = made_questions(folder, count)
    append_records(folder / "questions.jsonl", questions)
    for system, skill in SYSTEMS.items():
        answers = made_answers(system, skill, questions)
        append_records(answers_path(folder, system), answers)
        for judge, protocol in JUDGES:
            path = folder / "judgements" / file_stem(judge) / f"{file_stem(system)}.jsonl"
            append_records(path, made_judgements(judge, protocol, skill, answers))
    start_run(folder, {"name": "made-up run", "data": {"root": None}}, seed=0)


def measure(folder: Path) -> None:
    start, worked = time.perf_counter(), time.process_time()
    notes = ("All texts, scores and pictures are made up.",)
    data = summarise_runs([folder], notes=notes)
    summarised = time.perf_counter()
    written = write_report(data, folder)
    end, worked = time.perf_counter(), time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    page = written.page.stat().st_size
    print(f"summary {summarised - start:.1f} s, report {end - summarised:.1f} s")
    print(f"page {page / 1e6:.0f} MB, {data.num_cases:,} cases, {len(SYSTEMS)} systems")
    print(f"total {end - start:.1f} s of {LIMIT_S:.0f}, ratio {(end - start) / LIMIT_S:.2f}")
    print(f"of these {worked:.1f} s at work; the rest is waiting for other programs")
    print(f"peak memory {peak / 1e6:.0f} MB of 1,000, ratio {peak / LIMIT_BYTES:.2f}")
    print("For research, not for diagnosis.")
    if end - start > LIMIT_S or peak > LIMIT_BYTES:
        sys.exit("over the limit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/report_size"))
    parser.add_argument("--cases", type=int, default=4000)
    parser.add_argument("--measure", action="store_true", help="the folder is there: measure it")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.out)
        return
    if not (arguments.out / "run.json").exists():
        make_run(arguments.out, arguments.cases)
    command = [sys.executable, __file__, "--out", str(arguments.out), "--measure"]
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
