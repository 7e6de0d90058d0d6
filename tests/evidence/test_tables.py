"""Tables of verifier and gate on unseen pictures, with the controls beside them."""

import pytest

from skingpt_r1.errors import DatasetError
from skingpt_r1.evidence.tables import GREY, OTHER, OWN, claim_rows, gate_rows, region_rows
from skingpt_r1.render.others import KINDS, other_pictures
from skingpt_r1.stats.intervals import Bootstrap
from skingpt_r1.text.findings import RENDERED_SLOTS

BOOT = Bootstrap(seed=0, resamples=100)
AUC = "AUC of true against false claims"


def test_claims_are_told_apart_on_their_own_picture_alone(verifier, pictures, facts):
    rows = claim_rows(verifier, pictures, facts, slots=RENDERED_SLOTS, boot=BOOT)
    found = {(row.system, row.metric): row for row in rows}
    assert found[OWN, AUC].value >= 0.95
    assert found[OWN, AUC].low <= found[OWN, AUC].value <= found[OWN, AUC].high
    assert min(found[OWN, f"AUC, {slot}"].value for slot in RENDERED_SLOTS) >= 0.85
    assert found[OWN, "calibration error"].value <= 0.06
    assert found[OTHER, AUC].value <= 0.68
    assert found[GREY, AUC].value <= 0.65
    assert {row.table for row in rows} == {"claims"}


def test_the_region_of_a_claim_outweighs_one_by_chance(verifier, pictures, facts):
    (row,) = region_rows(verifier, pictures[:16], facts[:16], BOOT)
    assert row.value >= 0.8
    assert 40 <= row.n <= 64


def test_the_gate_is_counted_kind_by_kind(pictures):
    rows = {row.metric: row for row in gate_rows(pictures, other_pictures(4, 2), BOOT)}
    assert rows["other pictures refused"].n == 4 * len(KINDS)
    assert rows["other pictures refused"].value >= 0.95
    assert rows["skin passed"].n == len(pictures)


def test_nothing_known_is_an_error(verifier, pictures):
    with pytest.raises(DatasetError, match="without known findings"):
        claim_rows(verifier, pictures[:2], [{}, {}], slots=RENDERED_SLOTS, boot=BOOT)
