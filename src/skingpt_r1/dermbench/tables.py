"""The tables of scores, one for each judge and scale, and of every metric by skin tone.

Questions that a system was trained on do not count in its row; they have a row of their own. Every
skin group is shown, the unknown as a group. Small groups are not dropped: their intervals, or that
there is none, say how little is known.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy import stats as scipy_stats

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.reading import RunReading, Scale, count_reasons
from skingpt_r1.dermbench.report.data import (
    Kind,
    LabelRow,
    ScoreTable,
    SystemScores,
    ToneRow,
    ToneTable,
)
from skingpt_r1.dermbench.systems.named import CONTROL, REFERENCE
from skingpt_r1.stats.comparison import SystemValues, compare_pairs, means, ranks
from skingpt_r1.stats.intervals import (
    Bootstrap,
    Floats,
    Integers,
    Interval,
    bootstrap_mean,
    bootstrap_share,
    count_groups,
    percentile_interval,
    ratio,
    resampled_sums,
)
from skingpt_r1.text.rubric import DIMENSIONS, Protocol
from skingpt_r1.text.taxonomy import is_malignant

TRAINED_ON = "the system was trained on it"
SEEN = "{} (cases it was trained on)"
MEAN_SCORE = "mean score"
SKIN_TONE, SKIN_TYPE = "skin tone", "Fitzpatrick type"
UNKNOWN = "unknown"
TONE_ORDER = (*(tone.value for tone in SkinTone), UNKNOWN)
TYPE_ORDER = ("I", "II", "III", "IV", "V", "VI", UNKNOWN)


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
    table = SystemValues(systems, overall, groups)
    ranked = [name for name in systems if kind_of(reading, name) == "system"]
    places = ranks(table._replace(systems=ranked, values=_columns(table, ranked)), boot)
    averages = means(table, boot)
    by_dimension = [
        means(
            SystemValues(systems, np.column_stack([own[name][:, at] for name in systems]), groups),
            boot,
        )
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
    ends: tuple[float, float],
    boot: Bootstrap,
) -> list[ToneTable]:
    """One system's metric by skin tone and by Fitzpatrick type, where the data know either.

    There is one value, or NaN, for each of the questions with these numbers; `ends` are the
    smallest and largest possible value.
    """
    questions = [reading.questions[number] for number in numbers]
    groups = [item.group for item in questions]
    positives = [_is_positive(item.label) for item in questions]
    named = (
        (SKIN_TONE, TONE_ORDER, [tone_name(item.tone) for item in questions]),
        (SKIN_TYPE, TYPE_ORDER, [type_name(item.fitzpatrick) for item in questions]),
    )
    return [
        replace(
            by_skin(values, names, groups, positives, order=order, ends=ends, boot=boot),
            system=system, metric=metric, scale=scale,
        )
        for scale, order, names in named
        if set(names) - {UNKNOWN}
    ]  # fmt: skip


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
    table = SystemValues([*DIMENSIONS, MEAN_SCORE], np.empty((0, 0)), groups)
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


def _columns(table: SystemValues, systems: Sequence[str]) -> Floats:
    places = [list(table.systems).index(name) for name in systems]
    chosen: Floats = table.values[:, places]
    return chosen


def _tones(
    reading: RunReading, table: SystemValues, protocol: Protocol, boot: Bootstrap
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
            ends=(protocol.low, protocol.high),
            boot=boot,
        )
    ]


def _days(found: Iterable[set[str]]) -> str:
    days = sorted({day for group in found for day in group})
    if not days:
        return ""
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def tone_name(tone: SkinTone | None) -> str:
    """The name of a tone's group."""
    return UNKNOWN if tone is None else tone.value


def type_name(fitzpatrick: int | None) -> str:
    """The name of a Fitzpatrick type's group."""
    return UNKNOWN if fitzpatrick is None else TYPE_ORDER[fitzpatrick - 1]


