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
    COVERAGE,
    DIFFERENCE,
    MEAN_SCORE,
    RANK,
    UNSCORED,
    Kind,
    ResultTable,
    SkinGroup,
    ToneTable,
    compared,
    counted,
    measured,
)
from skingpt_r1.dermbench.systems.named import CONTROL, REFERENCE
from skingpt_r1.records import ResultRow
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
    wilson,
)
from skingpt_r1.text.rubric import DIMENSIONS, Protocol
from skingpt_r1.text.taxonomy import is_malignant

TRAINED_ON = "the system was trained on it"
SEEN = "{} (cases it was trained on)"
SKIN_TONE, SKIN_TYPE = "skin tone", "Fitzpatrick type"
UNKNOWN = "unknown"
TONE_ORDER = (*(tone.value for tone in SkinTone), UNKNOWN)
TYPE_ORDER = ("I", "II", "III", "IV", "V", "VI", UNKNOWN)
ORDER = {SKIN_TONE: TONE_ORDER, SKIN_TYPE: TYPE_ORDER}
Measures = dict[str, Interval | None]


def kind_of(reading: RunReading, system: str) -> Kind:
    """Whether a system is a control, or one that has seen the answer."""
    card = reading.cards.get(system)
    model = card.model if card else system
    if model == REFERENCE:
        return "oracle"
    return "control" if model.startswith(CONTROL) else "system"


def score_table(reading: RunReading, scale: Scale, boot: Bootstrap) -> ResultTable:
    """What one judge says on one scale: means, ranks, pairs and skin tones.

    A system that the judge was never shown has counts, and no other number.
    """
    name = ", ".join(("scores", *scale))
    judged = reading.judged[scale]
    systems = [system for system in reading.systems if system in judged]
    kinds = {system: kind_of(reading, system) for system in reading.systems}
    own = {system: _own_scores(reading, scale, system) for system in systems}
    overall = np.column_stack([own[system].mean(axis=1) for system in systems])
    values = SystemValues(systems, overall, [question.group for question in reading.questions])
    averages = {MEAN_SCORE: means(values, boot)}
    for at, dimension in enumerate(DIMENSIONS):
        columns = np.column_stack([own[system][:, at] for system in systems])
        averages[dimension] = means(values._replace(values=columns), boot)
    ranked = [column for column, system in enumerate(systems) if kinds[system] == "system"]
    competing = SystemValues([systems[at] for at in ranked], overall[:, ranked], values.groups)
    averages[RANK] = ranks(competing, boot)
    measures: dict[str, Measures] = {}
    for system in reading.systems:
        found = {metric: average.get(system) for metric, average in averages.items()}
        measures[system] = found | _counts(reading, scale, system, own.get(system))
        if system in judged and reading.overlapping(system):
            apart = SEEN.format(system)
            kinds[apart] = "oracle"
            measures[apart] = _seen(reading, scale, system, boot)
    order = sorted(measures, key=lambda system: _mean(measures[system]), reverse=True)
    rows = [row for system in order for row in measured(name, system, measures[system])]
    pairs = compare_pairs(values, boot)
    rows += [row for pair in pairs for row in compared(name, pair, DIFFERENCE)]
    every, protocol = range(len(reading.questions)), Protocol(scale[1])
    tones = tone_tables(
        reading,
        [(system, every, overall[:, column]) for column, system in enumerate(systems)],
        boot,
        metric=MEAN_SCORE,
        ends=(protocol.low, protocol.high),
    )
    rows += [row for tone, found in tones for row in measured(name, tone.system, found)]
    return ResultTable(
        kind="scores",
        of=scale,
        systems={system: kinds[system] for system in order},
        rows=tuple(rows),
        pairs=tuple((pair.first, pair.second) for pair in pairs),
        judged_on=_days(judged[system].days for system in systems),
        cut={system: len(judged[system].cut) for system in systems},
        tones=tuple(tone for tone, _ in tones),
    )


def tone_tables(
    reading: RunReading,
    said: Iterable[tuple[str, Sequence[int], Floats]],
    boot: Bootstrap,
    *,
    metric: str,
    ends: tuple[float, float],
) -> list[tuple[ToneTable, Measures]]:
    """A metric of systems by skin tone and by Fitzpatrick type, where the data know either.

    Of each system, the numbers of its questions, and a value (or NaN) for each of these; `ends`
    are the smallest and largest possible value.
    """
    found = []
    for system, numbers, values in said:
        questions = [reading.questions[number] for number in numbers]
        groups = [item.group for item in questions]
        positives = [_is_positive(item.label) for item in questions]
        named = {
            SKIN_TONE: [tone_name(item.tone) for item in questions],
            SKIN_TYPE: [type_name(item.fitzpatrick) for item in questions],
        }
        for scale, names in named.items():
            if set(names) - {UNKNOWN}:
                table = ToneTable(system=system, metric=metric, scale=scale, high=ends[1])
                found.append(
                    by_skin(table, values, names, groups, positives, low=ends[0], boot=boot)
                )
    return found


