"""Pixels of every kind to 8-bit sRGB on white, by the colour profile that the file carries."""

import logging
import struct
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from skingpt_r1.errors import ImageError

logger = logging.getLogger(__name__)

# Modes of Pillow for the colour spaces of profiles.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_GREY = ("1", "L", "LA", "La")
_UNUSABLE = (ImageCms.PyCMSError, OSError, ValueError, TypeError, struct.error)

SAME_COLOURS = 2
"""A profile is sRGB if it moves no colour by more than this, of 255; rounding does. Our choice."""


def to_srgb(image: Image.Image, path: Path) -> Image.Image:
    """An RGB picture in sRGB: colours by the profile in `image.info`, transparent parts on white.

    A profile that is damaged or of another kind of picture is ignored, with a warning. Values of
    16 bits, and floats in 0..1 or 0..255, are scaled to 8 bits.

    Args:
        image: a picture of any mode that Pillow opens.
        path: its file, for the message.

    Raises:
        ImageError: values of more than 8 bits are out of range.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        return _convert(_wide_grey(image, path), profile)
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        return _on_white(image, profile)
    if image.mode in ("L", "RGB", "CMYK"):
        return _convert(image, profile)
    # A profile has nothing to say of black and white, or of the absolute colours of Lab.
    return _convert(image.convert("RGB"), None if image.mode in ("1", "LAB") else profile)


def _on_white(image: Image.Image, profile: Any) -> Image.Image:
    layer = image.convert("LA" if image.mode in _GREY else "RGBA")
    colours = _convert(layer.convert("L" if layer.mode == "LA" else "RGB"), profile)
    colours.putalpha(layer.getchannel("A"))
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, colours).convert("RGB")


def _wide_grey(image: Image.Image, path: Path) -> Image.Image:
    """Grey of more than 8 bits as 16 bits: integers up to 65535, floats in 0..1 or 0..255."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise _range_error(path, "values that are not finite")
    low, high = float(values.min()), float(values.max())
    full = 65535.0
    if image.mode == "F":
        full = 1.0 if high <= 1.0 else 255.0
    if low < 0 or high > full:
        raise _range_error(path, f"values from {low:g} to {high:g}")
    return Image.fromarray(np.round(values * (65535.0 / full)).astype(np.uint16))


def _range_error(path: Path, found: str) -> ImageError:
    return ImageError(
        f"{path}: {found} in mode I or F; integers in 0..65535 or floats in 0..1 or 0..255 are "
        "allowed; convert the picture to 8-bit PNG"
    )


def _convert(image: Image.Image, profile: Any) -> Image.Image:
    """Colours of mode L, I;16, RGB or CMYK to sRGB; without a profile they are taken for it."""
    transform = None
    if profile:
        try:
            transform = _transform(profile, image.mode)
        except _UNUSABLE:
            # Editors and cameras write broken profiles into sound pictures.
            logger.warning("a colour profile that cannot be used was ignored")
    if transform is not None and transform.input_mode == image.mode:
        return _applied(transform, image)
    if image.mode == "I;16":
        # Pillow would clip 16 bits, and not scale them.
        image = Image.fromarray(np.round(np.asarray(image) / 257.0).astype(np.uint8))
    colours = image.convert("RGB")
    return colours if transform is None else _applied(transform, colours)


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the colours of a profile to sRGB; None where it is sRGB, whatever its name.

    Raises:
        ValueError: a profile for other pictures than those of this mode.
        OSError: a damaged profile.
        PyCMSError: likewise.
    """
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    space = _MODES.get(source.profile.xcolor_space.strip())
    grey = mode in ("L", "I;16")
    if space != mode and not (grey and space in ("L", "RGB")):
        raise ValueError(f"a profile of {space} in a picture of mode {mode}")
    # A grey picture with a profile of colours is one whose three values are equal.
    entry = mode if space == "L" else space
    assert entry is not None
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        entry,
        "RGB",
        # What makes it faster is off by up to ten levels in the dark of a linear grey.
        flags=ImageCms.Flags.NOOPTIMIZE if space == "L" else ImageCms.Flags.NONE,
    )
    return None if space == "RGB" and _is_srgb(transform) else transform


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform from RGB leaves a grid of colours, and every grey, where they are."""
    levels = np.arange(0, 256, 15)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    greys = np.repeat(np.arange(256).reshape(1, -1, 1), 3, axis=2)
    colours = np.concatenate([grid, greys], axis=1).astype(np.uint8)
    converted = np.asarray(_applied(transform, Image.fromarray(colours))).astype(int)
    return int(np.abs(converted - colours).max()) <= SAME_COLOURS
