"""A made-up report: two scales, controls, leaks, hostile texts, lost answers."""

import base64
import random
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.dermbench.report.data import (
    LABEL_OUTCOMES,
    Audit,
    Calibration,
    CaseAnswer,
    Classification,
    ClassifierRow,
    Confusion,
    LabelRow,
    Leak,
    ReportCase,
    ReportData,
    ScoreTable,
    SystemScores,
    ToneRow,
    ToneTable,
)
from skingpt_r1.stats.classification import AURC, BRIER, ECE, Abstention, Bin, ClassScore
from skingpt_r1.stats.comparison import Comparison
from skingpt_r1.stats.intervals import Interval
from skingpt_r1.text.rubric import DIMENSIONS

HOSTILE = '</script><script>window.stolen = 1</script><img src=x onerror="window.stolen = 2">'
SYSTEMS = {
    "SkinGPT-R1, LoRA and injection": "skingpt/runs/lora",
    "bias_lora_tower_inject_shuffled_unfiltered": "skingpt/runs/bias",
    "base": "the embedded backbone, without adapters",
    "openai/gpt-<5>": "a hosted model",
    "control/majority": "always the commonest diagnosis",
    "control/reference": "repeats the reference",
}
KINDS = ("system", "system", "system", "system", "control", "oracle")
JUDGES = (("rubric judge 1", "decimals 0-5"), ("openai/judge-1", "integers 1-5"))
LABELS = ("psoriasis", "melanoma", "wart", "eczema")
HAM = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
TONES = (*SkinTone, None)


def around(value: float, half: float, n: int) -> Interval:
    return Interval(value, value - half, value + half, n)


def made_scores(judge: str, protocol: str, n: int) -> ScoreTable:
    means = {name: 4.1 - 0.45 * at for at, name in enumerate(SYSTEMS)}
    means["control/reference"] = 4.9
    order = sorted(means, key=lambda name: -means[name])
    kinds = dict(zip(SYSTEMS, KINDS, strict=True))
    rows = [
        SystemScores(
            system=name,
            kind=kinds[name],
            overall=around(means[name], 0.08, n),
            dimensions={
                part: around(min(means[name] + 0.1 * (place - 3), 4.95), 0.12, n)
                for place, part in enumerate(DIMENSIONS)
            },
            rank=around(float(place), 0.4, n) if kinds[name] == "system" else None,
            scored=n - 3,
            asked=n,
            unscored={"timeout": 2, "refusal": 1},
            cut=place % 2,
        )
        for place, name in enumerate(order)
    ]
    rows.append(
        SystemScores(
            system="silent", overall=None, dimensions={}, scored=0, asked=n, unscored={"empty": n}
        )
    )
    pairs = [
        made_pair(first, second, means[first] - means[second], n)
        for place, first in enumerate(order)
        for second in order[place + 1 :]
    ]
    tones = tuple(made_tones(name, "mean score", 5.0, n) for name in order[:3])
    return ScoreTable(
        judge=judge, protocol=protocol, rows=tuple(rows), pairs=tuple(pairs), tones=tones
    )


def made_pair(first: str, second: str, gap: float, n: int) -> Comparison:
    p = 0.0004 if abs(gap) > 0.5 else 0.31
    return Comparison(first, second, around(gap, 0.5, n), "paired bootstrap", p / 10, p)


