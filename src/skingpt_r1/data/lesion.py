"""Where the lesion is in a picture, from its pixels alone; None where that cannot be trusted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu

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
    """One segmented lesion at the working size.

    Attributes:
        mask: true on the lesion, [height, width].
        valid: false on the black surround of a dermoscope, [height, width].
        lab: smoothed CIELAB colours without thin hairs, [height, width, 3].
        distance: colour distance from the skin around, [height, width].
        skin: median CIELAB colour of the skin around, [3].
        contrast: median distance inside minus median distance outside.
    """

    mask: Mask
    valid: Mask
    lab: Floats
    distance: Floats
    skin: Floats
    contrast: float


def find_lesion(image: Image.Image) -> Lesion | None:
    """The lesion nearest to the middle, or None when no outline can be trusted.

    The skin colour is a plane fitted to the frame of the picture, so that slanting light does not
    count; where that fails, the plane is bent for light that falls off from the middle. The lesion
    is what differs from the skin by more than Otsu's threshold. Refused are outlines
    that are tiny, fill the picture, lie in a corner, run along the edge, are ragged, or hardly
    differ from the skin.
    """
    lab = _smooth_lab(image)
    valid = _inside_surround(lab[..., 0])
    if valid.mean() < 0.3:
        return None
    for radial in (False, True):
        lesion = _segment(lab, valid, radial=radial)
        if lesion is not None:
            return lesion
    return None


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
    skin = np.zeros_like(lab)
    # A hint of ridge: on a narrow picture the terms may depend on each other.
    ridge = 1e-3 * np.eye(len(terms))
    centre = np.median(colours, axis=0)
    apart = np.linalg.norm(colours - centre, axis=1)
    for _ in range(3):
        # The frame may hold hair, marks or part of the lesion: the nearer two thirds are fitted.
        keep = apart <= np.quantile(apart, 0.67)
        terms_kept = chosen[keep].astype(np.float64)
        plane = np.linalg.solve(
            terms_kept.T @ terms_kept + ridge, terms_kept.T @ colours[keep]
        ).astype(np.float32)
        apart = np.linalg.norm(colours - chosen @ plane, axis=1)
    skin = basis @ plane
    difference = lab - skin
    difference[..., 0] *= np.where(difference[..., 0] > 0, _LIGHTER_WEIGHT, 1.0)
    return np.asarray(np.linalg.norm(difference, axis=-1) * valid, np.float32)


def _central_component(distance: Floats, valid: Mask) -> Mask | None:
    threshold = max(float(threshold_otsu(distance[valid])), MIN_CONTRAST)
    mask = (distance > threshold) & valid
    mask = ndimage.binary_opening(mask, _SQUARE)
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
