"""Claims of real references: 100 first mentions in sentences that deny or suppose, read by hand.

The fixture holds places and readings, no words of the references.
"""

import json
from pathlib import Path

import pytest

from skingpt_r1.text.claims import read_claims

ROOT = Path(__file__).resolve().parents[3] / "shared" / "data" / "dermbench_sample" / "data" / "cot"
FIXTURE = Path(__file__).parents[1] / "fixtures" / "claims_references.json"
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="needs ../shared/data/dermbench_sample")


def test_what_is_denied_or_supposed_is_hardly_ever_taken_for_a_statement():
    rows = json.loads(FIXTURE.read_text("utf-8"))
    assert len(rows) == 100
    taken = kept = stated = 0
    for name, start, slot, value, by_hand in rows:
        claims = read_claims((ROOT / name).read_text("utf-8"))
        (status,) = [c.status for c in claims if (c.start, c.slot, c.value) == (start, slot, value)]
        taken += by_hand == "not stated" and status == "stated"
        stated += by_hand == "stated"
        kept += by_hand == status == "stated"
    assert taken <= 2
    assert kept / stated >= 0.9
