"""The case and the classes of skin tone."""

import dataclasses
from pathlib import Path

import pytest

from skingpt_r1.case import Case, SkinTone, Split


def test_class_order_is_light_medium_dark() -> None:
    assert [(tone.value, tone.class_index) for tone in SkinTone] == [
        ("light", 0),
        ("medium", 1),
        ("dark", 2),
    ]


@pytest.mark.parametrize(
    ("scale", "tone"),
    [(1, "light"), (2, "light"), (3, "medium"), (4, "medium"), (5, "dark"), (6, "dark")],
)
def test_tone_of_a_fitzpatrick_type(scale: int, tone: str) -> None:
    assert SkinTone.from_fitzpatrick(scale) is SkinTone(tone)


@pytest.mark.parametrize("scale", [0, 7, -1])
def test_no_such_fitzpatrick_type(scale: int) -> None:
    with pytest.raises(ValueError, match=rf"{scale} is not one of 1\.\.6"):
        SkinTone.from_fitzpatrick(scale)


def test_splits_are_text() -> None:
    assert [str(split) for split in Split] == ["train", "validation", "test"]


def test_a_case_needs_little_and_does_not_change() -> None:
    case = Case(id="1", images=(Path("a.png"),), dataset="d", group="g")
    assert (case.label, case.split, case.fitzpatrick, case.tone, case.narrative) == (None,) * 5
    assert (case.findings, case.context, case.attributes) == ({}, {}, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.label = "wart"


def test_cases_have_their_own_mappings_and_can_be_keys() -> None:
    one = Case(id="1", images=(Path("a.png"),), dataset="d", group="g")
    same = Case(id="1", images=(Path("a.png"),), dataset="d", group="g", findings={})
    assert one.findings is not same.findings
    assert {one, same} == {one}
    assert one != dataclasses.replace(one, findings={"size": "small"})
