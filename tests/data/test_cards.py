"""The page on data sets says what the readers' cards say."""

import re
from pathlib import Path

import pytest

from skingpt_r1.data import READERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"


def section(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found.split())


@pytest.mark.parametrize("name", sorted(set(READERS) - {"folder"}))
def test_card_on_the_page(name: str) -> None:
    info, text = READERS[name], section(name)
    assert info.licence in text
    assert f"<{info.url}>" in text
    assert info.citation.split(",")[0].split(".")[0] in text
    tone = (info.tone_field or "not recorded").split(" ")[0].split(",")[0]
    assert tone in text or "Fitzpatrick labels" in text
    assert f"](#{name})" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(READERS))
def test_number_of_labels(name: str) -> None:
    (line,) = (x for x in PAGE.read_text(encoding="utf-8").splitlines() if f"[{name}]" in x)
    labels = READERS[name].labels
    assert f"| {len(labels) if labels else 'any'} |" in line
