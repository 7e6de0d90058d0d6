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
    Calibration,
    Classification,
    ClassifierRow,
    Confusion,
    ToneTable,
)
from skingpt_r1.dermbench.tables import TRAINED_ON, kind_of, tone_tables
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
from skingpt_r1.stats.comparison import SystemValues, compare_pairs, ranks
from skingpt_r1.stats.intervals import Bootstrap

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


def classified_tables(
    reading: RunReading, boot: Bootstrap, baseline: str | None = None
) -> tuple[Classification, ...]:
    """Every classification benchmark of a run, in the order of its questions.

    The other systems are compared with the baseline; without one all are compared in pairs.
    """
    return tuple(_table(item, boot, baseline) for item in _sets(reading))


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


def _table(item: _Set, boot: Bootstrap, baseline: str | None) -> Classification:
    systems = [_system(item, name) for name in item.reading.systems]
    measured = [system for system in systems if system.is_measured]
    kinds = {name: kind_of(item.reading, name) for name in item.reading.systems}
    ranked = [system for system in measured if kinds[system.name] == "system"]
    places = ranks(_right(item, ranked), boot) if len(ranked) > 1 else {}
    pairs = []
    if len(systems) > 1:
        pairs = compare_pairs(_right(item, systems), boot, baseline=baseline, binary=True)
    gains = {pair.first: pair for pair in pairs if pair.second == baseline}
    rows = tuple(
        ClassifierRow(
            system=system.name,
            metrics=classification_metrics(system.said, boot) if system.is_measured else {},
            asked=len(item.numbers),
            counted=len(system.numbers),
            unread=int((system.said.predicted == UNMATCHED).sum()),
            unmatched=dict(system.reasons.most_common()),
            kind=kinds[system.name],
            rank=places.get(system.name),
            gain=gains.get(system.name),
        )
        for system in systems
    )
    return Classification(
        benchmark=item.title,
        form=item.form,
        rows=rows,
        baseline=baseline,
        pairs=() if baseline else tuple(pairs),
        confusions=tuple(_confusion(system, boot) for system in measured),
        tones=tuple(table for system in measured for table in _tones(item, system, boot)),
        calibrations=tuple(found for system in measured for found in _calibration(system, boot)),
    )


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
    measured = bool(kept) and (given or not item.weighed)
    return _System(name, tuple(kept), predictions, reasons, measured)


def _right(item: _Set, systems: Sequence[_System]) -> SystemValues:
    """Right and wrong of all systems on the questions of the set; NaN where one does not count."""
    row_of = {number: row for row, number in enumerate(item.numbers)}
    values = np.full((len(item.numbers), len(systems)), np.nan)
    for column, system in enumerate(systems):
        if system.is_measured:
            values[[row_of[number] for number in system.numbers], column] = system.said.right
    groups = [item.reading.questions[number].group for number in item.numbers]
    return SystemValues([system.name for system in systems], values, groups)


def _confusion(system: _System, boot: Bootstrap) -> Confusion:
    said = system.said
    count = len(said.classes)
    counts = np.zeros((count, count + 1), dtype=np.int64)
    columns = np.where(said.predicted == UNMATCHED, count, said.predicted)
    np.add.at(counts, (said.labels, columns), 1)
    return Confusion(
        system=system.name,
        classes=said.classes,
        counts=tuple(tuple(row) for row in counts.tolist()),
        scores=tuple(class_scores(said, boot)),
    )


def _calibration(system: _System, boot: Bootstrap) -> Iterator[Calibration]:
    """One table, or none where no answer has probabilities."""
    confidence, right, groups = confidences(system.said)
    if not len(right):
        return
    yield Calibration(
        system=system.name,
        measures=calibration_metrics(system.said, boot),
        bins=tuple(reliability(confidence, right, groups, boot)),
        risk=shown_curve(risk_coverage(confidence, right)),
        abstentions=tuple(
            abstention(confidence, right, groups, wanted, boot) for wanted in WANTED_RISKS
        ),
    )


def _tones(item: _Set, system: _System, boot: Bootstrap) -> list[ToneTable]:
    right = system.said.right
    return tone_tables(
        item.reading,
        system.numbers,
        system.name,
        right,
        metric=ACCURACY,
        ends=(0.0, 1.0),
        boot=boot,
    )
