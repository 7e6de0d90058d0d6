"""How many lesions, how large and where, from the findings count, size, arrangement."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

# Diameters in pixels of a 112-pixel picture; the classes are clearly apart.
DIAMETERS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"small": (12, 16), "medium": (22, 30), "large": (40, 60)}
)
NUMBERS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"one": (1, 1), "few": (3, 5), "many": (9, 16)}
)

Spots = NDArray[np.float64]


def _number_and_radii(findings: Mapping[str, str], rng: np.random.Generator) -> NDArray[np.float64]:
    count, size = findings["count"], findings["size"]
    low, high = NUMBERS[count]
    smallest, largest = DIAMETERS[size]
    crowded = {("few", "large"): (3, 4, 46.0), ("many", "medium"): (9, 10, 25.0)}
    low, high, largest = crowded.get((count, size), (low, high, largest))
    if count == "many" and findings["arrangement"] != "scattered":
        high = min(high, 13)
    number = int(rng.integers(low, high + 1))
    return rng.uniform(smallest, largest, number) / 2


def _gaps(place: Spots, radius: NDArray[np.float64], others: Spots) -> NDArray[np.float64]:
    """Smallest free distance of each candidate [n, 2] to the lesions placed so far [m, 3]."""
    apart = np.hypot(place[:, None, 0] - others[:, 0], place[:, None, 1] - others[:, 1])
    return np.asarray((apart - others[:, 2] - radius[:, None]).min(axis=1))


def _scattered(
    radii: NDArray[np.float64], field: tuple[float, float, float], rng: np.random.Generator
) -> Spots:
    x, y, reach = field
    spots = np.empty((0, 3))
    for radius in np.sort(radii)[::-1]:
        angle = rng.uniform(0, 2 * np.pi, 40)
        kept = reach - (0.45 if radius > 16 else 0.8) * radius
        away = kept * np.sqrt(rng.uniform(0, 1, 40))
        places = np.stack([x + away * np.cos(angle), y + away * np.sin(angle)], axis=1)
        best = 0
        if len(spots):
            gaps = _gaps(places, np.full(40, radius), spots)
            wide = np.flatnonzero(gaps > 7)
            best = int(wide[0]) if len(wide) else int(gaps.argmax())
        spots = np.vstack([spots, [*places[best], radius]])
    return spots


def _grouped(
    radii: NDArray[np.float64], field: tuple[float, float, float], rng: np.random.Generator
) -> Spots:
    """Each lesion touches the cluster; the place nearest to its centre is taken."""
    spots = np.array([[0.0, 0.0, radii[0]]])
    for radius in radii[1:]:
        near = spots[rng.integers(0, len(spots), 40)]
        angle = rng.uniform(0, 2 * np.pi, 40)
        apart = near[:, 2] + radius + rng.uniform(0.5, 2.5, 40)
        places = near[:, :2] + (apart * [np.cos(angle), np.sin(angle)]).T
        cost = np.hypot(*(places - spots[:, :2].mean(axis=0)).T)
        cost += 100 * np.maximum(0.3 - _gaps(places, np.full(40, radius), spots), 0)
        spots = np.vstack([spots, [*places[cost.argmin()], radius]])
    middle = (spots[:, :2].min(axis=0) + spots[:, :2].max(axis=0)) / 2
    spots[:, :2] += np.array(field[:2]) + rng.uniform(-8, 8, 2) - middle
    return spots


def _linear(
    radii: NDArray[np.float64], field: tuple[float, float, float], rng: np.random.Generator
) -> Spots:
    """A band through the picture; where one row is too short a second runs beside it."""
    x, y, reach = field
    angle = rng.uniform(0, np.pi)
    rows = 1 if 2 * radii.sum() + 2 * len(radii) < 2.1 * reach else 2
    per_row = int(np.ceil(len(radii) / rows))
    step = min(2.1 * reach / per_row, 2 * radii.max() + 5)
    spread = 0.0 if rows == 1 else float(radii.max()) + 0.5
    spots = []
    for i, radius in enumerate(radii):
        along = (i // rows - (per_row - 1) / 2) * step + (i % rows) * step / 2
        across = (2 * (i % rows) - 1) * spread + rng.uniform(-2, 2)
        dx, dy = np.cos(angle), np.sin(angle)
        spots.append([x + along * dx - across * dy, y + along * dy + across * dx, radius])
    return np.array(spots)


def place_lesions(
    findings: Mapping[str, str], rng: np.random.Generator, field: tuple[float, float, float]
) -> Spots:
    """Centres and radii [number, 3] in pixels of the 112-pixel picture.

    Args:
        findings: at least count, size and arrangement.
        rng: source of all variation.
        field: x, y and radius of the part of the picture that lesions may use.
    """
    radii = _number_and_radii(findings, rng)
    if findings["arrangement"] == "scattered":
        return _scattered(radii, field, rng)
    if findings["arrangement"] == "grouped":
        return _grouped(radii, field, rng)
    if findings["arrangement"] == "linear":
        return _linear(radii, field, rng)
    x, y, _ = field
    return np.array([[x + rng.uniform(-10, 10), y + rng.uniform(-10, 10), radii[0]]])
