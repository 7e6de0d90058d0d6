"""A made-up report: two scales, controls, leaks, hostile texts, lost answers."""

import base64
import random
from collections.abc import Iterator
from io import BytesIO
from itertools import combinations

from PIL import Image

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.dermbench.report.data import (
    LABEL_OUTCOMES,
    OVERLAP,
    Audit,
    Calibration,
    CaseAnswer,
    Confusion,
    ReportCase,
    ReportData,
    ResultTable,
    SkinGroup,
    ToneTable,
    at_most,
    compared,
    counted,
    measured,
)
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.classification import BRIER, ECE, Bin
from skingpt_r1.stats.comparison import Comparison
from skingpt_r1.stats.intervals import Interval, wilson
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


def made_scores(judge: str, protocol: str, n: int) -> ResultTable:
    name = f"scores, {judge}, {protocol}"
    overall = {name: 4.1 - 0.45 * at for at, name in enumerate(SYSTEMS)}
    overall["control/reference"] = 4.9
    order = sorted(overall, key=lambda name: -overall[name])
    kinds = dict(zip(SYSTEMS, KINDS, strict=True))
    rows = []
    for place, system in enumerate(order):
        dimensions = {
            part: around(min(overall[system] + 0.1 * (at - 3), 4.95), 0.12, n)
            for at, part in enumerate(DIMENSIONS)
        }
        rank = around(float(place), 0.4, n) if kinds[system] == "system" else None
        counts = {
            "coverage": wilson(n - 3, n),
            **counted("unscored", {"timeout": 2, "refusal": 1}, n),
        }
        found = {"mean score": around(overall[system], 0.08, n), **dimensions, "rank": rank}
        rows += measured(name, system, {**found, **counts})
    silent = {"coverage": wilson(0, n), **counted("unscored", {"empty": n}, n)}
    rows += measured(name, "silent", silent)
    pairs = list(combinations(order, 2))
    for first, second in pairs:
        pair = made_pair(first, second, overall[first] - overall[second], n)
        rows += compared(name, pair, "difference of the mean score")
    tones = [made_tones(name, "mean score", 5.0, n) for name in order[:3]]
    return ResultTable(
        kind="scores",
        of=(judge, protocol),
        systems={system: kinds.get(system, "system") for system in (*order, "silent")},
        rows=(*rows, *tone_rows(name, tones)),
        pairs=tuple(pairs),
        cut={name: place % 2 for place, name in enumerate(order)},
        tones=tuple(tone for tone, _ in tones),
    )


def made_pair(first: str, second: str, gap: float, n: int) -> Comparison:
    p = 0.0004 if abs(gap) > 0.5 else 0.31
    return Comparison(first, second, around(gap, 0.5, n), "paired bootstrap", p / 10, p)


