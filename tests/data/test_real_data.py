"""The readers on the real samples beside the repository; skipped where they are absent."""

from collections import Counter
from pathlib import Path

import pytest

from skingpt_r1.case import Case
from skingpt_r1.data import READERS, check_dataset, load_cases

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def sample(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"no real data: ../shared/data/{name} is absent")
    return DATA / name


def labels(cases: list[Case]) -> Counter[str | None]:
    return Counter(case.label for case in cases)


def test_pad_ufes_20() -> None:
    cases = load_cases("pad_ufes_20", sample("pad_ufes_20"))
    assert len(cases) == 624
    assert len({case.group for case in cases}) == 480
    assert labels(cases) == {
        "basal cell carcinoma": 185,
        "melanocytic nevus": 132,
        "actinic keratosis": 128,
        "seborrheic keratosis": 117,
        "melanoma": 39,
        "squamous cell carcinoma": 23,
    }
    assert Counter(case.findings.get("elevation") for case in cases) == {
        "elevated": 396,
        "flat": 226,
        None: 2,
    }
    assert sum(case.fitzpatrick is None for case in cases) == 231
    assert all("site" in case.context and "age" in case.context for case in cases)


def test_ham10000() -> None:
    cases = load_cases("ham10000", sample("ham10000"))
    assert len(cases) == 2488
    assert len({case.group for case in cases}) == 1683
    assert labels(cases)["melanoma"] == 602
    assert labels(cases)["dermatofibroma"] == 74
    assert sum("age" not in case.context for case in cases) == 13
    assert sum("site" not in case.context for case in cases) == 30


def test_dermbench() -> None:
    reading = check_dataset("dermbench", sample("dermbench_sample"))
    cases = reading.settle()
    assert len(cases) == 138
    assert Counter(Counter(case.attributes["category"] for case in cases).values()) == {6: 23}
    assert all(case.narrative and case.label for case in cases)


def test_fitzpatrick17k_first_rows() -> None:
    """The table is a format sample without pictures: every row is fine but for its file."""
    reading = check_dataset("fitzpatrick17k", sample("format_samples"))
    assert reading.problems == []
    assert len(reading.missing) == 7
    assert "psoriasis" in READERS["fitzpatrick17k"].labels
