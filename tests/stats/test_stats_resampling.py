"""Resampling by weights is the same bootstrap as resampling by drawing cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.stats import intervals as stats


def test_weights_are_the_draws_of_the_bootstrap() -> None:
    generator = np.random.default_rng(0)
    values = generator.random(40)
    groups = [f"g{number}" for number in generator.integers(0, 9, 40)]
    draw = {"seed": 4, "resamples": 300}
    weights = np.concatenate(list(stats.bootstrap_weights(40, groups, **draw)))
    assert weights.shape == (300, 40)
    means = (weights @ values) / weights.sum(axis=1)
    found = stats.percentile_interval(float(values.mean()), means, 40, 9)
    assert found == pytest.approx(stats.bootstrap_mean(values, groups, **draw))
    for group in set(groups):
        same = weights[:, [name == group for name in groups]]
        assert (same == same[:, :1]).all()


def test_the_size_of_a_block_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = ["a", "b", "b", "c"]
    whole = np.concatenate(list(stats.bootstrap_weights(4, groups, seed=1, resamples=50)))
    monkeypatch.setattr(stats, "_CHUNK", 7)
    parts = list(stats.bootstrap_weights(4, groups, seed=1, resamples=50))
    assert len(parts) > 10
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 5))
def test_sums_are_weighted_sums(n: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    columns = generator.normal(size=(n, k))
    groups = generator.integers(0, 4, n).tolist()
    sums = stats.resampled_sums(columns, groups, seed=seed, resamples=30)
    weights = np.concatenate(list(stats.bootstrap_weights(n, groups, seed=seed, resamples=30)))
    np.testing.assert_allclose(sums, weights @ columns, atol=1e-9)


def test_what_is_not_finite_is_left_out() -> None:
    found = stats.percentile_interval(1.0, [0.0, 2.0, float("nan")], 3, 3)
    assert found == stats.Interval(1.0, pytest.approx(0.05), pytest.approx(1.95), 3)
    assert stats.percentile_interval(1.0, [float("nan")], 3, 3) is None
    assert stats.percentile_interval(float("nan"), [1.0], 3, 3) is None


def test_no_cases() -> None:
    with pytest.raises(ValueError, match="no cases"):
        next(stats.bootstrap_weights(0))
