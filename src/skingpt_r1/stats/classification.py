"""How well labels are named and how far confidence can be trusted, with bootstrap intervals.

An answer without a readable label is wrong and stays in every denominator. Whole groups (patient,
lesion, file series) are resampled. What is not defined on the data is None.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skingpt_r1.stats.intervals import (
    Bootstrap,
    Floats,
    Integers,
    Interval,
    bootstrap_mean,
    bootstrap_share,
    bootstrap_weights,
    calibration_error,
    count_groups,
    percentile_interval,
    ratio,
    resampled_sums,
)

Booleans = NDArray[np.bool_]

ACCURACY = "accuracy"
BALANCED = "balanced accuracy"
MACRO_F1 = "macro-F1"
BRIER = "Brier score"
ECE = "calibration error"
AURC = "area under risk-coverage"
TOP_K = (3, 5)  # further places that the label may have among the candidates
METRICS = (ACCURACY, BALANCED, MACRO_F1, *(f"top-{k} {ACCURACY}" for k in TOP_K))
CALIBRATION = (BRIER, ECE, AURC)
UNMATCHED = -1
BINS = 10
CURVE_POINTS = 50  # of a risk-coverage curve as it is shown
WANTED_RISKS = (0.05, 0.1, 0.2)  # largest shares of errors for which a threshold is looked for


class Predictions(NamedTuple):
    """What one system said of n cases: indices of the gold and of the named class.

    `predicted` is `UNMATCHED` where no class could be read; `probabilities` are `[n, classes]`, a
    row is NaN where there are none.
    """

    classes: tuple[str, ...]
    labels: Integers
    predicted: Integers
    groups: Sequence[str]
    probabilities: Floats | None = None

    @property
    def right(self) -> Floats:
        """`[n]`: 1 where the label was named."""
        same: Booleans = self.labels == self.predicted
        return same.astype(np.float64)


class ClassScore(NamedTuple):
    """One class: cases, and what share of them, and of what was said, was right."""

    label: str
    n: int
    recall: Interval | None
    precision: Interval | None
    f1: Interval | None


class Bin(NamedTuple):
    """Answers of about the same confidence; `confidence` is their mean."""

    low: float
    high: float
    confidence: float
    accuracy: Interval


class Abstention(NamedTuple):
    """Answering only from a confidence on, chosen on some groups and tried on the others.

    `wanted` is the largest allowed share of errors; no threshold may do it, and then `coverage`
    and `risk` (share of errors among the answered) are None.
    """

    wanted: float
    threshold: float | None
    coverage: Interval | None
    risk: Interval | None


def classification_metrics(said: Predictions, boot: Bootstrap) -> dict[str, Interval | None]:
    """Accuracy, balanced accuracy, macro-F1 and, with probabilities, top-k accuracy.

    Balanced accuracy and macro-F1 are means over the classes that occur among the labels, in each
    resample over those that occur in it.
    """
    sums = _class_sums(said)
    whole, drawn = sums.sum(axis=0)[None], resampled_sums(sums, said.groups, **boot._asdict())
    found: dict[str, Interval | None] = {
        ACCURACY: bootstrap_share(said.right, said.groups, **boot._asdict())
    }
    for name, statistic in ((BALANCED, _mean_recall), (MACRO_F1, _mean_f1)):
        value = float(statistic(whole)[0])
        many, num_groups = statistic(drawn), len(set(said.groups))
        found[name] = percentile_interval(value, many, len(said.labels), num_groups)
    for k in TOP_K:
        if said.probabilities is not None and k < len(said.classes):
            hits = top_hits(said, k)
            found[f"top-{k} {ACCURACY}"] = bootstrap_share(hits, said.groups, **boot._asdict())
    return found


def balanced_difference(
    first: Predictions, second: Predictions, boot: Bootstrap
) -> Interval | None:
    """How much higher the balanced accuracy of `first` is on the same cases, paired."""
    sums = np.hstack([_class_sums(first), _class_sums(second)])

    def gap(rows: Floats) -> Floats:
        ours, theirs = np.split(rows, 2, axis=1)
        return _mean_recall(ours) - _mean_recall(theirs)

    drawn = gap(resampled_sums(sums, first.groups, **boot._asdict()))
    value = float(gap(sums.sum(axis=0)[None])[0])
    return percentile_interval(value, drawn, len(first.labels), len(set(first.groups)))


def class_scores(said: Predictions, boot: Bootstrap) -> list[ClassScore]:
    """Recall, precision and F1 of each class; None where a class has no case or was never said."""
    sums = _class_sums(said)
    drawn = resampled_sums(sums, said.groups, **boot._asdict())
    whole, parts = (_ratios(_parts(rows)) for rows in (sums.sum(axis=0)[None], drawn))
    counts = np.bincount(said.labels, minlength=len(said.classes))
    _, labels, predictions = _parts(sums)
    behind = [
        count_groups(said.groups, cases) for cases in (labels, predictions, labels + predictions)
    ]
    found = []
    for place, label in enumerate(said.classes):
        n = int(counts[place])
        intervals = [
            percentile_interval(float(value[0, place]), many[:, place], n, int(num_groups[place]))
            for value, many, num_groups in zip(whole, parts, behind, strict=True)
        ]
        found.append(ClassScore(label, n, *intervals))
    return found


def top_hits(said: Predictions, k: int) -> Floats:
    """`[n]`: 1 where the label is among the k likeliest; ties count against it.

    A case without probabilities counts as wrong.
    """
    assert said.probabilities is not None
    rows = np.arange(len(said.labels))
    own = said.probabilities[rows, said.labels]
    with np.errstate(invalid="ignore"):
        place = (said.probabilities >= own[:, None]).sum(axis=1)
    hits: Booleans = (place <= k) & np.isfinite(own)
    return hits.astype(np.float64)


def brier_score(said: Predictions, boot: Bootstrap) -> Interval | None:
    """Mean over cases of the squared distance of the probabilities from the truth, 0 to 2.

    Over the cases with probabilities; None without any.
    """
    kept = _with_probabilities(said)
    if said.probabilities is None or not kept.any():
        return None
    truth = np.eye(len(said.classes))[said.labels[kept]]
    distance = ((said.probabilities[kept] - truth) ** 2).sum(axis=1)
    return bootstrap_mean(distance, _of(said.groups, kept), **boot._asdict())


def confidences(said: Predictions) -> tuple[Floats, Floats, list[str]]:
    """Confidence, right and group of the cases with probabilities."""
    kept = _with_probabilities(said)
    top = np.empty(0) if said.probabilities is None else said.probabilities[kept].max(axis=1)
    return np.minimum(top, 1.0), said.right[kept], _of(said.groups, kept)


def _with_probabilities(said: Predictions) -> Booleans:
    """`[n]`: which cases have probabilities."""
    if said.probabilities is None:
        return np.zeros(len(said.labels), dtype=bool)
    return np.asarray(np.isfinite(said.probabilities).all(axis=1), dtype=np.bool_)


def expected_calibration_error(
    confidence: Floats, right: Floats, groups: Sequence[str], boot: Bootstrap
) -> Interval | None:
    """`stats.calibration_error` over `BINS` bins of equal width, with its interval."""
    columns = np.zeros((len(right), BINS))
    columns[np.arange(len(right)), _bins(confidence)] = right - confidence
    drawn = resampled_sums(
        np.column_stack([columns, np.ones(len(right))]), groups, **boot._asdict()
    )
    values = np.abs(drawn[:, :-1]).sum(axis=1) / drawn[:, -1]
    value = calibration_error(confidence, right, bins=BINS)
    return percentile_interval(value, values, len(right), len(set(groups)))


def reliability(
    confidence: Floats, right: Floats, groups: Sequence[str], boot: Bootstrap
) -> list[Bin]:
    """Mean confidence and accuracy of each bin that has cases."""
    place = _bins(confidence)
    found = []
    for number in np.unique(place):
        here = place == number
        accuracy = bootstrap_share(right[here], _of(groups, here), **boot._asdict())
        mean = float(confidence[here].mean())
        found.append(Bin(number / BINS, (number + 1) / BINS, mean, accuracy))
    return found


def risk_coverage(confidence: Floats, right: Floats) -> list[tuple[float, float]]:
    """(coverage, share of errors among the covered), the surest first, ties together."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(-confidence[order])), len(order) - 1)
    errors = np.cumsum(1 - right[order])[ends]
    coverage, risk = (ends + 1) / len(order), errors / (ends + 1)
    return [(float(c), float(r)) for c, r in zip(coverage, risk, strict=True)]


