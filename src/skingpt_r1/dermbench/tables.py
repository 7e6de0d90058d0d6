"""The tables of scores: one for each judge and scale, never mixed, with everything that is missing.

Questions that a system was trained on do not count in its row; they have a row of their own.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from skingpt_r1.dermbench.reading import RunReading, Scale, count_reasons
from skingpt_r1.dermbench.report.data import Kind, LabelRow, ScoreTable, SystemScores, ToneTable
from skingpt_r1.dermbench.skin_tone import (
    TONE_ORDER,
    TYPE_ORDER,
    UNKNOWN,
    by_skin,
    tone_name,
    type_name,
)
from skingpt_r1.dermbench.systems.named import CONTROL, REFERENCE
from skingpt_r1.stats.comparison import Table, compare_pairs, means, ranks
from skingpt_r1.stats.intervals import Bootstrap, Floats
from skingpt_r1.text.rubric import DIMENSIONS, Protocol
from skingpt_r1.text.taxonomy import is_malignant

TRAINED_ON = "the system was trained on it"
SEEN = "{} (cases it was trained on)"
MEAN_SCORE = "mean score"
SKIN_TONE, SKIN_TYPE = "skin tone", "Fitzpatrick type"


def kind_of(reading: RunReading, system: str) -> Kind:
    """Whether a system is a control, or one that has seen the answer."""
    card = reading.cards.get(system)
    model = card.model if card else system
    if model == REFERENCE:
        return "oracle"
    return "control" if model.startswith(CONTROL) else "system"


def score_table(reading: RunReading, scale: Scale, boot: Bootstrap) -> ScoreTable:
    """What one judge says on one scale: means, ranks, pairs and skin tones.

    A system that the judge was never shown has a row without numbers.
    """
    judge, protocol = scale
    judged = reading.judged[scale]
    systems = [name for name in reading.systems if name in judged]
    groups = [question.group for question in reading.questions]
    all_scores = {name: judged[name].scores for name in systems}
    own = {name: _without(reading, name, scores) for name, scores in all_scores.items()}
    overall = np.column_stack([own[name].mean(axis=1) for name in systems])
    table = Table(systems, overall, groups)
    ranked = [name for name in systems if kind_of(reading, name) == "system"]
    places = ranks(table._replace(systems=ranked, values=_columns(table, ranked)), boot)
    averages = means(table, boot)
    by_dimension = [
        means(Table(systems, np.column_stack([own[name][:, at] for name in systems]), groups), boot)
        for at in range(len(DIMENSIONS))
    ]
    rows = []
    for name in systems:
        found = {
            dimension: interval
            for dimension, column in zip(DIMENSIONS, by_dimension, strict=True)
            if (interval := column[name]) is not None
        }
        row = _row(reading, scale, name, own[name])
        rows.append(replace(row, overall=averages[name], dimensions=found, rank=places.get(name)))
        if reading.overlapping(name):
            rows.append(_seen_row(reading, name, all_scores[name], boot))
    never = np.full((len(groups), len(DIMENSIONS)), np.nan)
    rows += [_row(reading, scale, name, never) for name in reading.systems if name not in judged]
    rows.sort(key=lambda row: -np.inf if row.overall is None else row.overall.value, reverse=True)
    return ScoreTable(
        judge=judge,
        protocol=protocol,
        rows=tuple(rows),
        pairs=tuple(compare_pairs(table, boot)),
        tones=tuple(_tones(reading, table, Protocol(protocol), boot)),
        judged_on=_days(judged[name].days for name in systems),
    )


def tone_tables(
    reading: RunReading,
    numbers: Sequence[int],
    system: str,
    values: Floats,
    *,
    metric: str,
    scale: tuple[float, float],
    boot: Bootstrap,
) -> list[ToneTable]:
    """One system's metric by skin tone and by Fitzpatrick type, where the data know either.

    Args:
        reading: the run.
        numbers: of the questions that the values are of.
        system: its name.
        values: one for each of these questions; NaN where there is none.
        metric: what the values are.
        scale: their smallest and largest possible value.
        boot: of the bootstrap.
    """
    questions = [reading.questions[number] for number in numbers]
    named = (
        (SKIN_TONE, TONE_ORDER, [tone_name(item.tone) for item in questions]),
        (SKIN_TYPE, TYPE_ORDER, [type_name(item.fitzpatrick) for item in questions]),
    )
    return [
        ToneTable(
            system=system,
            metric=metric,
            scale=title,
            gaps=by_skin(
                values,
                names,
                [item.group for item in questions],
                [_is_positive(item.label) for item in questions],
                order=order,
                scale=scale,
                boot=boot,
            ),
            high=scale[1],
        )
        for title, order, names in named
        if set(names) - {UNKNOWN}
    ]


def label_rows(reading: RunReading) -> list[LabelRow]:
    """The diagnoses beside the labels, for written narratives.

    Questions that were not asked, or that a system was trained on, do not count.
    """
    rows = []
    for system in reading.systems:
        seen = reading.overlapping(system)
        verdicts = [
            said.verdict
            for identity, said in reading.said[system].items()
            if said.verdict and identity not in seen
        ]
        counts = Counter(item.match.value for item in verdicts)
        if verdicts:
            rows.append(LabelRow(system=system, outcomes=counts, n=len(verdicts)))
    return rows


@lru_cache(maxsize=4096)
def _is_positive(label: str) -> bool:
    return label.startswith("malignant") or bool(is_malignant(label))


def _without(reading: RunReading, system: str, scores: Floats) -> Floats:
    """The scores with those of the questions that the system was trained on left out."""
    seen = [reading.place[identity] for identity in reading.overlapping(system)]
    own = scores.copy()
    own[seen] = np.nan
    return own


def _row(reading: RunReading, scale: Scale, system: str, own: Floats) -> SystemScores:
    """What was asked and what is scored; the numbers are still missing."""
    judged = reading.judged[scale].get(system)
    scored = int(np.isfinite(own[:, 0]).sum())
    reasons = count_reasons(reading, scale, system)
    if judged is not None:
        reasons[TRAINED_ON] = int(np.isfinite(judged.scores[:, 0]).sum()) - scored
    return SystemScores(
        system=system,
        kind=kind_of(reading, system),
        overall=None,
        dimensions={},
        scored=scored,
        asked=len(reading.questions),
        unscored={reason: count for reason, count in reasons.most_common() if count},
        cut=0 if judged is None else len(judged.cut),
    )


def _seen_row(reading: RunReading, system: str, scores: Floats, boot: Bootstrap) -> SystemScores:
    """The questions that the system was trained on, apart."""
    seen = sorted(reading.place[identity] for identity in reading.overlapping(system))
    groups = [reading.questions[number].group for number in seen]
    table = Table([*DIMENSIONS, MEAN_SCORE], np.empty((0, 0)), groups)
    values = np.column_stack([scores[seen], scores[seen].mean(axis=1)])
    found = means(table._replace(values=values), boot)
    overall = found.pop(MEAN_SCORE)
    return SystemScores(
        system=SEEN.format(system),
        kind="oracle",
        overall=overall,
        dimensions={name: value for name, value in found.items() if value is not None},
        scored=int(np.isfinite(scores[seen, 0]).sum()),
        asked=len(seen),
    )


def _columns(table: Table, systems: Sequence[str]) -> Floats:
    places = [list(table.systems).index(name) for name in systems]
    chosen: Floats = table.values[:, places]
    return chosen


def _tones(
    reading: RunReading, table: Table, protocol: Protocol, boot: Bootstrap
) -> list[ToneTable]:
    numbers = range(len(reading.questions))
    return [
        item
        for place, name in enumerate(table.systems)
        for item in tone_tables(
            reading,
            numbers,
            name,
            table.values[:, place],
            metric=MEAN_SCORE,
            scale=(protocol.low, protocol.high),
            boot=boot,
        )
    ]


def _days(found: Iterable[set[str]]) -> str:
    days = sorted({day for group in found for day in group})
    if not days:
        return ""
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
