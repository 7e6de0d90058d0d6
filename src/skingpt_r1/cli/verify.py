"""`skingpt verify`: claims of a text held against the picture, with the place where it shows."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.options import Device, Dtype, model_recipe
from skingpt_r1.data.intake import find_images, open_image
from skingpt_r1.errors import RecordError

if TYPE_CHECKING:
    from PIL import Image

    from skingpt_r1.evidence.verify import CheckedClaim

MARKS = {"supported": "+", "contradicted": "x", "not checkable": "?"}
COLOURS = {"supported": (0, 140, 90), "contradicted": (200, 30, 30)}


def verify(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Pictures of one case, or a folder.")
    ],
    text: Annotated[
        Path, typer.Option(metavar="FILE", help="What was written about it; - for standard input.")
    ],
    reader: Annotated[
        str, typer.Option(help="`nano`, or the folder of a reader that was taught on findings.")
    ] = "nano",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Write the first picture with the regions.")
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Hold the claims of a text against its picture.

    Each claim is supported, contradicted or not checkable. Claims about other diagnoses, and what
    is only supposed, are not held against the picture.
    """
    from skingpt_r1.evidence.gate import ASSESSED
    from skingpt_r1.evidence.verify import assess_claims, load_verifier
    from skingpt_r1.text.claims import read_claims

    opened = [open_image(path) for path in find_images(images)]
    written = _read_text(text)
    verifier = load_verifier(reader, **model_recipe(device, dtype).model_dump())
    assessment, checked = assess_claims(opened, read_claims(written), [verifier])
    if as_json:
        claims = [claim_record(found, written) for found in checked]
        record = {"assessment": assessment, "claims": claims, "note": RESEARCH}
        typer.echo(json.dumps(record))
    else:
        typer.echo(f"assessment: {assessment}")
        for found in checked if assessment == ASSESSED else ():
            typer.echo(claim_line(found, written))
        typer.echo(RESEARCH)
    if picture is not None:
        draw_regions(opened[0], checked).save(picture)
        typer.echo(f"picture: {picture}", err=as_json)


def _read_text(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"the text {path} cannot be read: {error}") from error


def claim_line(found: "CheckedClaim", text: str) -> str:
    """`+ surface: scaly ("scaly"), 0.98, upper left`."""
    claim = found.claim
    words = " ".join(text[claim.start : claim.end].split())
    line = f'{MARKS[found.verdict]} {claim.slot}: {described(found)} ("{words}")'
    if found.probability is not None:
        line += f", {found.probability:.2f}"
    place = str(found.region) if found.region is not None else found.reason
    return f"{line}, {place}" if place else line


def described(found: "CheckedClaim") -> str:
    """`scaly`, or `not scaly` where the text denies it."""
    return f"not {found.claim.value}" if found.claim.status == "denied" else found.claim.value


def claim_record(found: "CheckedClaim", text: str) -> dict[str, Any]:
    """A checked claim as JSON has it."""
    return {
        **found.claim._asdict(),
        "text": text[found.claim.start : found.claim.end],
        "verdict": found.verdict,
        "probability": found.probability,
        "region": None if found.region is None else list(found.region),
        "reason": found.reason,
        "by": found.by,
    }


def draw_regions(picture: "Image.Image", checked: Sequence["CheckedClaim"]) -> "Image.Image":
    """The picture with a frame and a name for each region; larger where it is small."""
    from PIL import Image, ImageDraw

    scale = max(1, round(448 / max(picture.size)))
    size = (picture.width * scale, picture.height * scale)
    page = picture.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(page)
    for number, found in enumerate(item for item in checked if item.region is not None):
        assert found.region is not None
        left, top, right, bottom = found.region.box(page)
        colour = COLOURS.get(found.verdict, (120, 120, 120))
        pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=2)
        place = (left + 4, min(top + 3 + 13 * number, bottom - 13))
        name = described(found)
        pen.rectangle(pen.textbbox(place, name), fill="white")
        pen.text(place, name, colour)
    return page