def by_skin(
    values: Floats,
    names: Sequence[str],
    groups: Sequence[str],
    positives: Sequence[bool],
    *,
    order: Sequence[str],
    ends: tuple[float, float],
    boot: Bootstrap,
) -> ToneTable:
    """Means of each skin group, with the worst group and the gap between the known ones.

    `names` are the skin groups of the cases, `groups` what is resampled together, `positives`
    whether a case is malignant, and `order` all skin groups, whether they have cases or not.
    """
    where = np.array([order.index(name) for name in names], dtype=np.int64)
    malignant = np.array(positives, dtype=bool)
    rows = []
    for place, name in enumerate(order):
        here = where == place
        scored = here & np.isfinite(values)
        own = [group for group, keep in zip(groups, scored, strict=True) if keep]
        measure = _interval(values[scored], own, ends, boot) if scored.any() else None
        found = int(here.sum()), int((here & malignant).sum()), int(scored.sum())
        rows.append(ToneRow(name, *found, measure))
    table = ToneTable(system="", metric="", rows=tuple(rows), high=ends[1])
    known = {row.name: row.measure.value for row in rows if row.measure and row.name != UNKNOWN}
    if len(known) < 2:
        return table
    places = [order.index(name) for name in known]
    gap, parity = _gaps(values, where, groups, places, boot)
    return replace(table, worst=min(known, key=known.__getitem__), gap=gap, parity=parity)


def _interval(
    values: Floats, groups: Sequence[str], ends: tuple[float, float], boot: Bootstrap
) -> Interval:
    """The bootstrap's interval, or a wider one where the bootstrap knows too little.

    A few cases that are all right would have no interval at all. Shares take the wider of the
    bootstrap and of Wilson's interval over the groups, means that of the t interval.
    """
    if np.isin(values, (0.0, 1.0)).all():
        return bootstrap_share(values, groups, **boot._asdict())
    found = bootstrap_mean(values, groups, **boot._asdict())
    if found.ends is None:
        return found
    both = [*found.ends, *_wide(values, groups, ends)]
    return Interval(found.value, min(both), max(both), found.n)


def _wide(values: Floats, groups: Sequence[str], ends: tuple[float, float]) -> tuple[float, float]:
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    count, mean = int(codes.max()) + 1, float(values.mean())
    # Variance of a ratio of group sums, as a cluster-robust standard error has it.
    rest = np.bincount(codes, weights=values - mean)
    error = np.sqrt((rest**2).sum() * count / (count - 1)) / len(values)
    reach = float(scipy_stats.t.ppf(0.975, count - 1) * error)
    return max(ends[0], mean - reach), min(ends[1], mean + reach)


def _gaps(
    values: Floats, where: Integers, groups: Sequence[str], places: Sequence[int], boot: Bootstrap
) -> tuple[Interval | None, Interval | None]:
    known = np.isfinite(values)
    here = (where[:, None] == np.array(places)) & known[:, None]
    filled = np.where(known, values, 0.0)[:, None]
    columns = np.column_stack([here * filled, here.astype(np.float64)])
    drawn = resampled_sums(columns, groups, **boot._asdict())
    n, num_groups = int(here.sum()), count_groups(groups, here)
    results = []
    for sums in (columns.sum(axis=0)[None], drawn):
        part, whole = np.split(sums, 2, axis=1)
        means = ratio(part, whole)
        top, bottom = means.max(axis=1), means.min(axis=1)  # NaN where a group was not drawn
        gap = top - bottom
        share = ratio(gap, top)
        results.append((gap, 1 - share))
    (gap, parity), (gaps, parities) = results
    # The extremes rest on the groups of two tones; what one of them hides stays unknown.
    own = columns[:, : len(places)].sum(axis=0) / here.sum(axis=0)
    fewest = int(min(num_groups[own.argmax()], num_groups[own.argmin()]))
    return (
        percentile_interval(float(gap[0]), gaps, n, fewest),
        percentile_interval(float(parity[0]), parities, n, fewest),
    )
