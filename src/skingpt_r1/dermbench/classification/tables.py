"""The tables of classification: one for each benchmark and way of reading the answers.

A question with candidates is read twice: by the text that was generated, and by the likeliest
candidate. What could not be read is wrong in both; a system that never tells probabilities has no
numbers in the second. Questions that a system was trained on do not count in its row.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from skingpt_r1.dermbench.classification.labels import LabelSet
from skingpt_r1.dermbench.questions import benchmark_title
from skingpt_r1.dermbench.reading import NOT_ASKED, RunReading, label_sets_of
from skingpt_r1.dermbench.report.data import (
    CLASS_METRICS,
    NO_LABEL,
    RANK,
    Calibration,
    Confusion,
    ResultTable,
    at_most,
    compared,
    counted,
    gain_over,
    measured,
)
from skingpt_r1.dermbench.tables import TRAINED_ON, Measures, kind_of, tone_tables
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.classification import (
    ACCURACY,
    UNMATCHED,
    WANTED_RISKS,
    Predictions,
    abstention,
    calibration_metrics,
    class_scores,
    classification_metrics,
    confidences,
    reliability,
    risk_coverage,
    shown_curve,
)
from skingpt_r1.stats.comparison import Comparison, SystemValues, compare_pairs, ranks
from skingpt_r1.stats.intervals import Bootstrap, wilson

TEXT = "generated text"
LIKELIHOOD = "candidate likelihood"


class _Set(NamedTuple):
    """One benchmark, read by the text or (`weighed`) by the likeliest candidate."""

    reading: RunReading
    title: str
    labels: LabelSet
    form: str
    numbers: tuple[int, ...]
    weighed: bool


class _System(NamedTuple):
    """One system on it: the questions that count for it, and what was said.

    `is_measured` is False where there is nothing to measure: no question, or probabilities that
    the system does not tell.
    """

    name: str
    numbers: tuple[int, ...]
    said: Predictions
    reasons: Counter[str]
    is_measured: bool


def classification_tables(
    reading: RunReading, boot: Bootstrap, baseline: str | None = None
) -> list[ResultTable]:
    """Every classification benchmark of a run, in the order of its questions.

    The other systems are compared with the baseline; without one all are compared in pairs.
    """
    return [_table(item, boot, baseline) for item in _sets(reading)]


def _sets(reading: RunReading) -> Iterator[_Set]:
    sets = label_sets_of(reading.questions)
    forms = dict.fromkeys((item.benchmark, item.form) for item in reading.questions)
    for benchmark, form in forms:
        if benchmark not in sets:
            continue
        numbers = tuple(
            number
            for number, item in enumerate(reading.questions)
            if (item.benchmark, item.form) == (benchmark, form)
        )
        title = benchmark_title(reading.questions[numbers[0]])
        name = TEXT if form != "label" else f"{TEXT}, asked for the label"
        item = _Set(reading, title, sets[benchmark], name, numbers, weighed=False)
        yield item
        if form == "candidates":
            yield item._replace(form=LIKELIHOOD, weighed=True)


def _table(item: _Set, boot: Bootstrap, baseline: str | None) -> ResultTable:
    name = f"classification, {item.title}, {item.form}"
    systems = [_system(item, system) for system in item.reading.systems]
    kinds = {system.name: kind_of(item.reading, system.name) for system in systems}
    pairs = []
    if len(systems) > 1:
        pairs = compare_pairs(_right(item, systems), boot, baseline=baseline, binary=True)
    gains = {pair.first: pair for pair in pairs if pair.second == baseline}
    rows: list[ResultRow] = []
    for system in systems:
        rows += measured(name, system.name, _metrics(system, len(item.numbers), boot))
        if system.name in gains:
            rows += compared(name, gains[system.name], gain_over(baseline), system.name)
    known = [system for system in systems if system.is_measured]
    for system in known:
        rows += measured(name, system.name, _class_measures(system, boot))
    answers = [(system.name, system.numbers, system.said.right) for system in known]
    tones = tone_tables(item.reading, answers, boot, metric=ACCURACY, ends=(0.0, 1.0))
    calibrations = [found for system in known for found in _calibration(system, boot)]
    for tone, means in tones:
        rows += measured(name, tone.system, means)
    for calibration, measures in calibrations:
        rows += measured(name, calibration.system, measures)
    return ResultTable(
        kind="classification",
        of=(item.title, item.form),
        systems=kinds,
        rows=tuple(rows),
        rest=tuple(_rest(item, name, systems, [] if baseline else pairs, boot)),
        baseline=baseline,
        test=pairs[0].test if pairs else "",
        tones=tuple(tone for tone, _ in tones),
        confusions=tuple(_confusion(system) for system in known),
        calibrations=tuple(calibration for calibration, _ in calibrations),
    )


def _metrics(system: _System, asked: int, boot: Bootstrap) -> Measures:
    found = classification_metrics(system.said, boot) if system.is_measured else {}
    return {**found, NO_LABEL: wilson(int((system.said.predicted == UNMATCHED).sum()), asked)}


def _class_measures(system: _System, boot: Bootstrap) -> Measures:
    found: Measures = {}
    for score in class_scores(system.said, boot):
        values = (score.recall, score.precision, score.f1)
        for metric, value in zip(CLASS_METRICS, values, strict=True):
            found[f"{metric}, {score.label}"] = value
    return found


def _rest(
    item: _Set, name: str, systems: Sequence[_System], pairs: list[Comparison], boot: Bootstrap
) -> Iterator[ResultRow]:
    """Why answers were not read, all pairs of systems, and their ranks by accuracy."""
    for system in systems:
        reasons = dict(system.reasons.most_common())
        yield from measured(name, system.name, counted("unmatched", reasons, len(system.numbers)))
    for pair in pairs:
        yield from compared(name, pair, "difference of the accuracy")
    ranked = [
        system
        for system in systems
        if system.is_measured and kind_of(item.reading, system.name) == "system"
    ]
    places = ranks(_right(item, ranked), boot) if len(ranked) > 1 else {}
    for place, found in places.items():
        yield from measured(name, place, {RANK: found})


def _system(item: _Set, name: str) -> _System:
    place = {label: number for number, label in enumerate(item.labels.labels)}
    seen = item.reading.overlapping(name)
    kept, labels, predicted, chances = [], [], [], []
    reasons: Counter[str] = Counter()
    for number in item.numbers:
        question = item.reading.questions[number]
        if question.id in seen:
            reasons[TRAINED_ON] += 1
            continue
        said = item.reading.said[name].get(question.id)
        match = None
        if said is not None:
            match = said.weighed if item.weighed else said.matched
        if match is None or match.label is None:
            reasons[NOT_ASKED if match is None else match.reason or ""] += 1
        kept.append(number)
        labels.append(place[question.label])
        predicted.append(place[match.label] if match is not None and match.label else UNMATCHED)
        chances.append(said.chances if said is not None and item.weighed else None)
    given = any(chance is not None for chance in chances)
    missing = (np.nan,) * len(place)
    rows = [missing if chance is None else chance for chance in chances]
    predictions = Predictions(
        item.labels.labels,
        np.array(labels, dtype=np.int64),
        np.array(predicted, dtype=np.int64),
        [item.reading.questions[number].group for number in kept],
        np.array(rows, dtype=np.float64) if given else None,
    )
    is_measured = bool(kept) and (given or not item.weighed)
    return _System(name, tuple(kept), predictions, reasons, is_measured)


def _right(item: _Set, systems: Sequence[_System]) -> SystemValues:
    """Right and wrong of all systems on the questions of the set; NaN where one does not count."""
    row_of = {number: row for row, number in enumerate(item.numbers)}
    values = np.full((len(item.numbers), len(systems)), np.nan)
    for column, system in enumerate(systems):
        if system.is_measured:
            values[[row_of[number] for number in system.numbers], column] = system.said.right
    groups = [item.reading.questions[number].group for number in item.numbers]
    return SystemValues([system.name for system in systems], values, groups)


def _confusion(system: _System) -> Confusion:
    said = system.said
    count = len(said.classes)
    counts = np.zeros((count, count + 1), dtype=np.int64)
    columns = np.where(said.predicted == UNMATCHED, count, said.predicted)
    np.add.at(counts, (said.labels, columns), 1)
    rows = tuple(tuple(row) for row in counts.tolist())
    return Confusion(system=system.name, classes=said.classes, counts=rows)


def _calibration(system: _System, boot: Bootstrap) -> Iterator[tuple[Calibration, Measures]]:
    """One table, or none where no answer has probabilities."""
    confidence, right, groups = confidences(system.said)
    if not len(right):
        return
    measures = dict(calibration_metrics(system.said, boot))
    thresholds = {}
    for wanted in WANTED_RISKS:
        tried = abstention(confidence, right, groups, wanted, boot)
        thresholds[wanted] = tried.threshold
        measures[at_most("coverage", wanted)] = tried.coverage
        measures[at_most("risk", wanted)] = tried.risk
    found = Calibration(
        system=system.name,
        bins=tuple(reliability(confidence, right, groups, boot)),
        risk=shown_curve(risk_coverage(confidence, right)),
        thresholds=thresholds,
    )
    yield found, measures
