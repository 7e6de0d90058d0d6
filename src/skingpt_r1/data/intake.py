"""Picture files in, plain RGB pictures out: the one door through which pixels enter.

Pixels of every kind become 8-bit sRGB on white, by the colour profile that the file carries.
"""

import logging
import stat
import struct
import warnings
from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from skingpt_r1.data.dicom import is_dicom, read_dicom
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
    """An 8-bit RGB picture in sRGB: colours by the profile in `image.info`, on white.

    A profile that is damaged or of another kind of picture is ignored, with a warning.

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
    low, high = float(values.min()), float(values.max())
    full = 65535.0
    if image.mode == "F":
        full = 1.0 if high <= 1.0 else 255.0
    finite = np.isfinite(values).all()
    if not finite or low < 0 or high > full:
        found = f"values from {low:g} to {high:g}" if finite else "values that are not finite"
        raise ImageError(
            f"{path}: {found} in mode I or F; integers in 0..65535 or floats in 0..1 or 0..255 are "
            "allowed; convert the picture to 8-bit PNG"
        )
    return Image.fromarray(np.round(values * (65535.0 / full)).astype(np.uint16))


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
    """From the colours of a profile to sRGB; None where it is sRGB, whatever its name."""
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    space = _MODES.get(source.profile.xcolor_space.strip())
    grey = mode in ("L", "I;16")
    if space != mode and not (grey and space in ("L", "RGB")):
        raise ValueError(f"a profile of {space} in a picture of mode {mode}")
    # A grey picture with a profile of colours is one whose three values are equal.
    entry = mode if space == "L" else space
    assert entry is not None
    # The optimised transform is off by up to ten levels in the dark of a linear grey.
    flags = ImageCms.Flags.NOOPTIMIZE if space == "L" else ImageCms.Flags.NONE
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, entry, "RGB", flags=flags)
    return None if space == "RGB" and _is_srgb(transform) else transform


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform from RGB leaves a grid of colours, and every grey, where they are."""
    levels = np.arange(0, 256, 15)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    greys = np.repeat(np.arange(256).reshape(1, -1, 1), 3, axis=2)
    colours = np.concatenate([grid, greys], axis=1).astype(np.uint8)
    converted = np.asarray(_applied(transform, Image.fromarray(colours))).astype(int)
    return int(np.abs(converted - colours).max()) <= SAME_COLOURS


# Pillow's debug records quote metadata values, names included; they must not reach a log file.
logging.getLogger("PIL").setLevel(logging.INFO)

MAX_PIXELS = 120_000_000
"""More pixels than this are refused before decoding; the largest phone pictures have 108 million.

Our choice, docs/sources.md. A decoded picture of this size takes 360 MB.
"""

MAX_ASPECT = 200
"""A side more than this many times the other is refused: no image processor of Qwen takes it.

Source: `smart_resize` of Qwen2-VL's image processor; docs/sources.md.
"""

# MPO, of phones with two lenses, is opened as the JPEG that it begins with.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "AVIF")
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".mpo",
    ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif", ".dcm", ".dicom",
))  # fmt: skip

_ALLOWED = "JPEG, PNG, WebP, BMP, TIFF, GIF, JPEG 2000, AVIF, HEIC and DICOM"
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_SPECIAL = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError,
           TypeError, AttributeError, OverflowError, ZeroDivisionError, RuntimeError,
           MemoryError)  # fmt: skip


def open_image(path: str | Path) -> Image.Image:
    """The picture in a file as 8-bit RGB, upright, with its pixels and nothing else.

    The EXIF orientation is applied exactly once, then all metadata is dropped. The first frame of
    several is taken.

    Raises:
        ImageError: the file is missing, not a picture, damaged, too large, or too narrow; or the
            package that reads HEIC or DICOM is not installed.
    """
    path = Path(path)
    head = _head(path)
    if is_dicom(head, path.suffix):
        image = read_dicom(path, MAX_PIXELS)
        check_size(path, image.size)
        return _bare(to_srgb(image, path))
    if _is_heif(head):
        return _bare(_open_heif(path))
    try:
        with warnings.catch_warnings():
            # The decoder warns of broken metadata, which we drop, and of sizes, which we check.
            warnings.simplefilter("ignore")
            with _identified(path) as opened:
                check_size(path, opened.size)
                opened.load()
                return _bare(to_srgb(_upright(opened), path))
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(
            f"{path}: the picture is damaged or cut short ({type(error).__name__}); a complete "
            "file is needed; copy or export it again"
        ) from error


