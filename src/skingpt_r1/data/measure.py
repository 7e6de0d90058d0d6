"""Measured descriptors of a lesion picture: size, symmetry, border and colour, from pixels alone.

They stand in for findings that a data set's table does not record. They describe the picture, not
the skin: size is relative to the frame, and colours depend on light and camera.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.measure import perimeter_crofton

from skingpt_r1.data.lesion import Floats, Lesion, Mask, find_lesion, solidity

# Typical CIELAB colours of what dermatologists call by these names, under camera light.
# Our choice, tuned by eye on dermoscopic and phone pictures; docs/sources.md.
PROTOTYPES: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("black", (14, 2, 2)),
    ("black", (22, 4, 0)),
    ("black", (31, 6, 1)),
    ("brown", (30, 12, 14)),
    ("brown", (40, 14, 18)),
    ("brown", (48, 16, 24)),
    ("brown", (34, 20, 26)),
    ("brown", (40, 25, 20)),
    ("brown", (28, 22, 14)),
    ("brown", (46, 7, 8)),
    ("tan", (60, 12, 22)),
    ("tan", (68, 9, 20)),
    ("red", (38, 36, 22)),
    ("red", (48, 42, 26)),
    ("red", (56, 40, 26)),
    ("red", (28, 28, 14)),
    ("red", (38, 24, 11)),
    ("red", (45, 29, 11)),
    ("pink", (64, 26, 10)),
    ("pink", (72, 20, 8)),
    ("pink", (60, 28, 2)),
    ("pink", (56, 14, 4)),
    ("pink", (48, 19, 5)),
    ("purple", (36, 20, -4)),
    ("purple", (50, 22, -8)),
    ("purple", (36, 36, -8)),
    ("white", (84, 3, 4)),
    ("white", (92, 0, 2)),
    ("yellow", (66, 14, 48)),
    ("yellow", (76, 6, 42)),
)
_NAMES = tuple(dict.fromkeys(name for name, _ in PROTOTYPES))
_CENTRES = np.array([centre for _, centre in PROTOTYPES], np.float32)
_NAME_OF_CENTRE = np.array([_NAMES.index(name) for name, _ in PROTOTYPES])

# The colour of light is told from the skin around: its hue is moved part of the way to this one.
TYPICAL_SKIN_HUE = (13.0, 14.0)
ADAPTATION = 0.6

# A lesion this near to its skin, in lightness and in hue, has the colour of the skin.
SKIN_COLOURED_BELOW = 9.0
COLOUR_SHARE = 0.1
SMALL_BELOW, LARGE_FROM = 0.05, 0.2
ASYMMETRIC_FROM = 0.15
UNEVEN_COLOUR_FROM = 10.5
IRREGULAR_FROM = 1.3
BLURRED_FROM = 0.06


@dataclass(frozen=True, slots=True)
class Measurements:
    """What the pixels of one segmented lesion say.

    Attributes:
        area_share: lesion area over picture area (without a dermoscope's black surround).
        asymmetry: mean share of the lesion that has no mirror image, over its two main axes;
            0 for a mirror-symmetric outline, towards 1 for none.
        colour_asymmetry: mean colour difference of mirrored lesion pixels, in CIELAB units.
        border_irregularity: squared ratio of the perimeter to that of an ellipse of the same area
            and elongation; about 1 for any smooth oval.
        border_width: width of the transition from lesion to skin, as a share of the longer side.
        solidity: area over the area of the convex hull.
        elongation: long over short main axis.
        contrast: colour distance of the lesion from the skin around, in CIELAB units.
        colour: the name that most lesion pixels have, in the vocabulary of `findings.py`.
        num_colours: how many names at least a tenth of the lesion pixels have.
        lab: median CIELAB colour of the lesion.
        skin_lab: median CIELAB colour of the skin around.
    """

    area_share: float
    asymmetry: float
    colour_asymmetry: float
    border_irregularity: float
    border_width: float
    solidity: float
    elongation: float
    contrast: float
    colour: str
    num_colours: int
    lab: tuple[float, float, float]
    skin_lab: tuple[float, float, float]


def measure(image: Image.Image) -> Measurements | None:
    """Descriptors of the lesion in the middle, or None when its outline cannot be trusted.

    Args:
        image: an RGB picture as `intake.open_image` gives it.
    """
    lesion = find_lesion(image)
    if lesion is None:
        return None
    mask = lesion.mask
    axes, elongation = _main_axes(mask)
    asymmetry, colour_asymmetry = _asymmetry(lesion, axes)
    colour, num_colours = _colours(lesion)
    return Measurements(
        area_share=float(mask.sum() / lesion.valid.sum()),
        asymmetry=asymmetry,
        colour_asymmetry=colour_asymmetry,
        border_irregularity=_irregularity(mask, elongation),
        border_width=_border_width(lesion),
        solidity=solidity(mask),
        elongation=elongation,
        contrast=lesion.contrast,
        colour=colour,
        num_colours=num_colours,
        lab=_median_colour(lesion.lab[mask]),
        skin_lab=_triple(lesion.skin),
    )


def findings_of(measurements: Measurements | None) -> dict[str, str]:
    """Findings in the vocabulary of `findings.py`: colour, size, symmetry and border.

    Nothing is said about a picture whose outline could not be trusted.
    """
    if measurements is None:
        return {}
    return {
        "size": _size(measurements.area_share),
        "colour": measurements.colour,
        "border": _border(measurements),
        "symmetry": _symmetry(measurements),
    }


def _size(area_share: float) -> str:
    if area_share < SMALL_BELOW:
        return "small"
    return "large" if area_share >= LARGE_FROM else "medium"


def _symmetry(measurements: Measurements) -> str:
    uneven = (
        measurements.asymmetry >= ASYMMETRIC_FROM
        or measurements.colour_asymmetry >= UNEVEN_COLOUR_FROM
    )
    return "asymmetric" if uneven else "symmetric"


def _border(measurements: Measurements) -> str:
    if measurements.border_irregularity >= IRREGULAR_FROM:
        return "irregular"
    return "blurred" if measurements.border_width >= BLURRED_FROM else "sharp"


def _main_axes(mask: Mask) -> tuple[NDArray[np.float64], float]:
    """Main axes as columns of a [2, 2] matrix in (row, column), the long one first."""
    points = np.argwhere(mask).astype(np.float64)
    spread, axes = np.linalg.eigh(np.cov(points.T) + np.eye(2) / 12)
    return axes[:, ::-1], float(np.sqrt(spread[1] / spread[0]))


def _asymmetry(lesion: Lesion, axes: NDArray[np.float64]) -> tuple[float, float]:
    """Mean over both main axes of unmatched area and of mirrored colour difference."""
    mask = lesion.mask
    points = np.argwhere(mask).astype(np.float64)
    centre = points.mean(axis=0)
    unmatched, differences = [], []
    for axis in axes.T:
        across = (points - centre) @ axis
        mirrored = np.rint(points - 2 * across[:, None] * axis).astype(int)
        inside = ((mirrored >= 0) & (mirrored < mask.shape)).all(axis=1)
        rows, columns = np.where(inside[:, None], mirrored, 0).T
        matched = mask[rows, columns] & inside
        unmatched.append(1 - matched.mean())
        if matched.any():
            ours = lesion.lab[mask][matched]
            theirs = lesion.lab[rows[matched], columns[matched]]
            differences.append(float(np.linalg.norm(ours - theirs, axis=1).mean()))
    return float(np.mean(unmatched)), float(np.mean(differences)) if differences else 0.0


def _irregularity(mask: Mask, elongation: float) -> float:
    long = float(np.sqrt(mask.sum() / np.pi * elongation))
    short = long / elongation
    # Ramanujan's approximation of the perimeter of an ellipse.
    ellipse = np.pi * (3 * (long + short) - np.sqrt((3 * long + short) * (long + 3 * short)))
    return float(perimeter_crofton(mask, directions=4) / ellipse) ** 2


def _border_width(lesion: Lesion) -> float:
    """Contrast over slope at the outline: how long the fading out takes."""
    mask = lesion.mask
    outline = mask ^ ndimage.binary_erosion(mask)
    slope = np.hypot(*np.gradient(lesion.distance))
    # The steepest place near the outline counts: the outline itself may lie beside it.
    steepest = ndimage.maximum_filter(slope, size=5)[outline & lesion.valid]
    return float(lesion.contrast / max(float(np.median(steepest)), 1e-6) / max(mask.shape))


def _colours(lesion: Lesion) -> tuple[str, int]:
    """The commonest colour name of the lesion's core, and how many names are common."""
    core = ndimage.binary_erosion(lesion.mask)
    colours = lesion.lab[core if core.sum() >= 12 else lesion.mask]
    cast = lesion.skin[1:] - np.array(TYPICAL_SKIN_HUE, np.float32)
    adapted = colours - np.array([0, *(ADAPTATION * cast)], np.float32)
    shares = np.bincount(name_colours(adapted), minlength=len(_NAMES)) / len(colours)
    num_colours = max(1, int((shares >= COLOUR_SHARE).sum()))
    if np.linalg.norm(np.median(colours, axis=0) - lesion.skin) < SKIN_COLOURED_BELOW:
        return "skin-coloured", num_colours
    return _NAMES[int(np.argmax(shares))], num_colours


def name_colours(lab: Floats) -> NDArray[np.int64]:
    """Index into the colour names for each CIELAB colour of [n, 3]: the nearest prototype's."""
    apart = ((lab[:, None, :] - _CENTRES[None]) ** 2).sum(axis=2)
    return np.asarray(_NAME_OF_CENTRE[np.argmin(apart, axis=1)])


def _median_colour(colours: Floats) -> tuple[float, float, float]:
    return _triple(np.median(colours, axis=0))


def _triple(colour: Floats) -> tuple[float, float, float]:
    lightness, a, b = (float(value) for value in colour)
    return lightness, a, b
