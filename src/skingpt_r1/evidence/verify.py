"""Claims held against the picture: supported, contradicted or not checkable, and where it shows.

For research, not for diagnosis. A claim that no verifier can check is never supported. What a
reader says of a picture from outside the world that it was taught on means nothing; the gate tells.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image, ImageStat
from torch import Tensor

from skingpt_r1.data.intake import open_image
from skingpt_r1.errors import CheckpointError
from skingpt_r1.evidence.cells import SIDE, tower_cells
from skingpt_r1.evidence.gate import ASSESSED, measure_picture, picture_problem, texture
from skingpt_r1.evidence.reader import (
    ABSENT,
    CONFIG_FILE,
    LESION,
    FindingReader,
    read_reader_config,
)
from skingpt_r1.model.backbone import NANO
from skingpt_r1.model.config import AUTO
from skingpt_r1.model.load import load_model
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.text.claims import Claim, read_claims
from skingpt_r1.text.narrative import Narrative

Verdict = Literal["supported", "contradicted", "not checkable"]

# What shows in one place of a picture; the other slots are about the whole of it.
LOCAL_SLOTS = frozenset({"colour", "morphology", "border", "surface", "sign", "shape", "bleeding"})
BLOCK = 3  # cells of a region's side
# A claim at least as likely is supported, and contradicted when at most so likely (our choice).
SUPPORTED, CONTRADICTED = 0.8, 0.2
UNKNOWN_SLOT = "no verifier knows this kind of finding"
UNSURE = "the picture does not tell"
ABOUT_OTHERS = "the text does not state it of this picture"


class Region(NamedTuple):
    """A rectangle of a picture, in shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def box(self, picture: Image.Image) -> tuple[int, int, int, int]:
        """The same in pixels."""
        width, height = picture.size
        return (
            round(self.left * width), round(self.top * height),
            round(self.right * width), round(self.bottom * height),
        )  # fmt: skip

    def __str__(self) -> str:
        """Its place in words, such as `upper left`."""
        across = ("left", "", "right")[min(2, int(1.5 * (self.left + self.right)))]
        down = ("upper", "", "lower")[min(2, int(1.5 * (self.top + self.bottom)))]
        return f"{down} {across}".strip() or "centre"


class CheckedClaim(NamedTuple):
    """A claim and what the picture says about it.

    Attributes:
        probability: that the claim is true of the picture, calibrated; None when not checkable.
        region: what the verdict hangs on most; None for claims about the whole picture.
        reason: why it is not checkable; empty otherwise.
        by: the verifier that checked it.
    """

    claim: Claim
    verdict: Verdict
    probability: float | None = None
    region: Region | None = None
    reason: str = ""
    by: str = ""


class Verifier(Protocol):
    """Checks claims against pictures; which slots it knows is its own affair."""

    name: str

    def check(
        self, picture: Image.Image, claims: Sequence[Claim], *, regions: bool = True
    ) -> list[CheckedClaim]:
        """One answer for each claim, in order."""


