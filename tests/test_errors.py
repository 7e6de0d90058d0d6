"""Errors: one root, the tree as documented, and messages that name everything."""

import inspect
import re

import pytest

from skingpt_r1 import errors
from skingpt_r1.errors import DatasetError, NarrativeError, SkinGPTError, TeacherError

CLASSES = {
    name: value
    for name, value in inspect.getmembers(errors, inspect.isclass)
    if value.__module__ == errors.__name__
}


def test_the_documented_tree_is_the_tree() -> None:
    tree = re.findall(r"^ +(?:[|`]-- )?([A-Z]\w+Error)\b(\(\w+\))?", errors.__doc__ or "", re.M)
    (root, parent), *children = tree
    assert (root, parent) == ("SkinGPTError", f"({ValueError.__name__})")
    assert SkinGPTError.__base__ is ValueError
    assert {name for name, _ in children} == CLASSES.keys() - {root}
    assert len(children) == len(CLASSES) - 1
    assert all(CLASSES[name].__base__ is SkinGPTError for name, _ in children)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_says_what_it_is_for(name: str) -> None:
    assert (CLASSES[name].__doc__ or "").strip()


def test_documented_attributes_exist() -> None:
    named = dict(re.findall(r"-- (\w+Error) .*`\.(\w+)`", errors.__doc__ or ""))
    assert named == {
        "NarrativeError": "reason",
        "DatasetError": "problems",
        "TeacherError": "case_ids",
    }
    assert NarrativeError("no_diagnosis", "nothing is named").reason == "no_diagnosis"
    assert str(NarrativeError("no_diagnosis", "nothing is named")) == "nothing is named"
    assert TeacherError("two missing", ["a", "b"]).case_ids == ("a", "b")


def test_problems_are_listed_and_the_rest_is_counted() -> None:
    few = DatasetError("bad table", ["row 2: no label", "row 3: no label"])
    assert str(few) == "bad table\n  - row 2: no label\n  - row 3: no label"
    assert str(DatasetError("bad table")) == "bad table"
    many = DatasetError("bad table", [f"row {row}" for row in range(52)])
    assert len(many.problems) == 52
    assert str(many).splitlines()[-2:] == ["  - row 49", "  - and 2 more"]
