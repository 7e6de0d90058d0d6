"""The report card's measures on written-out answers."""

import numpy as np
import pytest

from skingpt_r1.dermeval.examples import Probe
from skingpt_r1.dermeval.report import (
    ERROR,
    Answers,
    accuracy_rows,
    damage_rows,
    falls_most,
    injection_rows,
    stage_rows,
)
from skingpt_r1.simulate.damage import OWN_DIMENSION

WANTED = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 3.0], [2.0, 2.0, 2.0, 2.0, 2.0, 2.0], [4.0] * 6])


def answers(gaps, system="policy, full"):
    six = WANTED + np.asarray(gaps)[:, None]
    given = np.column_stack([six, six.mean(axis=1)])
    wanted = np.column_stack([WANTED, WANTED.mean(axis=1)])
    return Answers(system, ("a", "b", "c"), given, wanted)


def by_metric(rows):
    return {row.metric: row for row in rows}


def test_errors_are_over_what_is_scored_and_the_rest_is_counted():
    rows = by_metric(accuracy_rows(answers([0.5, -0.25, np.nan]), resamples=100))
    assert rows["unscored"].value == pytest.approx(1 / 3)
    assert rows[ERROR].value == pytest.approx(0.375)
    assert rows[f"{ERROR}, Overall"].value == pytest.approx(0.375)
    assert rows[f"{ERROR}, Safety"].n == 2
    assert rows["Spearman, Overall"].value == pytest.approx(1.0)
    assert "Spearman, Safety" not in rows  # both true scores are equal


def test_nothing_scored_leaves_the_count_alone():
    rows = accuracy_rows(answers([np.nan] * 3), resamples=100)
    assert [(row.metric, row.value) for row in rows] == [("unscored", 1.0)]


def test_stages_are_compared_on_the_same_narratives():
    policy = answers([0.1, 0.1, np.nan])
    supervised = answers([0.3, -0.5, 0.2], "supervised, full")
    rows = by_metric(stage_rows(policy, supervised, resamples=200))
    assert rows[ERROR].value == pytest.approx(0.1 - 0.4)
    assert rows["mean squared error"].value == pytest.approx(0.01 - (0.09 + 0.25) / 2)
    assert rows[ERROR].system == "policy, full - supervised, full"
    assert (rows[ERROR].n, rows[ERROR].high < 0) == (2, True)
    assert stage_rows(answers([np.nan] * 3), supervised, resamples=200) == []


@pytest.mark.parametrize(
    ("falls", "expected"),
    [
        ([1.0, 0.2, 0, 0, 0, 0], True),
        ([0.3, 0.3, 0, 0, 0, 0], False),
        ([0.1 + 0.2, 0.3, 0, 0, 0, 0], False),
        ([0.0, -1, -1, -1, -1, -1], False),
        ([np.nan, 0, 0, 0, 0, 0], False),
        ([1.0, np.nan, 0, 0, 0, 0], False),
    ],
)
def test_the_own_dimension_falls_most_or_does_not(falls, expected):
    assert falls_most(np.array(falls), 0) is expected


def test_each_kind_of_damage_has_its_row():
    kinds = list(OWN_DIMENSION)
    probes = [Probe(kind, (), "", "") for kind in kinds for _ in range(2)]
    clean = np.full((len(probes), 7), 4.0)
    damaged = clean.copy()
    from skingpt_r1.text.rubric import DIMENSIONS

    for at, probe in enumerate(probes):
        own = DIMENSIONS.index(OWN_DIMENSION[probe.kind])
        damaged[at, own if at % 2 else (own + 1) % 6] = 2.0
    rows = damage_rows("policy, brief", probes, (clean, damaged))
    assert [row.metric for row in rows] == [f"own dimension falls most, {kind}" for kind in kinds]
    assert {(row.value, row.n) for row in rows} == {(0.5, 2)}


def test_the_shift_of_an_injection_is_signed_and_its_size_is_not():
    plain, injected = np.full((3, 7), 3.0), np.full((3, 7), 3.0)
    injected[0, -1], injected[1, -1], injected[2] = 3.2, 2.8, np.nan
    rows = by_metric(injection_rows("p", plain, injected, ("a", "b", "c"), resamples=100))
    assert rows["unscored, injected"].value == pytest.approx(1 / 3)
    assert rows["shift of the mean score, injected"].value == pytest.approx(0)
    assert rows["size of the shift, injected"].value == pytest.approx(0.2)