def made_tones(system: str, metric: str, high: float, n: int) -> tuple[ToneTable, dict]:
    groups = (
        SkinGroup("light", n, n // 5, n),
        SkinGroup("medium", n // 2, 0, n // 2 - 1),
        SkinGroup("dark", 4, 0, 4),
        SkinGroup("unknown", 0, 0, 0),
    )
    table = ToneTable(
        system=system, metric=metric, scale="skin tone", groups=groups, worst="dark", high=high
    )
    return table, {
        table.mean("light"): around(0.8 * high, 0.03 * high, n),
        table.mean("medium"): around(0.74 * high, 0.05 * high, n // 2 - 1),
        table.mean("dark"): around(0.6 * high, 0.3 * high, 4),
        table.gap: Interval(0.2 * high, -0.1 * high, 0.5 * high, n),
        table.parity: Interval(0.75, 0.6, 0.9, n),
    }


def tone_rows(name: str, tones: list[tuple[ToneTable, dict]]) -> list[ResultRow]:
    return [row for tone, means in tones for row in measured(name, tone.system, means)]


def made_classification(benchmark: str, classes: tuple[str, ...], n: int) -> ResultTable:
    name = f"classification, {benchmark}, candidates"
    rng = random.Random(3)
    names = list(SYSTEMS)[:5]
    rows = []
    for place, system in enumerate(names):
        metrics = {
            "accuracy": around(0.71 - 0.1 * place, 0.03, n),
            "balanced accuracy": around(0.66 - 0.1 * place, 0.04, n),
            "macro-F1": around(0.62 - 0.1 * place, 0.04, n),
            "top-3 accuracy": None if place == 3 else around(0.9 - 0.1 * place, 0.02, n),
            "no label": wilson(place, n),
        }
        rows += measured(name, system, metrics)
        if system != "base":
            pair = made_pair(system, "base", 0.9 - 0.4 * place, n)
            rows += compared(name, pair, "gain over base", system)
    confusions = []
    for system in names[:2]:
        counts = [
            tuple(
                rng.randint(20, 60) if row == column else rng.randint(0, 9)
                for column in range(len(classes) + 1)
            )
            for row in range(len(classes))
        ]
        half = around(0.5, 0.1, 30)
        for label in classes:
            rows += measured(name, system, {f"recall, {label}": half, f"precision, {label}": half})
        confusions.append(Confusion(system=system, classes=classes, counts=tuple(counts)))
    tones = [made_tones(system, "accuracy", 1.0, n) for system in names[:2]]
    rows += tone_rows(name, tones)
    calibrations = [made_calibration(system, 0.05 * at, n) for at, system in enumerate(names)]
    for place, system in enumerate(names):
        measures = {BRIER: around(0.3, 0.02, n), ECE: around(0.05 + 0.05 * place, 0.02, n)}
        measures[at_most("coverage", 0.2)] = around(0.6, 0.05, n // 2)
        measures[at_most("risk", 0.2)] = around(0.18, 0.04, n // 3)
        rows += measured(name, system, measures)
    return ResultTable(
        kind="classification",
        of=(benchmark, "candidates"),
        systems=dict(zip(names, KINDS, strict=False)),
        rows=tuple(rows),
        baseline="base",
        test="paired bootstrap",
        confusions=tuple(confusions),
        tones=tuple(tone for tone, _ in tones),
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
    return Calibration(system=system, bins=bins, risk=risk, thresholds={0.05: None, 0.2: 0.7})


def made_labels() -> ResultTable:
    counts = [30, 8, 6, 5, 7, 2, 1, 1]
    shares = {
        outcome: wilson(count, 60) for outcome, count in zip(LABEL_OUTCOMES, counts, strict=True)
    }
    rows = (row for system in SYSTEMS for row in measured("labels", system, shares))
    systems = dict(zip(SYSTEMS, KINDS, strict=True))
    return ResultTable(kind="labels", systems=systems, rows=tuple(rows))


def made_leaks() -> ResultTable:
    rows = measured("leaks, dermbench", "base", {OVERLAP: wilson(2, 60)})
    return ResultTable(
        kind="leaks", of=("dermbench",), systems={"base": "system"}, rows=tuple(rows)
    )


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
    return ReportData(
        title=f"DermBench, made up {HOSTILE}",
        facts={"Seed": "0", "Data": "made-up text, no patients", "Commit": "0" * 40},
        systems={**SYSTEMS, "silent": "says nothing"},
        tables=(
            *(made_scores(judge, protocol, number) for judge, protocol in JUDGES),
            made_labels(),
            made_classification("ham10000", HAM, 400),
            made_classification("fitzpatrick17k", tuple(f"class {n}" for n in range(40)), 900),
            made_leaks(),
        ),
        audits=(
            Audit(judge="openai/judge-1", check="repeat spread", subject="all systems",
                  measure=around(0.21, 0.04, 60), verdict="two repeats differ by this much"),
            Audit(judge="openai/judge-1", check="self-preference", subject="openai/gpt-<5>",
                  measure=None, verdict="judge and system are of one family", flagged=True),
        ),
        notes=("All texts and scores are made up.", f"Simulated raters. {HOSTILE}"),
        num_cases=number,
        cases=lambda: made_cases(number),
    )  # fmt: skip
