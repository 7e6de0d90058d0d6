"""Simulated raters: biases that cancel, noise of the stated size, scores on the scale."""

import random
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.simulate.damage import LARGEST_BIAS, NOISE, Rater, make_raters, rate
from skingpt_r1.text.rubric import DIMENSIONS, Protocol

seeds = st.integers(0, 2**32)
true_values = st.tuples(*[st.integers(0, 50).map(lambda value: value / 10)] * 6)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 8), seeds)
def test_biases_cancel(count, seed) -> None:
    raters = make_raters(count, seed)
    assert [rater.name for rater in raters] == [f"simulated-{n}" for n in range(1, count + 1)]
    for place in range(len(DIMENSIONS)):
        biases = [rater.bias[place] for rater in raters]
        assert sum(biases) == pytest.approx(0, abs=1e-9)
        assert max(biases) - min(biases) <= 2 * LARGEST_BIAS
    assert all(NOISE[0] <= rater.noise <= NOISE[1] for rater in raters)
    assert make_raters(count, seed) == raters


def test_raters_differ() -> None:
    raters = make_raters(3, seed=0)
    assert len({rater.bias for rater in raters}) == 3
    assert make_raters(3, seed=1) != raters
    assert make_raters(1, seed=0)[0].bias == (0.0,) * 6


def test_no_raters_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 raters; at least one"):
        make_raters(0, seed=0)


@settings(max_examples=100, deadline=None)
@given(true_values, st.integers(0, 2), seeds)
def test_ratings_lie_on_the_scale(true, place, seed) -> None:
    rater = make_raters(3, seed=2)[place]
    given = rate(rater, true, random.Random(seed))
    assert given.protocol is Protocol.DECIMAL_0_5
    assert all(value == round(value, 1) for value in given.values)
    assert rate(rater, true, random.Random(seed)) == given


def test_a_rater_without_bias_and_noise_gives_the_truth() -> None:
    true = (4.8, 0.0, 5.0, 1.2, 3.3, 2.5)
    assert rate(Rater("simulated-1", (0.0,) * 6, 0.0), true, random.Random(0)).values == true


def test_scores_are_clipped() -> None:
    high = Rater("simulated-1", (0.9,) * 6, 0.0)
    low = Rater("simulated-2", (-0.9,) * 6, 0.0)
    assert rate(high, (4.8,) * 6, random.Random(0)).values == (5.0,) * 6
    assert rate(low, (0.3,) * 6, random.Random(0)).values == (0.0,) * 6


def test_bias_and_noise_have_the_stated_size() -> None:
    rater, true, rng = make_raters(3, seed=5)[0], (2.5,) * 6, random.Random(0)
    given = [rate(rater, true, rng).values for _ in range(3000)]
    for place, column in enumerate(zip(*given, strict=True)):
        assert statistics.mean(column) == pytest.approx(2.5 + rater.bias[place], abs=0.02)
        assert statistics.stdev(column) == pytest.approx(rater.noise, abs=0.02)


def test_the_mean_rater_is_close_to_the_truth() -> None:
    raters, true, rng = make_raters(3, seed=7), (1.2, 2.0, 2.5, 3.0, 3.5, 4.0), random.Random(0)
    given = [[rate(rater, true, rng).values for rater in raters] for _ in range(1000)]
    means = np.mean(given, axis=1)
    for place, column in enumerate(zip(*means, strict=True)):
        assert statistics.mean(column) == pytest.approx(true[place], abs=0.03)
