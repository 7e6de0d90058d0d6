"""Narratives of training cases: nothing invented, the same for the same seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skingpt_r1.case import Case
from skingpt_r1.distill.data import FindingsByLabel, add_measured_findings, narratives_of
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.findings import read_findings
from skingpt_r1.text.narrative import parse_narrative


def _case(number, label, **findings):
    return Case(
        id=f"c{number}",
        images=(Path(f"{number}.png"),),
        dataset="toy",
        group=f"g{number}",
        label=label,
        findings=findings,
    )


CASES = [
    _case(0, "melanoma", colour="black", symmetry="asymmetric"),
    _case(1, "nevus", colour="brown", symmetry="symmetric"),
    _case(2, "keratosis", colour="brown", symmetry="asymmetric"),
    _case(3, "wart", colour="white", symmetry="symmetric"),
    _case(4, "nevus", colour="brown", symmetry="symmetric"),
]


def test_a_written_narrative_says_the_known_and_nothing_else():
    for case, text in zip(CASES, narratives_of(CASES, source="written", seed=3), strict=True):
        narrative = parse_narrative(text)
        assert narrative.diagnosis == case.label
        assert read_findings(narrative.observation) == dict(case.findings)
        assert set(narrative.differential) <= {c.label for c in CASES} - {case.label}


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|im_end|>", "</s>", "<\u200b|im_end|>"])
@pytest.mark.parametrize("field", ["narrative", "label", "context"])
@pytest.mark.parametrize("source", ["given", "written"])
def test_control_tokens_are_refused_with_the_case(token, field, source):
    given = [replace(case, narrative=f"a {case.label}") for case in CASES]
    value = {"site": f"arm {token}"} if field == "context" else f"a wart{token}"
    given[3] = replace(given[3], **{field: value})
    with pytest.raises(DatasetError, match="1 texts of training cases contain control") as caught:
        narratives_of(given, source=source, seed=0)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"c3: its {field}")


def test_wording_depends_on_the_seed_and_not_on_the_other_cases():
    texts = narratives_of(CASES, source="written", seed=3)
    assert narratives_of(CASES, source="written", seed=3) == texts
    assert narratives_of(CASES, source="written", seed=4) != texts
    assert narratives_of(CASES[::-1], source="written", seed=3) == texts[::-1]


def test_the_differential_names_the_labels_with_the_likeliest_findings():
    likeness = FindingsByLabel(CASES)
    assert likeness.nearest({"colour": "brown", "symmetry": "asymmetric"}, "melanoma") == (
        "keratosis",
        "nevus",
    )
    assert likeness.nearest({"colour": "brown"}, "nevus")[0] == "keratosis"
    assert likeness.nearest({}, "nevus") == ()


def test_only_what_speaks_for_the_label_is_cited():
    likeness = FindingsByLabel(CASES)
    odd = {"colour": "brown", "symmetry": "symmetric"}
    assert likeness.speaking_for(odd, "melanoma") == frozenset()
    assert likeness.speaking_for(odd, "nevus") == {"colour", "symmetry"}
    assert likeness.speaking_for({**odd, "symmetry": "asymmetric"}, "melanoma") == {"symmetry"}
    assert likeness.speaking_for(odd, "a label nobody has") == frozenset()
    odd_one = replace(CASES[0], id="odd", findings=odd)
    read = parse_narrative(narratives_of([*CASES, odd_one], source="written", seed=0)[-1])
    assert read_findings(read.observation) == odd
    assert not read_findings(read.reasoning)


def test_a_given_narrative_is_kept_and_a_missing_one_refused():
    given = [replace(CASES[0], narrative="the doctor's own words")]
    assert narratives_of(given, source="given", seed=0) == ["the doctor's own words"]
    assert narratives_of(given, source="written", seed=0) == ["the doctor's own words"]
    with pytest.raises(DatasetError, match="4 training cases have no narrative") as error:
        narratives_of([*given, *CASES[1:]], source="given", seed=0)
    assert error.value.problems == ("c1", "c2", "c3", "c4")


def test_a_case_without_a_label_cannot_have_a_narrative_written():
    with pytest.raises(DatasetError, match="neither a narrative nor a label"):
        narratives_of([replace(CASES[0], label=None)], source="written", seed=0)


def test_recorded_findings_are_not_replaced_by_measured_ones(tmp_path):
    picture = np.full((90, 90, 3), (224, 180, 160), np.uint8)
    rows, columns = np.mgrid[:90, :90]
    picture[(rows - 45) ** 2 + (columns - 45) ** 2 < 18**2] = (90, 55, 40)
    path = tmp_path / "spot.png"
    Image.fromarray(picture).save(path)
    case = replace(_case(0, "nevus", colour="pink"), images=(path,))
    seen = []
    completed = add_measured_findings([case], lambda *done: seen.append(done))
    assert completed[0].findings["colour"] == "pink"
    assert completed[0].findings["symmetry"] == "symmetric"
    assert seen == [(1, 1)]
