"""Measured descriptors of a lesion picture: size, symmetry, border and colour, from pixels alone.

They stand in for findings that a data set's table does not record. They describe the picture, not
the skin: size is relative to the frame, and colours depend on light and camera. Where the outline
of the lesion cannot be trusted, nothing is measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from skimage.measure import perimeter_crofton

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

WORKING_SIDE = 96
"""Longest side, in pixels, of the copy that is measured; fine enough for outline and colour."""

FRAME_SHARE = 0.1
"""Width of the outer frame that is taken for skin, as a share of the shorter side."""

# Our choices, tuned by eye on dermoscopic and phone pictures; docs/sources.md.
MIN_CONTRAST = 7.0
MIN_CONTRAST_LIGHTER = 12.0
MIN_SEPARATION = 1.6
AREA_SHARES = (0.004, 0.75)
MAX_FRAME_TOUCH = 0.17
MIN_SOLIDITY = 0.6
MAX_OFF_CENTRE = 0.36
SURROUND_LIGHTNESS = 22.0
_LIGHTER_WEIGHT = 0.6
_CENTRE_SPREAD = 0.3
_TAIL_SHARE = 0.2
_SQUARE = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class Lesion:
    """One segmented lesion at the working size, [height, width]."""

    mask: Mask  # true on the lesion
    valid: Mask  # false on the black surround of a dermoscope
    lab: Floats  # smoothed CIELAB colours without thin hairs, [height, width, 3]
    distance: Floats  # colour distance from the skin around
    skin: Floats  # median CIELAB colour of the skin around, [3]
    contrast: float  # median distance inside minus median distance outside


def find_lesion(image: Image.Image) -> Lesion | None:
    """The lesion nearest to the middle, or None when no outline can be trusted.

    The skin colour is a plane fitted to the frame of the picture (for slanting light), or a bent
    one where that fails (for light that falls off from the middle). The lesion is what differs from
    it by more than Otsu's threshold.
    """
    lab = _smooth_lab(image)
    valid = _inside_surround(lab[..., 0])
    if valid.mean() < 0.3:
        return None
    return _segment(lab, valid, radial=False) or _segment(lab, valid, radial=True)


def _segment(lab: Floats, valid: Mask, *, radial: bool) -> Lesion | None:
    distance = _distance_from_skin(lab, valid, radial=radial)
    mask = _central_component(distance, valid)
    if mask is None:
        return None
    outside = valid & ~ndimage.binary_dilation(mask, iterations=3)
    if outside.sum() < 0.05 * valid.sum():
        return None
    inner, outer = distance[mask], distance[outside]
    contrast = float(np.median(inner) - np.median(outer))
    lesion = Lesion(mask, valid, lab, distance, np.median(lab[outside], axis=0), contrast)
    return lesion if _plausible(lesion, float(outer.std())) else None


def solidity(mask: Mask) -> float:
    """Area of the mask over the area of its convex hull; 1 for a convex outline."""
    edge = mask & ~ndimage.binary_erosion(mask)
    rows, columns = np.nonzero(edge)
    # Pixels are squares: their corners, not their centres, span the hull.
    corners = np.concatenate(
        [np.stack([rows + dy, columns + dx], 1) for dy in (-0.5, 0.5) for dx in (-0.5, 0.5)]
    )
    try:
        return float(mask.sum() / ConvexHull(corners).volume)
    except QhullError:
        return 1.0


def _smooth_lab(image: Image.Image) -> Floats:
    scale = WORKING_SIDE / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    rgb = np.asarray(image.convert("RGB"), np.float32) / 255
    # Closing lifts dark lines thinner than the window: hairs and ruler marks.
    rgb = ndimage.grey_closing(rgb, size=(3, 3, 1))
    rgb = ndimage.gaussian_filter(rgb, sigma=(1, 1, 0))
    return np.asarray(rgb2lab(rgb), np.float32)


def _inside_surround(lightness: Floats) -> Mask:
    """All but the dark areas that reach a corner, with a margin for their soft edge."""
    dark = lightness < SURROUND_LIGHTNESS
    labels, _ = ndimage.label(dark)
    corners = {int(labels[r, c]) for r in (0, -1) for c in (0, -1)} - {0}
    if not corners:
        return np.ones_like(dark)
    outside: Mask = ndimage.binary_dilation(np.isin(labels, list(corners)), iterations=5)
    return ~outside


def _depth(valid: Mask) -> Floats:
    """Distance in pixels from each valid pixel to the nearest place outside the valid area."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(valid, 1))[1:-1, 1:-1], np.float32)


def _distance_from_skin(lab: Floats, valid: Mask, *, radial: bool) -> Floats:
    height, width = valid.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = [np.ones_like(x), x, y, *([x**2 + y**2] if radial else [])]
    basis = np.stack(terms, axis=-1)
    width = max(2, round(FRAME_SHARE * min(valid.shape)))
    frame = valid & (_depth(valid) <= width)
    chosen, colours = basis[frame], lab[frame]
    # A hint of ridge: on a narrow picture the terms may depend on each other.
    ridge = 1e-3 * np.eye(len(terms))
    centre = np.median(colours, axis=0)
    apart = np.linalg.norm(colours - centre, axis=1)
    for _ in range(3):
        # The frame may hold hair, marks or part of the lesion: the nearer two thirds are fitted.
        keep = apart <= np.quantile(apart, 0.67)
        kept = chosen[keep].astype(np.float64)
        plane = np.linalg.solve(kept.T @ kept + ridge, kept.T @ colours[keep]).astype(np.float32)
        apart = np.linalg.norm(colours - chosen @ plane, axis=1)
    difference = lab - basis @ plane
    difference[..., 0] *= np.where(difference[..., 0] > 0, _LIGHTER_WEIGHT, 1.0)
    return np.asarray(np.linalg.norm(difference, axis=-1) * valid, np.float32)


