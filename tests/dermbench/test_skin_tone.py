"""Every skin group is shown, small and unknown ones too, with an interval that admits its size."""

import numpy as np
import pytest

from skingpt_r1.case import SkinTone
from skingpt_r1.dermbench.tables import TONE_ORDER, TYPE_ORDER, by_skin, tone_name, type_name
from skingpt_r1.stats.intervals import Bootstrap

BOOT = Bootstrap(seed=0, resamples=300)


def groups_of(n: int) -> list[str]:
    return [f"patient {number}" for number in range(n)]


def test_rows_gap_and_parity() -> None:
    names = ["light"] * 100 + ["medium"] * 50 + ["dark"] * 2 + ["unknown"] * 10
    values = np.array([0.9, 0.1] * 50 + [0.4] * 50 + [0.2] * 2 + [0.0] * 10)
    found = by_skin(
        values,
        names,
        groups_of(162),
        [number % 2 == 0 for number in range(162)],
        order=TONE_ORDER,
        ends=(0.0, 1.0),
        boot=BOOT,
    )
    rows = {row.name: row for row in found.rows}
    assert [(row.name, row.n, row.positives) for row in found.rows] == [
        ("light", 100, 50),
        ("medium", 50, 25),
        ("dark", 2, 1),
        ("unknown", 10, 5),
    ]
    assert found.worst == "dark"
    assert found.gap.value == pytest.approx(0.3)
    assert found.parity.value == pytest.approx(1 - 0.3 / 0.5)
    assert rows["unknown"].measure.value == 0.0


def test_a_small_group_that_is_all_right_has_a_wide_interval() -> None:
    found = by_skin(
        np.ones(3), ["dark"] * 3, groups_of(3), [False] * 3,
        order=TONE_ORDER, ends=(0.0, 1.0), boot=BOOT,
    )  # fmt: skip
    (dark,) = [row for row in found.rows if row.name == "dark"]
    assert dark.measure.value == dark.measure.high == 1.0
    assert dark.measure.low < 0.5
    assert [row.measure for row in found.rows if row.name != "dark"] == [None, None, None]
    assert (found.worst, found.gap, found.parity) == (None, None, None)


def test_pictures_of_one_patient_say_nothing_about_others() -> None:
    found = by_skin(
        np.array([4.0, 4.5, 3.0, 3.5]),
        ["V", "V", "I", "I"],
        ["a", "a", "b", "c"],
        [False] * 4,
        order=TYPE_ORDER,
        ends=(0.0, 5.0),
        boot=BOOT,
    )
    rows = {row.name: row for row in found.rows}
    assert tuple(rows["V"].measure) == (4.25, None, None, 2)
    assert rows["I"].measure.low < 3.0 < 3.5 < rows["I"].measure.high
    assert [rows[name].n for name in TYPE_ORDER] == [2, 0, 0, 0, 2, 0, 0]


@pytest.mark.parametrize(
    ("owners", "known"),
    [("aabb", False), ("aabc", False), ("abcc", False), ("abcd", True), ("abab", True)],
)
def test_a_gap_needs_two_patients_of_its_highest_and_lowest_tone(owners: str, known: bool) -> None:
    found = by_skin(
        np.array([4.0, 4.5, 3.0, 3.5]),
        ["V", "V", "I", "I"],
        list(owners),
        [False] * 4,
        order=TYPE_ORDER,
        ends=(0.0, 5.0),
        boot=BOOT,
    )
    assert found.gap.value == 1.0
    assert (found.gap.ends is not None) == (found.parity.ends is not None) == known


def test_right_pictures_of_one_patient_have_no_interval() -> None:
    found = by_skin(
        np.array([1.0, 1.0, 0.0]),
        ["V", "V", "I"],
        ["a", "a", "b"],
        [False] * 3,
        order=TYPE_ORDER,
        ends=(0.0, 1.0),
        boot=BOOT,
    )
    assert [row.measure.ends for row in found.rows if row.measure] == [None, None]


def test_unscored_cases_stay_in_n() -> None:
    found = by_skin(
        np.array([1.0, np.nan, np.nan]),
        ["light", "light", "dark"],
        groups_of(3),
        [True] * 3,
        order=TONE_ORDER,
        ends=(0.0, 1.0),
        boot=BOOT,
    )
    rows = {row.name: row for row in found.rows}
    assert (rows["light"].n, rows["light"].scored) == (2, 1)
    assert (rows["dark"].n, rows["dark"].scored, rows["dark"].measure) == (1, 0, None)


def test_nothing_right_anywhere_has_no_parity() -> None:
    found = by_skin(
        np.zeros(4), ["light", "light", "dark", "dark"], groups_of(4), [False] * 4,
        order=TONE_ORDER, ends=(0.0, 1.0), boot=BOOT,
    )  # fmt: skip
    assert found.gap.value == 0.0
    assert found.parity is None


def test_names() -> None:
    assert [tone_name(tone) for tone in (*SkinTone, None)] == list(TONE_ORDER)
    assert [type_name(scale) for scale in (1, 2, 3, 4, 5, 6, None)] == list(TYPE_ORDER)