class ReaderVerifier:
    """Checks claims with a reader of the backbone's tower.

    Args:
        model: the backbone that the reader belongs to.
        reader: taught on known findings or concept labels.
    """

    def __init__(self, model: SkinGPT, reader: FindingReader) -> None:
        self.model, self.reader = model, reader
        self.name = f"reader of {reader.config.world}"

    def check(
        self, picture: Image.Image, claims: Sequence[Claim], *, regions: bool = True
    ) -> list[CheckedClaim]:
        """See `Verifier`; the regions cost one pass over `(SIDE - BLOCK + 1)**2` covered copies."""
        chances = self.read_all([picture])
        checked = [self.check_read(claim, chances) for claim in claims]
        local = [
            row
            for row, found in enumerate(checked)
            if found.probability is not None and found.claim.slot in LOCAL_SLOTS
        ]
        if not (regions and local):
            return checked
        places = list(blocks())
        covered = self.read_all([cover(picture, place) for place in places])
        for row in local:
            claim = checked[row].claim
            before, after = (self._is_true(claim, found) for found in (chances, covered))
            falls = (before - after) if float(before) >= CONTRADICTED else (after - before)
            checked[row] = checked[row]._replace(region=places[int(torch.argmax(falls))])
        return checked

    def problem_of(self, picture: Image.Image) -> str | None:
        """Why this verifier can say nothing about a picture; None when it can."""
        cells = tower_cells(self.model, [picture], self.reader.config.layers)
        if not bool(self.reader.world.holds(texture(picture)[None], cells)):
            return (
                f"it is not like the pictures that were learned from ({self.reader.config.world})"
            )
        chances = self.reader.probabilities(cells).get(LESION)
        if chances is None:
            return None
        absent = self.reader.config.slots[LESION].index(ABSENT)
        return "nothing is seen on the skin" if float(chances[0, absent]) > 0.5 else None

    def read_all(self, pictures: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Slot -> `[pictures, values]`."""
        return self.reader.read(self.model, pictures)

    def _is_true(self, claim: Claim, chances: Mapping[str, Tensor]) -> Tensor:
        """`[pictures]`: how likely the value of a claim is there, stated or denied."""
        return self.reader.claim_probability(claim.slot, claim.value, chances[claim.slot])

    def check_read(
        self, claim: Claim, chances: Mapping[str, Tensor], picture: int = 0
    ) -> CheckedClaim:
        """One claim, without a region, from what `read_all` gave of a picture."""
        if claim.status not in ("stated", "denied"):
            return CheckedClaim(claim, "not checkable", reason=ABOUT_OTHERS)
        if claim.value not in self.reader.config.slots.get(claim.slot, ()):
            return CheckedClaim(claim, "not checkable", reason=UNKNOWN_SLOT)
        there = float(self._is_true(claim, chances)[picture])
        probability = 1 - there if claim.status == "denied" else there
        verdict: Verdict = "not checkable"
        if probability >= SUPPORTED:
            verdict = "supported"
        elif probability <= CONTRADICTED:
            verdict = "contradicted"
        reason = UNSURE if verdict == "not checkable" else ""
        return CheckedClaim(claim, verdict, round(probability, 4), None, reason, self.name)


def assess(pictures: Sequence[Image.Image], verifier: ReaderVerifier | None = None) -> str:
    """Whether pictures can be assessed: `assessed`, or `cannot assess: ` and the reason.

    With a verifier also whether they are of the world that it was taught on, and show a lesion.
    """
    problem = next(filter(None, (picture_problem(measure_picture(p)) for p in pictures)), None)
    if problem is None and verifier is not None:
        problem = next(filter(None, map(verifier.problem_of, pictures)), None)
    return ASSESSED if problem is None else f"cannot assess: {problem}"


def verify(
    pictures: str | Path | Sequence[str | Path],
    text: str | Narrative,
    verifiers: Verifier | Sequence[Verifier] | None = None,
    *,
    regions: bool = True,
) -> list[CheckedClaim]:
    """Hold the claims of a narrative against its picture. For research, not for diagnosis.

    Args:
        pictures: one file, or all pictures of the case; a claim counts as in the picture that
            speaks most clearly about it.
        text: the narrative, or any text; claims of its answer count as well.
        verifiers: asked in order, until one can check a claim; the embedded one by default.
        regions: also say where in the picture it shows.

    Raises:
        ImageError: a picture cannot be read.
    """
    if verifiers is None:
        verifiers = load_verifier()
    asked = verifiers if isinstance(verifiers, Sequence) else [verifiers]
    paths = [pictures] if isinstance(pictures, str | Path) else pictures
    opened = [open_image(path) for path in paths]
    claims = text.claims if isinstance(text, Narrative) else read_claims(text)
    return assess_claims(opened, claims, asked, regions=regions)[1]


def assess_claims(
    pictures: Sequence[Image.Image],
    claims: Sequence[Claim],
    verifiers: Sequence[Verifier],
    *,
    regions: bool = True,
) -> tuple[str, list[CheckedClaim]]:
    """Whether the pictures can be assessed, and the claims; none is checkable where they cannot."""
    readers = (item for item in verifiers if isinstance(item, ReaderVerifier))
    assessment = assess(pictures, next(readers, None))
    if assessment != ASSESSED:
        return assessment, [
            CheckedClaim(claim, "not checkable", reason=assessment) for claim in claims
        ]
    return assessment, check_claims(pictures, claims, verifiers, regions=regions)


def check_claims(
    pictures: Sequence[Image.Image],
    claims: Sequence[Claim],
    verifiers: Iterable[Verifier],
    *,
    regions: bool = True,
) -> list[CheckedClaim]:
    """The same with opened pictures and read claims."""
    checked = [CheckedClaim(claim, "not checkable", reason=UNKNOWN_SLOT) for claim in claims]
    for verifier in verifiers:
        rows = [row for row, found in enumerate(checked) if found.reason == UNKNOWN_SLOT]
        asked = [claims[row] for row in rows]
        if not asked:
            break
        answers = [verifier.check(picture, asked, regions=regions) for picture in pictures]
        for place, row in enumerate(rows):
            checked[row] = max((answer[place] for answer in answers), key=_clearness)
    return checked


def _clearness(found: CheckedClaim) -> float:
    return -1.0 if found.probability is None else abs(found.probability - 0.5)


def blocks() -> Iterable[Region]:
    """All squares of `BLOCK` cells, row by row."""
    steps = range(SIDE - BLOCK + 1)
    for top in steps:
        for left in steps:
            yield Region(left / SIDE, top / SIDE, (left + BLOCK) / SIDE, (top + BLOCK) / SIDE)


def cover(
    picture: Image.Image,
    region: Region,
    fill: Callable[[Image.Image], tuple[int, ...]] | None = None,
) -> Image.Image:
    """A copy with a region painted over, in the picture's median colour by default."""
    colour = (fill or median_colour)(picture)
    covered = picture.copy()
    covered.paste(colour, region.box(picture))
    return covered


def median_colour(picture: Image.Image) -> tuple[int, ...]:
    """Of each channel by itself."""
    return tuple(ImageStat.Stat(picture).median)


def rim_colour(picture: Image.Image) -> tuple[int, ...]:
    """The mean colour of the picture's outermost tenth, which is skin in most pictures."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    edge = max(1, min(pixels.shape[:2]) // 10)
    inner = np.zeros(pixels.shape[:2], dtype=bool)
    inner[edge:-edge, edge:-edge] = True
    return tuple(int(value) for value in pixels[~inner].mean(0).round())


NANO_READER = Path(__file__).resolve().parent / "weights"


def load_verifier(
    name_or_dir: str | Path = NANO,
    model: SkinGPT | None = None,
    *,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype = AUTO,
) -> ReaderVerifier:
    """A verifier that reads the tower of a backbone. For research, not for diagnosis.

    Args:
        name_or_dir: `nano`, or a folder that `FindingReader.save_pretrained` wrote.
        model: any model on the backbone of the reader; that backbone is loaded when None, with
            device and number format as in `load_model`.

    Raises:
        CheckpointError: there is no reader, or the model has another backbone.
    """
    folder = NANO_READER if str(name_or_dir) == NANO else Path(name_or_dir)
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(f"{folder} holds no {CONFIG_FILE}; give `nano`, or a reader's folder")
    if model is None:
        taught = read_reader_config(folder).backbone
        model = _backbone(NANO if taught is None else taught.name, device, dtype)
    return ReaderVerifier(model, FindingReader.from_pretrained(folder, model.config.backbone))


def verifier_of(model: SkinGPT) -> ReaderVerifier | None:
    """The embedded verifier, where a model runs on the backbone that it was taught on."""
    taught, own = read_reader_config(NANO_READER).backbone, model.config.backbone
    if taught is None or own is None or taught.revision != own.revision:
        return None
    return load_verifier(NANO, model)


@lru_cache(maxsize=1)
def _backbone(name: str, device: str | torch.device, dtype: str | torch.dtype) -> SkinGPT:
    return load_model(name, device=device, dtype=dtype)
