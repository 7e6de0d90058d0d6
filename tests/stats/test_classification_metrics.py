"""Metrics agree with scikit-learn and with slow references; what is missing is never zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from skingpt_r1.stats import classification as metrics
from skingpt_r1.stats.classification import UNMATCHED, Predictions
from skingpt_r1.stats.intervals import Bootstrap, bootstrap_statistic

CLASSES = tuple("abcdefg")
BOOT = Bootstrap(seed=3, resamples=200)


def made(n: int = 60, seed: int = 0, *, unmatched: float = 0.1) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(CLASSES), n)
    logits = generator.normal(size=(n, len(CLASSES)))
    logits[np.arange(n), labels] += 1.2
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    said = chances.argmax(axis=1)
    said[generator.random(n) < unmatched] = UNMATCHED
    groups = [f"g{number}" for number in generator.integers(0, 1 + n // 2, n)]
    return Predictions(CLASSES, labels, said, groups, chances)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_says_the_same(seed: int) -> None:
    said = made(seed=seed)
    found = metrics.classification_metrics(said, BOOT)
    truth, guess = said.labels, said.predicted
    present = np.unique(truth)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        balanced = balanced_accuracy_score(truth, guess)
    assert found["accuracy"].value == pytest.approx(accuracy_score(truth, guess))
    assert found["balanced accuracy"].value == pytest.approx(balanced)
    expected = f1_score(truth, guess, labels=present, average="macro", zero_division=0)
    assert found["macro-F1"].value == pytest.approx(expected)
    for k in (3, 5):
        top = top_k_accuracy_score(truth, said.probabilities, k=k, labels=range(len(CLASSES)))
        assert found[f"top-{k} accuracy"].value == pytest.approx(top)


def test_each_class_as_scikit_learn_has_it() -> None:
    said = made(seed=9)
    precision, recall, f1, support = precision_recall_fscore_support(
        said.labels, said.predicted, labels=range(len(CLASSES)), zero_division=0
    )
    for place, found in enumerate(metrics.class_scores(said, BOOT)):
        assert found.label == CLASSES[place]
        assert found.n == support[place]
        assert found.recall.value == pytest.approx(recall[place])
        assert found.precision.value == pytest.approx(precision[place])
        assert found.f1.value == pytest.approx(f1[place])
        assert found.recall.low <= found.recall.value <= found.recall.high


def test_intervals_are_those_of_the_slow_bootstrap() -> None:
    said = made(40, seed=2)

    def balanced(rows: np.ndarray) -> float:
        labels, right = said.labels[rows], said.right[rows]
        return float(np.mean([right[labels == one].mean() for one in np.unique(labels)]))

    slow = bootstrap_statistic(balanced, 40, said.groups, **BOOT._asdict())
    assert metrics.classification_metrics(said, BOOT)["balanced accuracy"] == pytest.approx(slow)


def test_a_class_without_cases_has_no_recall() -> None:
    said = Predictions(("a", "b", "c"), np.array([0, 0]), np.array([0, 1]), ["x", "y"])
    a, b, c = metrics.class_scores(said, BOOT)
    assert (a.n, b.n, c.n) == (2, 0, 0)
    assert a.recall.value == 0.5
    assert b.recall is None
    assert b.precision.value == 0.0
    assert (c.recall, c.precision, c.f1) == (None, None, None)
    assert "top-3 accuracy" not in metrics.classification_metrics(said, BOOT)


def test_unread_answers_stay_in_the_denominator() -> None:
    said = Predictions(("a", "b"), np.array([0, 1, 0, 1]), np.array([0, 1, -1, -1]), list("wxyz"))
    found = metrics.classification_metrics(said, BOOT)
    assert [found[name].value for name in ("accuracy", "balanced accuracy")] == [0.5, 0.5]
    assert found["macro-F1"].value == pytest.approx(2 / 3)
    assert found["accuracy"].n == 4


def test_ties_count_against_the_label() -> None:
    chances = np.array([[0.5, 0.5, 0.0, 0.0], [0.25] * 4])
    said = Predictions(tuple("abcd"), np.array([0, 0]), np.array([0, -1]), ["x", "y"], chances)
    assert metrics.top_hits(said, 1).tolist() == [0.0, 0.0]
    assert metrics.top_hits(said, 2).tolist() == [1.0, 0.0]


def test_brier_score_by_hand() -> None:
    chances = np.array([[0.7, 0.3], [np.nan, np.nan], [0.1, 0.9]])
    said = Predictions(("a", "b"), np.array([0, 1, 0]), np.array([0, 1, 1]), list("xyz"), chances)
    found = metrics.brier_score(said, BOOT)
    assert found.value == pytest.approx(((0.3**2 + 0.3**2) + (0.9**2 + 0.9**2)) / 2)
    assert found.n == 2
    assert metrics.brier_score(said._replace(probabilities=None), BOOT) is None
    assert metrics.calibration_metrics(said._replace(probabilities=None), BOOT) == {}


def test_a_calibrated_system_has_a_small_error_and_a_sure_liar_a_large_one() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(4000)
    right = (generator.random(4000) < confidence).astype(float)
    groups = [str(number) for number in range(4000)]
    honest = metrics.expected_calibration_error(confidence, right, groups, BOOT)
    liar = metrics.expected_calibration_error(np.ones(50), np.zeros(50), groups[:50], BOOT)
    assert honest.value < 0.03
    assert liar.value == 1.0
    bins = metrics.reliability(confidence, right, groups, BOOT)
    assert len(bins) == 10
    assert all(one.accuracy.low <= one.confidence + 0.08 for one in bins)
    assert sum(one.accuracy.n for one in bins) == 4000


def slow_area(confidence: np.ndarray, right: np.ndarray) -> float:
    """Errors among all cases at least as confident, averaged over the cases."""
    return float(np.mean([1 - right[confidence >= level].mean() for level in confidence]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=25))
def test_area_under_risk_and_coverage(rows: list[tuple[int, bool]]) -> None:
    confidence = np.array([level / 6 for level, _ in rows])
    right = np.array([float(value) for _, value in rows])
    groups = [str(number) for number in range(len(rows))]
    found = metrics.area_under_risk_coverage(confidence, right, groups, Bootstrap(1, 50))
    assert found.value == pytest.approx(slow_area(confidence, right))
    order = np.random.default_rng(0).permutation(len(rows))
    turned = metrics.area_under_risk_coverage(
        confidence[order], right[order], groups, Bootstrap(1, 50)
    )
    assert turned.value == pytest.approx(found.value)
    curve = metrics.risk_coverage(confidence, right)
    assert curve[-1] == pytest.approx((1.0, 1 - right.mean()))
    assert len(curve) == len(set(confidence))


def test_area_interval_equals_the_slow_bootstrap() -> None:
    said = made(50, seed=4)
    confidence, right, groups = metrics.confidences(said)
    slow = bootstrap_statistic(
        lambda rows: slow_area(confidence[rows], right[rows]), 50, groups, **BOOT._asdict()
    )
    found = metrics.area_under_risk_coverage(confidence, right, groups, BOOT)
    assert found == pytest.approx(slow)


def test_abstention_is_chosen_on_some_groups_and_tried_on_others() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.random(2000)
    right = (generator.random(2000) < confidence).astype(float)
    groups = [str(number // 2) for number in range(2000)]
    found = metrics.abstention(confidence, right, groups, 0.1, BOOT)
    assert found.threshold == pytest.approx(0.8, abs=0.1)
    assert found.risk.value == pytest.approx(0.1, abs=0.05)
    assert found.coverage.n == 1000
    assert 0.1 < found.coverage.value < 0.3


def test_no_threshold_where_everything_is_wrong() -> None:
    nothing = metrics.abstention(
        np.linspace(0, 1, 20), np.zeros(20), list("abcdefghij") * 2, 0.1, BOOT
    )
    assert nothing == metrics.Abstention(0.1, None, None, None)
    assert metrics.threshold_for(np.array([0.2, 0.9]), np.array([1.0, 1.0]), 0.0) == 0.2


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    curve = [(number / 999, 0.1) for number in range(1000)]
    shown = metrics.shown_curve(curve)
    assert len(shown) <= metrics.CURVE_POINTS
    assert (shown[0], shown[-1]) == (curve[0], curve[-1])
    assert metrics.shown_curve(curve[:3]) == tuple(curve[:3])
