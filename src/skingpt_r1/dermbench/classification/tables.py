"""The tables of classification: one for each benchmark and way of reading the answers.

A question with candidates is read twice: by the text that was generated, and by the likeliest
candidate. What could not be read is wrong in both; a system that never tells probabilities has no
numbers in the second. Questions that a system was trained on do not count in its row.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from skingpt_r1.dermbench.classification.labels import LabelSet
from skingpt_r1.dermbench.classification.match import MatchedLabel
from skingpt_r1.dermbench.questions import benchmark_title
from skingpt_r1.dermbench.reading import NOT_ASKED, RunReading, Said, label_sets_of
from skingpt_r1.dermbench.report.data import (
    Calibration,
    Classification,
    ClassifierRow,
    Confusion,
    ToneTable,
)
from skingpt_r1.dermbench.tables import TRAINED_ON, kind_of, tone_tables
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.classification import (
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
from skingpt_r1.stats.comparison import Comparison, Table, compare_pairs, ranks
from skingpt_r1.stats.intervals import Bootstrap, Interval

TEXT = "generated text"
LIKELIHOOD = "candidate likelihood"


class Classified(NamedTuple):
    """A benchmark as a report shows it, and the numbers that only `results.json` holds."""

    part: Classification
    rows: tuple[ResultRow, ...]


class _Set(NamedTuple):
    """One benchmark, read in one way."""

    reading: RunReading
    title: str
    labels: LabelSet
    form: str
    numbers: tuple[int, ...]
    read: Callable[[Said], MatchedLabel | None]
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
) -> list[Classified]:
    """Every classification benchmark of a run, in the order of its questions.

    Args:
        reading: the run.
        boot: of the intervals.
        baseline: a system that the others are compared with.
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
        labels = sets[benchmark]
        name = TEXT if form != "label" else f"{TEXT}, asked for the label"
        item = _Set(reading, title, labels, name, numbers, lambda said: said.matched, weighed=False)
        yield item
        if form == "candidates":
            yield item._replace(form=LIKELIHOOD, read=lambda said: said.weighed, weighed=True)


def _table(item: _Set, boot: Bootstrap, baseline: str | None) -> Classified:
    systems = [_system(item, name) for name in item.reading.systems]
    counted = [system for system in systems if system.is_measured]
    compared = _comparisons(item, systems, boot, baseline)
    gains = {pair.first: pair for pair in compared if pair.second == baseline}
    rows = tuple(
        ClassifierRow(
            system=system.name,
            metrics=classification_metrics(system.said, boot) if system.is_measured else {},
            asked=len(item.numbers),
            unread=int((system.said.predicted == UNMATCHED).sum()),
            kind=kind_of(item.reading, system.name),
            gain=gains.get(system.name),
        )
        for system in systems
    )
    part = Classification(
        benchmark=item.title,
        form=item.form,
        rows=rows,
        baseline=baseline,
        confusions=tuple(_confusion(system, boot) for system in counted),
        tones=tuple(table for system in counted for table in _tones(item, system, boot)),
        calibrations=tuple(found for system in counted for found in _calibration(system, boot)),
    )
    table = f"classification, {item.title}, {item.form}"
    extra = [
        *_reason_rows(table, systems),
        *_pair_rows(table, [] if baseline else compared),
        *_rank_rows(table, item, counted, boot),
    ]
    return Classified(part, tuple(extra))


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
        match = None if said is None else item.read(said)
        if match is None or match.label is None:
            reasons[NOT_ASKED if match is None else match.reason or ""] += 1
        kept.append(number)
        labels.append(place[question.label])
        predicted.append(place[match.label] if match is not None and match.label else UNMATCHED)
        chances.append(None if said is None or not item.weighed else said.chances)
    missing = (np.nan,) * len(place)
    rows = [missing if chance is None else chance for chance in chances]
    given = any(chance is not None for chance in chances)
    return _System(
        name,
        tuple(kept),
        Predictions(
            item.labels.labels,
            np.array(labels, dtype=np.int64),
            np.array(predicted, dtype=np.int64),
            [item.reading.questions[number].group for number in kept],
            np.array(rows, dtype=np.float64) if given else None,
        ),
        reasons,
        is_measured=bool(kept) and (given or not item.weighed),
    )


def _right(item: _Set, systems: Sequence[_System]) -> Table:
    """Right and wrong of all systems on the questions of the set; NaN where one does not count."""
    row_of = {number: row for row, number in enumerate(item.numbers)}
    values = np.full((len(item.numbers), len(systems)), np.nan)
    for column, system in enumerate(systems):
        if system.is_measured:
            values[[row_of[number] for number in system.numbers], column] = system.said.right
    groups = [item.reading.questions[number].group for number in item.numbers]
    return Table([system.name for system in systems], values, groups)


def _comparisons(
    item: _Set, systems: Sequence[_System], boot: Bootstrap, baseline: str | None
) -> list[Comparison]:
    if len(systems) < 2:
        return []
    return compare_pairs(_right(item, systems), boot, baseline=baseline, binary=True)


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


def _calibration(system: _System, boot: Bootstrap) -> list[Calibration]:
    confidence, right, groups = confidences(system.said)
    if not len(right):
        return []
    return [
        Calibration(
            system=system.name,
            measures=calibration_metrics(system.said, boot),
            bins=tuple(reliability(confidence, right, groups, boot)),
            risk=shown_curve(risk_coverage(confidence, right)),
            abstentions=tuple(
                abstention(confidence, right, groups, wanted, boot) for wanted in WANTED_RISKS
            ),
        )
    ]


def _tones(item: _Set, system: _System, boot: Bootstrap) -> list[ToneTable]:
    return tone_tables(
        item.reading,
        system.numbers,
        system.name,
        system.said.right,
        metric="accuracy",
        scale=(0.0, 1.0),
        boot=boot,
    )


def _reason_rows(table: str, systems: Sequence[_System]) -> Iterator[ResultRow]:
    """Why answers could not be read."""
    for system in systems:
        for reason, count in system.reasons.most_common():
            yield _plain(table, system.name, f"unmatched, {reason}", count, len(system.numbers))


def _pair_rows(table: str, compared: Sequence[Comparison]) -> Iterator[ResultRow]:
    for pair in compared:
        name = f"{pair.first} - {pair.second}"
        yield _row(table, name, "difference of the accuracy", pair.difference)
        yield _plain(table, name, "p after Holm's correction", pair.p_holm, pair.difference.n)


def _rank_rows(
    table: str, item: _Set, systems: Sequence[_System], boot: Bootstrap
) -> Iterator[ResultRow]:
    chosen = [system for system in systems if kind_of(item.reading, system.name) == "system"]
    if len(chosen) > 1:
        for name, rank in ranks(_right(item, chosen), boot).items():
            if rank is not None:
                yield _row(table, name, "rank", rank)


def _row(table: str, system: str, metric: str, measure: Interval) -> ResultRow:
    value, low, high, n = measure
    return ResultRow(
        table=table, system=system, metric=metric, value=value, low=low, high=high, n=n
    )


def _plain(table: str, system: str, metric: str, value: float, n: int) -> ResultRow:
    return ResultRow(table=table, system=system, metric=metric, value=float(value), n=n)
