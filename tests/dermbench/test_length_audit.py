"""The interval of the length correlation beside the slow one, which ranks every resample anew."""

import numpy as np
import pytest

from skingpt_r1.dermbench.audits import _rank_correlation
from skingpt_r1.stats.intervals import bootstrap_statistic, spearman


@pytest.mark.parametrize("slope", [0.0, 0.02, 0.2])
def test_sums_of_ranks_give_the_interval_of_ranking_anew(slope: float) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 60, 400).astype(float)
    values = slope * lengths + rng.normal(size=400)
    groups = [str(number // 3) for number in range(400)]
    fast = _rank_correlation(lengths, values, groups, 0)
    slow = bootstrap_statistic(
        lambda chosen: spearman(lengths[chosen], values[chosen]), 400, groups, seed=0
    )
    assert fast.value == slow.value
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.01)
    assert fast.n == 400
