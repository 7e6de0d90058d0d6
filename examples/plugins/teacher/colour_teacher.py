"""A teacher that knows colours: the histogram of a picture is its vector."""

from pathlib import Path

import numpy as np

from skingpt_r1.data.intake import open_image

BINS = 4


def embed(paths: list[Path]) -> np.ndarray:
    """`[pictures, 64]`: the share of the pixels in each cell of the colour cube."""
    rows = []
    for path in paths:
        cells = np.asarray(open_image(path).resize((64, 64)), int) * BINS // 256
        codes = cells @ [BINS**2, BINS, 1]
        rows.append(np.bincount(codes.ravel(), minlength=BINS**3) / codes.size)
    return np.stack(rows)
