"""The case and the classes of skin tone."""

import dataclasses
from pathlib import Path

import pytest

from skingpt_r1.case import MAX_ID, Case, SkinTone, Split, id_problem


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


@pytest.mark.parametrize(
    "identity",
    [
        "ISIC_0000001", "ISIC_0000001.jpg", "PAT_8_15_820.png", "-1234567890", "7", "train/a b/c-1",
        "Acne and Rosacea Photos/07Acne (1), x & y", "a..b", "...", "..a", "a../b", "case: 1",
        "a:b", "CON", "x\\y", "über", "皮膚", "a" * MAX_ID, "~root", "$HOME", "%2e%2e", "a//b",
        "./a",
    ],
)  # fmt: skip
def test_ids_of_cases(identity: str) -> None:
    assert id_problem(identity) is None


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        ("", "empty"),
        (" ", "empty"),
        (" a", "space"),
        ("a\u00a0", "space"),
        ("a\n", "space"),
        ("a\nb", "control"),
        ("a\0b", "control"),
        ("a\x1b[2Jb", "control"),
        ("a\u2028b", "control"),
        ("\ud800", "control"),
        ("a\x7f", "control"),
        ("..", "another folder"),
        (".", "another folder"),
        ("../a", "another folder"),
        ("a/../../b", "another folder"),
        ("a/..", "another folder"),
        ("..\\a", "another folder"),
        ("a\\..\\..\\b", "another folder"),
        ("a/.. /b", "another folder"),
        ("C:../a", "another folder"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share", "absolute"),
        ("C:\\a", "absolute"),
        ("c:/a", "absolute"),
        ("a" * (MAX_ID + 1), "1,001 characters; at most 1,000"),
    ],
)
def test_ids_that_could_leave_a_folder(identity: str, why: str) -> None:
    assert why in (id_problem(identity) or "")