def label_table(reading: RunReading) -> ResultTable | None:
    """The diagnoses beside the labels, for written narratives; None where there are none.

    Questions that were not asked, or that a system was trained on, do not count.
    """
    kinds: dict[str, Kind] = {}
    rows: list[ResultRow] = []
    for system in reading.systems:
        seen = reading.overlapping(system)
        found = Counter(
            said.verdict.value
            for identity, said in reading.said[system].items()
            if said.verdict and identity not in seen
        )
        if found:
            kinds[system] = kind_of(reading, system)
            shares = {outcome: wilson(count, found.total()) for outcome, count in found.items()}
            rows += measured("labels", system, shares)
    return ResultTable(kind="labels", systems=kinds, rows=tuple(rows)) if rows else None


@lru_cache(maxsize=4096)
def _is_positive(label: str) -> bool:
    return label.startswith("malignant") or bool(is_malignant(label))


def _own_scores(reading: RunReading, scale: Scale, system: str) -> Floats:
    """The scores with those of the questions that the system was trained on left out."""
    own = reading.scores(scale, system)
    own[[reading.place[identity] for identity in reading.overlapping(system)]] = np.nan
    return own


def _counts(reading: RunReading, scale: Scale, system: str, own: Floats | None) -> Measures:
    """The share of questions that is scored, and why the others are not."""
    scored = 0 if own is None else int(np.isfinite(own[:, 0]).sum())
    reasons = count_reasons(reading, scale, system)
    if own is not None:
        reasons[TRAINED_ON] = len(reading.judged[scale][system].scores) - scored
    unscored = {reason: count for reason, count in reasons.most_common() if count}
    n = len(reading.questions)
    return {COVERAGE: wilson(scored, n), **counted(UNSCORED, unscored, n)}


def _seen(reading: RunReading, scale: Scale, system: str, boot: Bootstrap) -> Measures:
    """The questions that the system was trained on, apart."""
    seen = sorted(reading.place[identity] for identity in reading.overlapping(system))
    groups = [reading.questions[number].group for number in seen]
    scores = reading.scores(scale, system)[seen]
    values = np.column_stack([scores, scores.mean(axis=1)])
    found = means(SystemValues([*DIMENSIONS, MEAN_SCORE], values, groups), boot)
    scored = int(np.isfinite(scores[:, 0]).sum())
    return {MEAN_SCORE: found.pop(MEAN_SCORE), **found, COVERAGE: wilson(scored, len(seen))}


def _mean(measures: Measures) -> float:
    found = measures[MEAN_SCORE]
    return -np.inf if found is None else found.value


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
    table: ToneTable,
    values: Floats,
    names: Sequence[str],
    groups: Sequence[str],
    positives: Sequence[bool],
    *,
    low: float,
    boot: Bootstrap,
) -> tuple[ToneTable, Measures]:
    """Means of each skin group, with the worst group and the gap between the known ones.

    Every group of the table's scale has a place, whether it has cases or not. `names` are the skin
    groups of the cases, `groups` what is resampled together, `positives` whether a case is
    malignant, and `low` is the smallest possible value.
    """
    order = ORDER[table.scale]
    where = np.array([order.index(name) for name in names], dtype=np.int64)
    malignant = np.array(positives, dtype=bool)
    sizes, means = [], {}
    for place, name in enumerate(order):
        here = where == place
        scored = here & np.isfinite(values)
        own = [group for group, keep in zip(groups, scored, strict=True) if keep]
        if own:
            means[name] = _interval(values[scored], own, (low, table.high), boot)
        sizes.append(SkinGroup(name, int(here.sum()), int((here & malignant).sum()), len(own)))
    table = replace(table, groups=tuple(sizes))
    measures: Measures = {table.mean(name): mean for name, mean in means.items()}
    known = {name: mean.value for name, mean in means.items() if name != UNKNOWN}
    if len(known) < 2:
        return table, measures
    places = [order.index(name) for name in known]
    measures[table.gap], measures[table.parity] = _gaps(values, where, groups, places, boot)
    return replace(table, worst=min(known, key=known.__getitem__)), measures


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