def shown_curve(curve: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most `CURVE_POINTS` points of a curve, first and last among them."""
    if len(curve) <= CURVE_POINTS:
        return tuple(curve)
    places = np.linspace(0, len(curve) - 1, CURVE_POINTS).round().astype(int)
    return tuple(curve[place] for place in np.unique(places))


def area_under_risk_coverage(
    confidence: Floats, right: Floats, groups: Sequence[str], boot: Bootstrap
) -> Interval | None:
    """Mean over cases of the share of errors among all cases at least as confident.

    Without ties this is the usual mean of the selective risk over all coverages; with ties it does
    not depend on the order of the cases.
    """
    order = np.argsort(-confidence, kind="stable")
    starts = np.append(0, np.flatnonzero(np.diff(-confidence[order])) + 1)
    wrong = (1 - right)[order]

    def areas(weights: Floats) -> Floats:
        drawn = weights[:, order]
        sizes = np.add.reduceat(drawn, starts, axis=1)
        errors = np.add.reduceat(drawn * wrong, starts, axis=1).cumsum(axis=1)
        covered = sizes.cumsum(axis=1)
        risk = np.divide(errors, covered, out=np.zeros_like(errors), where=covered > 0)
        area: Floats = (sizes * risk).sum(axis=1) / covered[:, -1]
        return area

    value = float(areas(np.ones((1, len(right))))[0])
    blocks = bootstrap_weights(len(right), groups, **boot._asdict())
    drawn = np.concatenate([areas(block) for block in blocks])
    return percentile_interval(value, drawn, len(right), len(set(groups)))


def threshold_for(confidence: Floats, right: Floats, wanted: float) -> float | None:
    """The lowest confidence from which on the share of errors is at most `wanted`."""
    risks = risk_coverage(confidence, right)
    levels = np.unique(confidence)[::-1]
    fitting = [level for level, (_, risk) in zip(levels, risks, strict=True) if risk <= wanted]
    return float(fitting[-1]) if fitting else None


def abstention(
    confidence: Floats, right: Floats, groups: Sequence[str], wanted: float, boot: Bootstrap
) -> Abstention:
    """A threshold from one half of the groups, and what it does on the other half.

    A threshold tried on the cases that it was chosen on would look better than it is.
    """
    names = sorted(set(groups))
    half = set(np.random.default_rng(boot.seed).permutation(names)[: len(names) // 2].tolist())
    chosen = np.array([group in half for group in groups], dtype=bool)
    level = threshold_for(confidence[chosen], right[chosen], wanted) if chosen.any() else None
    if level is None:
        return Abstention(wanted, None, None, None)
    other = _of(groups, ~chosen)
    answered = confidence[~chosen] >= level
    coverage = bootstrap_share(answered.astype(np.float64), other, **boot._asdict())
    risk = None
    if answered.any():
        errors = 1 - right[~chosen][answered]
        risk = bootstrap_share(errors, _of(other, answered), **boot._asdict())
    return Abstention(wanted, level, coverage, risk)


def calibration_metrics(said: Predictions, boot: Bootstrap) -> Mapping[str, Interval | None]:
    """Brier score, calibration error and area under risk-coverage; empty without probabilities."""
    confidence, right, groups = confidences(said)
    if not len(right):
        return {}
    return {
        BRIER: brier_score(said, boot),
        ECE: expected_calibration_error(confidence, right, groups, boot),
        AURC: area_under_risk_coverage(confidence, right, groups, boot),
    }


class _Sums(NamedTuple):
    """`[rows, classes]` each: right answers, labels and predictions of each class."""

    hits: Floats
    labels: Floats
    predictions: Floats


def _class_sums(said: Predictions) -> Floats:
    """`[n, 3 * classes]`: for each case what it adds to the sums of `_Sums`."""
    count = len(said.classes)
    columns = np.zeros((len(said.labels), 3 * count))
    rows = np.arange(len(said.labels))
    named = said.predicted != UNMATCHED
    columns[rows, said.labels] = said.right
    columns[rows, count + said.labels] = 1.0
    columns[rows[named], 2 * count + said.predicted[named]] = 1.0
    return columns


def _parts(sums: Floats) -> _Sums:
    return _Sums(*np.split(sums, 3, axis=1))


def _ratios(sums: _Sums) -> tuple[Floats, Floats, Floats]:
    """Recall, precision and F1 of each class."""
    return (
        ratio(sums.hits, sums.labels),
        ratio(sums.hits, sums.predictions),
        ratio(2 * sums.hits, sums.labels + sums.predictions),
    )


def _mean_recall(sums: Floats) -> Floats:
    parts = _parts(sums)
    found: Floats = np.nanmean(ratio(parts.hits, parts.labels), axis=1)
    return found


def _mean_f1(sums: Floats) -> Floats:
    parts = _parts(sums)
    _, _, f1 = _ratios(parts)
    found: Floats = np.nanmean(np.where(parts.labels > 0, f1, np.nan), axis=1)
    return found


def _bins(confidence: Floats) -> Integers:
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def _of(values: Sequence[str], kept: Booleans) -> list[str]:
    return [value for value, keep in zip(values, kept, strict=True) if keep]
