"""Picture files in, plain RGB pictures out: the one door through which pixels enter."""

import logging
import struct
import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from skingpt_r1.datasets.dicom import is_dicom, read_dicom
from skingpt_r1.errors import ImageError

logger = logging.getLogger(__name__)

# Pillow's debug records quote metadata values, names included; they must not reach a log file.
logging.getLogger("PIL").setLevel(logging.INFO)

MAX_PIXELS = 120_000_000
"""More pixels than this are refused before decoding; the largest phone pictures have 108 million.

Our choice, docs/sources.md. A decoded picture of this size takes 360 MB.
"""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "MPO", "JPEG2000", "AVIF")
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".mpo",
    ".jp2", ".avif", ".heic", ".heif", ".dcm", ".dicom",
))  # fmt: skip

_ALLOWED = "JPEG, PNG, WebP, BMP, TIFF, GIF, JPEG 2000, AVIF, HEIC and DICOM"
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError,
           TypeError, AttributeError, OverflowError, ZeroDivisionError, RuntimeError)  # fmt: skip


def open_image(path: str | Path) -> Image.Image:
    """The picture in a file as 8-bit RGB, upright, with its pixels and nothing else.

    The EXIF orientation is applied exactly once and every kind of metadata is dropped: EXIF, XMP,
    comments, colour profile (after conversion to sRGB), DICOM fields. Transparent pictures lie on
    white; 16-bit values are scaled to 8 bits; the first frame of several is taken.

    Raises:
        ImageError: the file is missing, empty, not a picture, damaged, or too large; or the
            package that reads HEIC or DICOM is not installed.
    """
    path = Path(path)
    head = _head(path)
    if is_dicom(head, path.suffix):
        return Image.fromarray(read_dicom(path, MAX_PIXELS))
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return _bare(_open_heif(path))
    try:
        with warnings.catch_warnings():
            # The decoder warns of broken metadata, which we drop, and of sizes, which we check.
            warnings.simplefilter("ignore")
            with _identified(path) as opened:
                _check_size(path, opened.size)
                opened.load()
                return _bare(_to_rgb(_upright(opened), path))
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(
            f"{path}: the picture is damaged or cut short ({type(error).__name__}); a complete "
            "file is needed; copy or export it again"
        ) from error


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Picture files named by files and folders, in order; folders are searched to the bottom.

    A file is taken as it is, whatever its suffix; in a folder only files with a picture suffix
    count, and hidden ones do not.

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
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise ImageError(
            f"{folder}: no picture in this folder; files with one of the suffixes "
            f"{' '.join(sorted(SUFFIXES))} are looked for; check the path"
        )
    return found


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise ImageError(f"{path}: a folder, not a picture; name a picture file")
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be opened ({error.strerror}); a readable file is needed; "
            "check its permissions"
        ) from error
    if not head:
        raise ImageError(f"{path}: the file is empty (0 bytes); copy or export it again")
    return head


def _identified(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path}: far too many pixels ({error}); at most {MAX_PIXELS:,} are allowed; "
            "crop or shrink the picture"
        ) from None
    except _DAMAGE as error:
        raise ImageError(
            f"{path}: not a picture in a known format; {_ALLOWED} can be read; "
            "check the file, or convert it to PNG"
        ) from error


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path}: {width} x {height} pixels are too many; at most {MAX_PIXELS:,} are "
            "allowed; crop or shrink the picture"
        )


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
        _check_size(path, heif.size)
        # The decoder has already turned the picture; its EXIF tag must not turn it again.
        return _to_rgb(heif.to_pillow(), path)
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


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _from_wide_grey(image, path)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_white(image)
    if image.mode in ("RGB", "CMYK") and "icc_profile" in image.info:
        return _to_srgb(image)
    return image.convert("RGB")


def _from_wide_grey(image: Image.Image, path: Path) -> Image.Image:
    """Grey of more than 8 bits: integers up to 65535, or floats in 0..1 or 0..255."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise _range_error(path, "values that are not finite")
    low, high = float(values.min()), float(values.max())
    full = 65535.0
    if image.mode == "F":
        full = 1.0 if high <= 1.0 else 255.0
    if low < 0 or high > full:
        raise _range_error(path, f"values from {low:g} to {high:g}")
    grey = np.round(values * (255.0 / full)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _range_error(path: Path, found: str) -> ImageError:
    return ImageError(
        f"{path}: {found} in mode I or F; integers in 0..65535 or floats in 0..1 or 0..255 are "
        "allowed; convert the picture to 8-bit PNG"
    )


def _on_white(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _to_srgb(image: Image.Image) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image.convert("RGB")
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, *_DAMAGE):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _bare(image: Image.Image) -> Image.Image:
    """A new picture with the same pixels; pasting carries no metadata over."""
    bare = Image.new("RGB", image.size)
    bare.paste(image)
    return bare