def check_size(what: str | Path, size: tuple[int, int]) -> None:
    """Raise an `ImageError` for a size too large to decode, or too narrow for a model."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{what}: {width} x {height} pixels are too many; at most {MAX_PIXELS:,} are "
            "allowed; crop or shrink the picture"
        )
    if max(size) > MAX_ASPECT * min(size):
        raise ImageError(
            f"{what}: {width} x {height} pixels are too long and narrow; one side may be at most "
            f"{MAX_ASPECT} times the other; crop the picture"
        )


def special_kind(path: Path) -> str | None:
    """What a path is that is no file, whose reading may never end; None for a file or nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), None)


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Picture files named by files, and by folders that are searched to the bottom, in order.

    In a folder only names with a picture suffix count, links and pipes too; hidden ones do not.

    Raises:
        ImageError: a path does not exist, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += _images_in(path)
        elif path.exists():
            found.append(path)
        else:
            raise ImageError(f"{path}: no such file or folder; check the path")
    return list(dict.fromkeys(found))


def _images_in(folder: Path) -> list[Path]:
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not path.is_dir()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise ImageError(
            f"{folder}: no picture in this folder; files with one of the suffixes "
            f"{' '.join(sorted(SUFFIXES))} are looked for; check the path"
        )
    return found


def _head(path: Path) -> bytes:
    if (kind := special_kind(path)) is not None:
        raise ImageError(f"{path}: {kind}, not a picture; name a picture file")
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except FileNotFoundError as error:
        broken = "a link to a file that does not exist" if path.is_symlink() else "no such file"
        raise ImageError(f"{path}: {broken}; check the path") from error
    except ValueError as error:
        raise ImageError(f"{str(path)!r}: no name of a file ({error}); check the path") from error
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be opened ({error.strerror}); a readable file is needed; "
            "check its permissions"
        ) from error
    if not head:
        raise ImageError(f"{path}: the file is empty (0 bytes); copy or export it again")
    return head


def _is_heif(head: bytes) -> bool:
    """Whether a file is HEIC by its brands; AVIF, which may share the first one, is not."""
    end = int.from_bytes(head[:4])
    brands = {head[start : start + 4] for start in range(8, min(end, len(head)), 4)}
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and not brands & _AVIF_BRANDS


def _identified(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path}: far too many pixels ({error}); at most {MAX_PIXELS:,} are allowed; "
            "crop or shrink the picture"
        ) from None
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: not a picture in a known format; {_ALLOWED} can be read; "
            "check the file, or convert it to PNG"
        ) from error


def _open_heif(path: Path) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            f"{path}: reading HEIC needs pillow-heif, which is not installed; "
            "install skingpt-r1[intake]"
        ) from None
    try:
        heif = pillow_heif.open_heif(path, convert_hdr_to_8bit=True)
        check_size(path, heif.size)
        # The decoder has already turned the picture; its EXIF tag must not turn it again.
        return to_srgb(heif.to_pillow(), path)
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(
            f"{path}: the HEIC picture is damaged or cut short ({type(error).__name__}); "
            "a complete file is needed; export it again, or as JPEG"
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGE:
        # Cameras write broken EXIF blocks around sound pictures.
        logger.warning("an unreadable EXIF block was ignored; the picture was not turned")
        return image


def _bare(image: Image.Image) -> Image.Image:
    """A new picture with the same pixels; pasting carries no metadata over."""
    bare = Image.new("RGB", image.size)
    bare.paste(image)
    return bare
