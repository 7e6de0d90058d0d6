"""Every skin group is shown, small and unknown ones too, with an interval that admits its size."""

from typing import NamedTuple

import numpy as np
import pytest

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.report.data import SkinGroup, ToneTable
from skingpt_r1.dermbench.tables import (
    SKIN_TONE,
    SKIN_TYPE,
    TONE_ORDER,
    TYPE_ORDER,
    by_skin,
    tone_name,
    type_name,
)
from skingpt_r1.stats.intervals import Bootstrap, Interval

BOOT = Bootstrap(seed=0, resamples=300)


def groups_of(n: int) -> list[str]:
    return [f"patient {number}" for number in range(n)]


class Shown(NamedTuple):
    """What is found, with the means by name of the group."""

    groups: dict[str, SkinGroup]
    worst: str | None
    means: dict[str, Interval]
    gap: Interval | None
    parity: Interval | None


def shown(values, names, groups, positives, scale, high=1.0) -> Shown:
    empty = ToneTable(system="one", metric="accuracy", scale=scale, high=high)
    table, measures = by_skin(empty, values, names, groups, positives, low=0.0, boot=BOOT)
    gap, parity = (measures.pop(name, None) for name in (table.gap, table.parity))
    sizes = {group.name: group for group in table.groups}
    means = {name: measures.pop(table.mean(name), None) for name in sizes}
    assert measures == {}
    return Shown(sizes, table.worst, {n: mean for n, mean in means.items() if mean}, gap, parity)


def test_rows_gap_and_parity() -> None:
    names = ["light"] * 100 + ["medium"] * 50 + ["dark"] * 2 + ["unknown"] * 10
    values = np.array([0.9, 0.1] * 50 + [0.4] * 50 + [0.2] * 2 + [0.0] * 10)
    found = shown(
        values, names, groups_of(162), [number % 2 == 0 for number in range(162)], SKIN_TONE
    )
    assert [(row.name, row.n, row.positives) for row in found.groups.values()] == [
        ("light", 100, 50),
        ("medium", 50, 25),
        ("dark", 2, 1),
        ("unknown", 10, 5),
    ]
    assert found.worst == "dark"
    assert found.gap.value == pytest.approx(0.3)
    assert found.parity.value == pytest.approx(1 - 0.3 / 0.5)
    assert found.means["unknown"].value == 0.0


def test_a_small_group_that_is_all_right_has_a_wide_interval() -> None:
    found = shown(
        np.ones(3), ["dark"] * 3, groups_of(3), [False] * 3,
        SKIN_TONE,
    )  # fmt: skip
    dark = found.means["dark"]
    assert dark.value == dark.high == 1.0
    assert dark.low < 0.5
    assert set(found.means) == {"dark"}
    assert list(found.groups) == list(TONE_ORDER)
    assert (found.worst, found.gap, found.parity) == (None, None, None)


def test_pictures_of_one_patient_say_nothing_about_others() -> None:
    found = shown(
        np.array([4.0, 4.5, 3.0, 3.5]),
        ["V", "V", "I", "I"],
        ["a", "a", "b", "c"],
        [False] * 4,
        SKIN_TYPE,
        high=5.0,
    )
    assert tuple(found.means["V"]) == (4.25, None, None, 2)
    assert found.means["I"].low < 3.0 < 3.5 < found.means["I"].high
    assert [found.groups[name].n for name in TYPE_ORDER] == [2, 0, 0, 0, 2, 0, 0]


@pytest.mark.parametrize(
    ("owners", "known"),
    [("aabb", False), ("aabc", False), ("abcc", False), ("abcd", True), ("abab", True)],
)
def test_a_gap_needs_two_patients_of_its_highest_and_lowest_tone(owners: str, known: bool) -> None:
    found = shown(
        np.array([4.0, 4.5, 3.0, 3.5]),
        ["V", "V", "I", "I"],
        list(owners),
        [False] * 4,
        SKIN_TYPE,
        high=5.0,
    )
    assert found.gap.value == 1.0
    assert (found.gap.ends is not None) == (found.parity.ends is not None) == known


def test_right_pictures_of_one_patient_have_no_interval() -> None:
    found = shown(
        np.array([1.0, 1.0, 0.0]), ["V", "V", "I"], ["a", "a", "b"], [False] * 3, SKIN_TYPE
    )
    assert [mean.ends for mean in found.means.values()] == [None, None]


def test_unscored_cases_stay_in_n() -> None:
    found = shown(
        np.array([1.0, np.nan, np.nan]),
        ["light", "light", "dark"],
        groups_of(3),
        [True] * 3,
        SKIN_TONE,
    )
    light, dark = found.groups["light"], found.groups["dark"]
    assert (light.n, light.scored) == (2, 1)
    assert (dark.n, dark.scored) == (1, 0)
    assert set(found.means) == {"light"}


def test_nothing_right_anywhere_has_no_parity() -> None:
    found = shown(
        np.zeros(4), ["light", "light", "dark", "dark"], groups_of(4), [False] * 4,
        SKIN_TONE,
    )  # fmt: skip
    assert found.gap.value == 0.0
    assert found.parity is None


def test_names() -> None:
    assert [tone_name(tone) for tone in (*SkinTone, None)] == list(TONE_ORDER)
    assert [type_name(scale) for scale in (1, 2, 3, 4, 5, 6, None)] == list(TYPE_ORDER)
