"""A made-up run on disk: questions, answers and judgements of any size, without any model."""

import random
from pathlib import Path

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.answers import answers_path
from skingpt_r1.dermbench.classification.labels import LABEL_SETS
from skingpt_r1.dermbench.records import Answer, Judgement, Question, file_stem
from skingpt_r1.dermbench.systems.card import SystemCard, card_path
from skingpt_r1.records import append_records, start_run, write_json_atomic
from skingpt_r1.text.narrative import make_narrative
from skingpt_r1.text.rubric import DIMENSIONS

SYSTEMS = ("good", "middling", "base", "control/majority", "control/reference", "lost")
SKILL = {"good": 0.8, "middling": 0.5, "base": 0.2, "control/majority": 0.3}
LABELS = ("psoriasis", "melanoma", "wart", "atopic dermatitis", "melanocytic nevus")
JUDGES = (("rubric 1", "decimals 0-5", None), ("judge-1", "integers 1-5", "2026-11-20"))


def write_run(
    folder: Path,
    *,
    cases: int = 40,
    benchmark: str = "dermbench",
    form: str = "narrative",
    systems: tuple[str, ...] = SYSTEMS,
    seed: int = 0,
    words: int = 20,
) -> list[Question]:
    """Write a run; of the system `lost` a fifth is missing, refused or not judged."""
    generator = random.Random(seed)
    labels = LABEL_SETS[benchmark].labels if benchmark in LABEL_SETS else LABELS
    questions = [
        Question(
            id=f"case-{number}",
            benchmark=benchmark,
            group=f"patient-{number // 2}",
            form=form,
            prompt="What is it?",
            images=(),
            sha256=(),
            label=labels[number % len(labels)],
            candidates=() if form == "narrative" else tuple(labels),
            reference=f"reference {number}",
            fitzpatrick=None if number % 7 == 0 else number % 6 + 1,
            tone=None if number % 7 == 0 else list(SkinTone)[number % 6 // 2],
        )
        for number in range(cases)
    ]
    append_records(folder / "questions.jsonl", questions)
    start_run(folder, {"name": "made up", "data": {"root": str(folder)}}, seed=seed)
    for system in systems:
        write_card(folder, system)
        answers = [said(system, question, generator, labels, words) for question in questions]
        answers = [a for a in answers if not (system == "lost" and generator.random() < 0.1)]
        append_records(answers_path(folder, system), answers)
        if form == "narrative":
            write_judgements(folder, system, answers, generator, words)
    return questions


def write_card(folder: Path, system: str, overlapping: tuple[str, ...] = ()) -> None:
    card = SystemCard(system=system, model=system, compared=3, overlapping=overlapping)
    write_json_atomic(card_path(folder, system), card.model_dump(mode="json"))


def said(system, question, generator, labels, words) -> Answer:
    if system == "lost" and generator.random() < 0.1:
        return Answer(system=system, id=question.id, text="", problem="refusal")
    named = question.label
    if system != "control/reference" and generator.random() > SKILL.get(system, 0.5):
        named = generator.choice(labels)
    prose = " ".join(["red scaly plaques"] * (words // 3))
    text = make_narrative(f"{prose}.", "this fits.", named).text
    chances = None
    if question.form == "candidates":
        raw = {label: generator.random() + 2 * (label == named) for label in labels}
        chances = {label: value / sum(raw.values()) for label, value in raw.items()}
    return Answer(
        system=system,
        id=question.id,
        text=named if question.form == "label" else text,
        stop_reason="stop",
        probabilities=chances,
    )


def write_judgements(folder, system, answers, generator, words) -> None:
    for judge, protocol, day in JUDGES:
        records = []
        for answer in answers:
            if answer.problem or (system == "lost" and generator.random() < 0.1):
                continue
            skill = 4.6 if system == "control/reference" else 1.5 + 3 * SKILL.get(system, 0.5)
            whole = protocol == "integers 1-5"
            scores = {
                name: max(1.0, min(5.0, round(generator.gauss(skill, 0.5), 0 if whole else 1)))
                for name in DIMENSIONS
            }
            unscored = "no_scores" if generator.random() < 0.02 else None
            records.append(
                Judgement(
                    system=system,
                    id=answer.id,
                    answer_sha256=answer.sha256,
                    judge=judge,
                    judged_on=day,
                    protocol=protocol,
                    scores=None if unscored else scores,
                    unscored=unscored,
                    rationales=dict.fromkeys(DIMENSIONS, "because " * (words // 6)),
                    reply="reply " * words,
                )
            )
        path = folder / "judgements" / file_stem(judge) / f"{file_stem(system)}.jsonl"
        append_records(path, records)
