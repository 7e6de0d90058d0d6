"""A metric by skin tone and by Fitzpatrick type: every group is shown, the unknown as a group.

Small groups are not dropped: their intervals, or that there is none, say how little is known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from skingpt_r1.case import SkinTone
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

UNKNOWN = "unknown"
TONE_ORDER = (*(tone.value for tone in SkinTone), UNKNOWN)
TYPE_ORDER = ("I", "II", "III", "IV", "V", "VI", UNKNOWN)


class ToneRow(NamedTuple):
    """One group.

    Attributes:
        name: of the group.
        n: its cases.
        positives: malignant ones among them.
        scored: cases with a value.
        measure: mean of the values; None where there is none.
    """

    name: str
    n: int
    positives: int
    scored: int
    measure: Interval | None


class ToneGaps(NamedTuple):
    """All groups and how far they lie apart; the unknown does not count there.

    Attributes:
        rows: in the order of the scale.
        worst: the known group with the lowest mean; None with fewer than two.
        gap: highest less lowest mean; resampling widens it, so that its interval leans upwards.
        parity: `1 - (max - min) / max`; None where the highest mean is 0.
    """

    rows: tuple[ToneRow, ...]
    worst: str | None
    gap: Interval | None
    parity: Interval | None


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
    scale: tuple[float, float],
    boot: Bootstrap,
) -> ToneGaps:
    """Means of each skin group, with the worst group and the gap.

    Args:
        values: `[n]`, one for each case; NaN where unscored.
        names: skin group of each case.
        groups: what is resampled together.
        positives: whether a case is malignant.
        order: all groups, whether they have cases or not.
        scale: smallest and largest possible value.
        boot: of the bootstrap.
    """
    where = np.array([order.index(name) for name in names], dtype=np.int64)
    malignant = np.array(positives, dtype=bool)
    rows = []
    for place, name in enumerate(order):
        here = where == place
        scored = here & np.isfinite(values)
        own = [group for group, keep in zip(groups, scored, strict=True) if keep]
        measure = _interval(values[scored], own, scale, boot) if scored.any() else None
        found = int(here.sum()), int((here & malignant).sum()), int(scored.sum())
        rows.append(ToneRow(name, *found, measure))
    known = {row.name: row.measure.value for row in rows if row.measure and row.name != UNKNOWN}
    if len(known) < 2:
        return ToneGaps(tuple(rows), None, None, None)
    places = [order.index(name) for name in known]
    gap, parity = _gaps(values, where, groups, places, boot)
    return ToneGaps(tuple(rows), min(known, key=lambda name: known[name]), gap, parity)


def _interval(
    values: Floats, groups: Sequence[str], scale: tuple[float, float], boot: Bootstrap
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
    ends = [*found.ends, *_wide(values, groups, scale)]
    return Interval(found.value, min(ends), max(ends), found.n)


def _wide(values: Floats, groups: Sequence[str], scale: tuple[float, float]) -> tuple[float, float]:
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    count, mean = int(codes.max()) + 1, float(values.mean())
    # Variance of a ratio of group sums, as a cluster-robust standard error has it.
    rest = np.bincount(codes, weights=values - mean)
    error = np.sqrt((rest**2).sum() * count / (count - 1)) / len(values)
    reach = float(scipy_stats.t.ppf(0.975, count - 1) * error)
    return max(scale[0], mean - reach), min(scale[1], mean + reach)


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