def made_tones(system: str, metric: str, high: float, n: int) -> ToneTable:
    groups = (
        ToneRow("light", n, n // 5, n, around(0.8 * high, 0.03 * high, n)),
        ToneRow("medium", n // 2, 0, n // 2 - 1, around(0.74 * high, 0.05 * high, n // 2 - 1)),
        ToneRow("dark", 4, 0, 4, around(0.6 * high, 0.3 * high, 4)),
        ToneRow("unknown", 0, 0, 0, None),
    )
    gap = Interval(0.2 * high, -0.1 * high, 0.5 * high, n)
    parity = Interval(0.75, 0.6, 0.9, n)
    return ToneTable(
        system=system, metric=metric, rows=groups, worst="dark", gap=gap, parity=parity, high=high
    )


def made_classification(benchmark: str, classes: tuple[str, ...], n: int) -> Classification:
    rng = random.Random(3)
    names = list(SYSTEMS)[:5]
    rows = [
        ClassifierRow(
            system=name,
            kind=KINDS[place],
            metrics={
                "accuracy": around(0.71 - 0.1 * place, 0.03, n),
                "balanced accuracy": around(0.66 - 0.1 * place, 0.04, n),
                "macro-F1": around(0.62 - 0.1 * place, 0.04, n),
                "top-3": None if place == 3 else around(0.9 - 0.1 * place, 0.02, n),
            },
            asked=n,
            unread=place,
            gain=None if name == "base" else made_pair(name, "base", 0.9 - 0.4 * place, n),
        )
        for place, name in enumerate(names)
    ]
    confusions = []
    for name in names[:2]:
        counts = [
            tuple(
                rng.randint(20, 60) if row == column else rng.randint(0, 9)
                for column in range(len(classes) + 1)
            )
            for row in range(len(classes))
        ]
        half = around(0.5, 0.1, 30)
        scores = tuple(ClassScore(label, 30, half, half, None) for label in classes)
        confusions.append(
            Confusion(system=name, classes=classes, counts=tuple(counts), scores=scores)
        )
    calibrations = [made_calibration(name, 0.05 * place, n) for place, name in enumerate(names)]
    return Classification(
        benchmark=benchmark,
        form="candidates",
        rows=tuple(rows),
        baseline="base",
        confusions=tuple(confusions),
        tones=tuple(made_tones(name, "accuracy", 1.0, n) for name in names[:2]),
        calibrations=tuple(calibrations),
    )


def made_calibration(system: str, off: float, n: int) -> Calibration:
    bins = tuple(
        Bin(
            at / 10,
            at / 10 + 0.1,
            at / 10 + 0.05,
            Interval(
                max(at / 10 - off, 0), max(at / 10 - off - 0.1, 0), at / 10 + 0.1, n // (11 - at)
            ),
        )
        for at in range(3, 10)
    )
    risk = tuple((step / 20, off + 0.4 * (step / 20) ** 2) for step in range(1, 21))
    tried = (
        Abstention(0.05, None, None, None),
        Abstention(0.2, 0.7, around(0.6, 0.05, n // 2), around(0.18, 0.04, n // 3)),
    )
    measures = {BRIER: around(0.3, 0.02, n), ECE: around(0.05 + off, 0.02, n), AURC: None}
    return Calibration(system=system, measures=measures, bins=bins, risk=risk, abstentions=tried)


def made_cases(
    number: int, *, paragraphs: int = 1, picture: str | None = None
) -> Iterator[ReportCase]:
    """Cases as a run has them; the first one's texts try to break out of the page."""
    shown = picture or tiny_picture()
    for at in range(number):
        rng = random.Random(at)
        label = LABELS[at % len(LABELS)]
        question = Question(
            id=f"case-{at:04d}",
            benchmark="dermbench",
            group=f"patient-{at}",
            form="narrative",
            prompt="What is it?",
            images=(),
            sha256=(),
            label=label,
            reference=f"Observation: made-up text number {at}. " * 3,
            findings={"colour": "red", "border": "sharp"},
            tone=TONES[at % len(TONES)],
        )
        yield ReportCase(
            question=question,
            picture=shown if at % 3 else None,
            no_picture="" if at % 3 else "the licence does not allow it: CC BY-NC",
            answers=tuple(
                made_answer(system, at, rng, paragraphs) for system in (*SYSTEMS, "silent")
            ),
        )


def made_answer(system: str, at: int, rng: random.Random, paragraphs: int) -> CaseAnswer:
    name = f"case-{at:04d}"
    if system == "silent":
        answer = Answer(system=system, id=name, text="", problem="empty")
        return CaseAnswer(answer, "unreadable", (made_judgement(answer, 0, unscored="empty"),))
    body = "<think> Observation: one red plaque with silver scale. Reasoning: this fits.\n\n"
    text = (body * paragraphs) + f"</think> <answer> {LABELS[at % len(LABELS)]} </answer>"
    answer = Answer(system=system, id=name, text=HOSTILE + text if at == 0 else text)
    judgements = tuple(
        made_judgement(
            answer,
            place,
            repeat=repeat,
            scores={name: float(rng.randint(2, 5)) for name in DIMENSIONS},
            rationales={name: f"{name} because & so on <b>{at}</b>" for name in DIMENSIONS},
            cut=at == 1,
        )
        for place, (_, protocol) in enumerate(JUDGES)
        for repeat in range(2 if protocol == "integers 1-5" else 1)
    )
    return CaseAnswer(answer, "exact", judgements)


def made_judgement(answer: Answer, place: int, **values: object) -> Judgement:
    judge, protocol = JUDGES[place]
    return Judgement(
        system=answer.system,
        id=answer.id,
        answer_sha256=answer.sha256,
        judge=judge,
        protocol=protocol,
        **values,
    )


def tiny_picture() -> str:
    content = BytesIO()
    Image.new("RGB", (64, 48), (200, 120, 110)).save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def made_report(number: int = 60) -> ReportData:
    """Everything at once."""
    counts = [30, 8, 6, 5, 7, 2, 1, 1]
    return ReportData(
        title=f"DermBench, made up {HOSTILE}",
        facts={"Seed": "0", "Data": "made-up text, no patients", "Commit": "0" * 40},
        systems={**SYSTEMS, "silent": "says nothing"},
        scores=tuple(made_scores(judge, protocol, number) for judge, protocol in JUDGES),
        labels=tuple(
            LabelRow(system=name, outcomes=dict(zip(LABEL_OUTCOMES, counts, strict=True)), n=60)
            for name in SYSTEMS
        ),
        classifications=(
            made_classification("ham10000", HAM, 400),
            made_classification("fitzpatrick17k", tuple(f"class {n}" for n in range(40)), 900),
        ),
        audits=(
            Audit(judge="openai/judge-1", check="repeat spread", subject="all systems",
                  measure=around(0.21, 0.04, 60), verdict="two repeats differ by this much"),
            Audit(judge="openai/judge-1", check="self-preference", subject="openai/gpt-<5>",
                  measure=None, verdict="judge and system are of one family", flagged=True),
        ),
        leaks=(
            Leak(system="base", benchmark="dermbench", cases=2, asked=60, found_by="hash",
                 treatment="scored, and shown apart"),
        ),
        notes=("All texts and scores are made up.", f"Simulated raters. {HOSTILE}"),
        num_cases=number,
        cases=lambda: made_cases(number),
    )  # fmt: skip
