"""Claims against pictures: verdicts, regions, and controls that must fail."""

import pytest
import torch
from PIL import Image

from skingpt_r1.evidence.gate import ASSESSED
from skingpt_r1.evidence.verify import (
    Region,
    assess,
    blocks,
    check_claims,
    cover,
    median_colour,
    rim_colour,
    verify,
)
from skingpt_r1.text.claims import Claim, read_claims


def claim(slot, value, status="stated"):
    return Claim(slot, value, 0, 1, status)


def test_true_findings_are_supported_and_false_ones_contradicted(verifier, pictures, facts):
    right = wrong = 0
    for picture, known in zip(pictures[:24], facts[:24], strict=True):
        other = "red" if known["colour"] != "red" else "brown"
        claims = [claim("colour", known["colour"]), claim("colour", other)]
        true, false = check_claims([picture], claims, [verifier], regions=False)
        right += true.verdict == "supported"
        wrong += false.verdict == "contradicted"
    assert right >= 22
    assert wrong >= 22


def test_the_same_claims_on_another_picture_are_not_supported(verifier, pictures, facts):
    own = other = 0
    for row in range(24):
        claims = [claim("colour", facts[row]["colour"]), claim("count", facts[row]["count"])]
        for shift in (0, 7):
            found = check_claims([pictures[row + shift]], claims, [verifier], regions=False)
            supported = sum(item.verdict == "supported" for item in found)
            own, other = own + supported * (shift == 0), other + supported * (shift == 7)
    assert own >= 42
    assert other <= own / 2


def test_a_denied_claim_is_the_opposite(verifier, pictures, facts):
    value = facts[0]["surface"]
    stated, denied = check_claims(
        pictures[:1], [claim("surface", value), claim("surface", value, "denied")], [verifier]
    )
    assert stated.probability + denied.probability == pytest.approx(1, abs=1e-3)
    assert {stated.verdict, denied.verdict} == {"supported", "contradicted"}
    assert stated.region == denied.region


def test_what_nobody_can_check_is_never_supported(verifier, pictures):
    claims = [
        claim("sign", "ulceration"), claim("colour", "salmon"), claim("colour", "red", "hedged"),
        claim("colour", "red", "other"),
    ]  # fmt: skip
    for found in check_claims(pictures[:1], claims, [verifier]):
        assert (found.verdict, found.probability, found.region) == ("not checkable", None, None)
        assert found.reason


def test_another_verifier_is_asked_what_the_first_cannot_check(verifier, pictures):
    class Sure:
        name = "sure"

        def check(self, picture, claims, *, regions=True):
            from skingpt_r1.evidence.verify import CheckedClaim

            return [CheckedClaim(item, "supported", 0.9, by=self.name) for item in claims]

    claims = [claim("colour", "red"), claim("sign", "ulceration")]
    first, second = check_claims(pictures[:1], claims, [verifier, Sure()], regions=False)
    assert first.by == verifier.name
    assert second.by == "sure"


def test_of_several_pictures_the_clearest_counts(verifier, pictures, facts):
    claims = [claim("colour", facts[0]["colour"])]
    found = [check_claims([p], claims, [verifier], regions=False)[0] for p in pictures[:2]]
    (both,) = check_claims(pictures[:2], claims, [verifier], regions=False)
    assert both == max(found, key=lambda item: abs(item.probability - 0.5))


def test_regions_are_where_covering_hurts_most(verifier, pictures, facts):
    value = facts[0]["colour"]
    (found,) = check_claims(pictures[:1], [claim("colour", value)], [verifier])
    covered = verifier.read_all([cover(pictures[0], place) for place in blocks()])["colour"]
    likely = verifier.reader.claim_probability("colour", value, covered)
    assert found.region == list(blocks())[int(torch.argmin(likely))]
    whole = check_claims(pictures[:1], [claim("count", facts[0]["count"])], [verifier])
    assert whole[0].region is None


def test_a_region_in_words_and_pixels():
    assert str(Region(0, 0, 0.375, 0.375)) == "upper left"
    assert str(Region(0.3, 0.3, 0.7, 0.7)) == "centre"
    assert str(Region(0.625, 0.3, 1, 0.7)) == "right"
    assert Region(0, 0.5, 0.5, 1).box(Image.new("RGB", (200, 100))) == (0, 50, 100, 100)
    places = list(blocks())
    assert len(places) == len(set(places)) == 36


def test_colours_of_paint():
    picture = Image.new("RGB", (100, 100), (10, 20, 30))
    picture.paste((200, 200, 200), (20, 20, 80, 80))
    assert rim_colour(picture) == (10, 20, 30)
    assert median_colour(picture) == (10, 20, 30)
    assert cover(picture, Region(0.4, 0.4, 0.6, 0.6)).getpixel((50, 50)) == (10, 20, 30)


def test_a_picture_that_cannot_be_assessed_supports_nothing(verifier, pictures, tmp_path):
    pictures[0].save(tmp_path / "skin.png")
    Image.effect_noise((200, 200), 90).convert("RGB").save(tmp_path / "noise.png")
    text = "One red papule."
    assert {item.verdict for item in verify(tmp_path / "skin.png", text, verifier)} != {
        "not checkable"
    }
    refused = verify([tmp_path / "noise.png"], text, verifier)
    assert {item.reason for item in refused} == {"cannot assess: it is noise, not a photo"}
    assert len(refused) == len(read_claims(text))


def test_skin_without_a_lesion_is_told(verifier, pictures):
    from tools.reader import BARE, drawn

    count = 6 * (BARE + 1)
    bare = [picture for row, (picture, _) in enumerate(drawn(count, 60_003)) if row % 17 == BARE]
    assert assess(pictures[:1], verifier) == ASSESSED
    said = [assess([picture], verifier) for picture in bare]
    assert len(said) == 6
    assert ASSESSED not in said
    assert "cannot assess: nothing is seen on the skin" in said