def _central_component(distance: Floats, valid: Mask) -> Mask | None:
    threshold = max(float(threshold_otsu(distance[valid])), MIN_CONTRAST)
    mask = ndimage.binary_opening((distance > threshold) & valid, _SQUARE)
    mask = ndimage.binary_closing(np.pad(mask, 3), _SQUARE, iterations=2)[3:-3, 3:-3]
    mask = ndimage.binary_fill_holes(mask) & valid
    labels, count = ndimage.label(mask)
    if count == 0:
        return None
    height, width = mask.shape
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    weight = np.exp(-(x**2 + y**2) / (2 * _CENTRE_SPREAD**2))
    scores = ndimage.sum_labels(weight, labels, np.arange(1, count + 1))
    return _without_tails(np.asarray(labels == 1 + int(np.argmax(scores))))


def _without_tails(mask: Mask) -> Mask:
    """The mask without what is much thinner than itself: pen marks, folds, hairs."""
    radius = round(_TAIL_SHARE * float(np.sqrt(mask.sum() / np.pi)))
    if radius < 1:
        return mask
    core = _depth(mask) > radius
    opened = mask & (ndimage.distance_transform_edt(~core) <= radius) if core.any() else core
    labels, count = ndimage.label(opened)
    if count == 0:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.flat)[1:])))


def _plausible(lesion: Lesion, noise: float) -> bool:
    mask, valid = lesion.mask, lesion.valid
    share = mask.sum() / valid.sum()
    edge = valid & (_depth(valid) <= 1)
    touch = (mask & edge).sum() / edge.sum()
    off_centre = np.abs((np.argwhere(mask).mean(axis=0) + 0.5) / mask.shape - 0.5).max()
    lighter = float(np.median(lesion.lab[mask][:, 0])) > lesion.skin[0]
    return bool(
        AREA_SHARES[0] <= share <= AREA_SHARES[1]
        and touch <= MAX_FRAME_TOUCH
        and off_centre <= MAX_OFF_CENTRE
        and lesion.contrast >= (MIN_CONTRAST_LIGHTER if lighter else MIN_CONTRAST)
        and lesion.contrast >= MIN_SEPARATION * noise
        and solidity(mask) >= MIN_SOLIDITY
    )


# Typical CIELAB colours of what dermatologists call by these names, under camera light.
# Our choice, tuned by eye on dermoscopic and phone pictures; docs/sources.md.
PROTOTYPES: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("black", (14, 2, 2)), ("black", (22, 4, 0)), ("black", (31, 6, 1)),
    ("brown", (30, 12, 14)), ("brown", (40, 14, 18)), ("brown", (48, 16, 24)),
    ("brown", (34, 20, 26)), ("brown", (40, 25, 20)), ("brown", (28, 22, 14)),
    ("brown", (46, 7, 8)),
    ("tan", (60, 12, 22)), ("tan", (68, 9, 20)),
    ("red", (38, 36, 22)), ("red", (48, 42, 26)), ("red", (56, 40, 26)),
    ("red", (28, 28, 14)), ("red", (38, 24, 11)), ("red", (45, 29, 11)),
    ("pink", (64, 26, 10)), ("pink", (72, 20, 8)), ("pink", (60, 28, 2)),
    ("pink", (56, 14, 4)), ("pink", (48, 19, 5)),
    ("purple", (36, 20, -4)), ("purple", (50, 22, -8)), ("purple", (36, 36, -8)),
    ("white", (84, 3, 4)), ("white", (92, 0, 2)),
    ("yellow", (66, 14, 48)), ("yellow", (76, 6, 42)),
)  # fmt: skip
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
    """What the pixels of one segmented lesion say; colours are in CIELAB units."""

    area_share: float  # lesion over picture, without a dermoscope's black surround
    asymmetry: float  # mean share without a mirror image, over both main axes: 0 if symmetric
    colour_asymmetry: float  # mean colour difference of mirrored lesion pixels
    border_irregularity: float  # squared ratio of the perimeter to a like ellipse's: 1 if smooth
    border_width: float  # of the transition from lesion to skin, as a share of the longer side
    solidity: float  # area over the area of the convex hull
    elongation: float  # long over short main axis
    contrast: float  # colour distance of the lesion from the skin around
    colour: str  # the name that most lesion pixels have, in the vocabulary of `findings.py`
    num_colours: int  # how many names at least a tenth of the lesion pixels have
    lab: tuple[float, float, float]  # median colour of the lesion
    skin_lab: tuple[float, float, float]  # median colour of the skin around


def measure(image: Image.Image) -> Measurements | None:
    """Descriptors of the lesion in the middle of an RGB picture; None without a sound outline."""
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
        lab=tuple(np.median(lesion.lab[mask], axis=0).tolist()),
        skin_lab=tuple(lesion.skin.tolist()),
    )


def findings_of(found: Measurements | None) -> dict[str, str]:
    """Findings in the vocabulary of `findings.py`: size, colour, border and symmetry; or none."""
    if found is None:
        return {}
    size = "small" if found.area_share < SMALL_BELOW else "medium"
    border = "blurred" if found.border_width >= BLURRED_FROM else "sharp"
    uneven = found.asymmetry >= ASYMMETRIC_FROM or found.colour_asymmetry >= UNEVEN_COLOUR_FROM
    return {
        "size": "large" if found.area_share >= LARGE_FROM else size,
        "colour": found.colour,
        "border": "irregular" if found.border_irregularity >= IRREGULAR_FROM else border,
        "symmetry": "asymmetric" if uneven else "symmetric",
    }


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
