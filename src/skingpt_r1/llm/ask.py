"""The one way to ask a language model: a request in, a reply with its provenance out.

Narrators of a corpus, judges and systems under test are asked alike; the built-in narrators, which
need no language model, answer in the same form. A picture is sent inside the message, shrunk and
without metadata.
"""

import base64
import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from skingpt_r1.data.intake import open_image

JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask: the words, the pictures that go with them, and the seed of the sampling."""

    text: str
    images: tuple[Path, ...]
    seed: int


class Reply(NamedTuple):
    """What came back.

    Attributes:
        problem: a short code why there is no usable text (`refusal`, `empty`, `truncated`,
            `timeout`, `connection`, `server_error`, `rate_limited`, `too_long`); None when fine.
        cost_usd: paid for this text; 0 for what runs here, None when the price is not known.
        simulated_slip: the mistake that a narrator was told to make; None from real narrators.
        thoughts: what the model wrote as its thinking, which inspect-ai takes out of the text.
    """

    text: str  # as written; empty when `problem` is set
    narrator: str  # name and version of what wrote it
    problem: str | None = None
    input_tokens: int = 0  # read; 0 where they are not reported
    output_tokens: int = 0  # written; 0 where they are not reported
    cost_usd: float | None = 0.0
    simulated_slip: str | None = None
    unused_text: str = ""  # what came back where `problem` says that it is of no use
    thoughts: str = ""


def picture_uri(path: Path, longest_side: int, quality: int = JPEG_QUALITY) -> str:
    """A picture file as a `data:` URI with a JPEG of at most `longest_side` pixels.

    The same file always gives the same URI, so that a cache of replies recognises it.

    Raises:
        ImageError: see `data.intake.open_image`.
    """
    image = open_image(path)
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    content = BytesIO()
    image.save(content, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def prompt_sha256(prompt: str) -> str:
    """The hash of a prompt that goes into the provenance."""
    return hashlib.sha256(prompt.encode()).hexdigest()
