"""A picture as it is sent to a language model: inside the message, shrunk, without metadata."""

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from skingpt_r1.data.intake import open_image

JPEG_QUALITY = 92


def picture_uri(path: Path, longest_side: int, quality: int = JPEG_QUALITY) -> str:
    """A picture file as a `data:` URI with a JPEG of at most `longest_side` pixels.

    The same file always gives the same URI, so that a cache of replies recognises it.

    Raises:
        ImageError: see `datasets.intake.open_image`.
    """
    image = open_image(path)
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    content = BytesIO()
    image.save(content, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
