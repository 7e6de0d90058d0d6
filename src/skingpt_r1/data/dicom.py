"""One DICOM picture: its pixels, and nothing else that the file says.

Patient names, dates and identifiers stay in the file. Messages of the DICOM library may quote them,
so its warnings are silenced here and its errors are not chained.
"""

import hashlib
import logging
import math
import struct
import warnings
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skingpt_r1.errors import ImageError

logger = logging.getLogger(__name__)

PREFIX_BYTES = 128
MAGIC = b"DICM"
# The length of the group that describes the file, itself an element of 12 bytes, comes after these.
_META_START = PREFIX_BYTES + len(MAGIC) + 12
_DAMAGE = (OSError, ValueError, EOFError, AttributeError, KeyError, IndexError, TypeError,
           OverflowError, RuntimeError, MemoryError, struct.error, zlib.error,
           Image.DecompressionBombError)  # fmt: skip


def is_dicom(head: bytes, suffix: str) -> bool:
    """Whether the first bytes of a file, or its suffix, say DICOM."""
    return head[PREFIX_BYTES : PREFIX_BYTES + 4] == MAGIC or suffix.lower() in (".dcm", ".dicom")


def read_dicom(path: Path, max_pixels: int) -> Image.Image:
    """The first frame of a DICOM picture in RGB; `info` has its colour profile, and nothing else.

    An optional value that means nothing, such as a window without width, counts as absent. Declared
    burned-in annotation is warned of, because the pixels may show the patient's name.

    Raises:
        ImageError: pydicom is not installed, the file is damaged, too large or has no picture, or
            its coding is not supported.
    """
    try:
        import pydicom
        from pydicom.pixels import pixel_array
    except ImportError:
        raise ImageError(
            f"{path}: reading DICOM needs pydicom, which is not installed; "
            "install skingpt-r1[intake]"
        ) from None
    damage = (*_DAMAGE, pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _refuse_inflated(path, 6 * max_pixels)
            header = pydicom.dcmread(path, stop_before_pixels=True)
            pixels = int(header.Rows) * int(header.Columns)
        except ImageError:
            raise
        except damage:
            raise ImageError(
                f"{path}: not a readable DICOM picture; a file with Rows, Columns and pixel data "
                "is needed; export it again, or convert it to PNG"
            ) from None
        if pixels > max_pixels:
            raise ImageError(
                f"{path}: {header.Columns} x {header.Rows} pixels are too many; at most "
                f"{max_pixels:,} are allowed; crop or shrink the picture"
            )
        _warn_burned_in(header, path)
        try:
            dataset = pydicom.dcmread(path)
            image = Image.fromarray(_to_rgb(dataset, np.asarray(pixel_array(dataset, index=0))))
            image.info = _colour_profile(dataset)
        except damage:
            raise ImageError(
                f"{path}: the DICOM pixel data are damaged, or coded in a way that is not "
                "supported (uncompressed and JPEG are); convert the picture to PNG"
            ) from None
        return image


def _refuse_inflated(path: Path, max_bytes: int) -> None:
    """Refuse a deflated file that is far larger unpacked; the library unpacks it whole."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(_META_START + meta.FileMetaInformationGroupLength)
        for block in iter(partial(file.read, 2**16), b""):
            size += len(unpacker.decompress(block))
            if size > max_bytes:
                raise ImageError(
                    f"{path}: more than {max_bytes:,} bytes when unpacked are too many; "
                    "crop or shrink the picture, or convert it to PNG"
                )


def _warn_burned_in(header: Any, path: Path) -> None:
    if str(header.get("BurnedInAnnotation", "NO")).strip().upper() != "YES":
        return
    # A file name may be a patient's name; the hash names the file to whoever holds it.
    logger.warning(
        "a DICOM picture declares burned-in annotation: text in its pixels may identify the "
        "patient; mask it before use (file SHA-256 %s...)",
        hashlib.sha256(path.read_bytes()).hexdigest()[:16],
    )


def _to_rgb(dataset: Any, array: NDArray[Any]) -> NDArray[np.uint8]:
    photometric = _photometric(dataset)
    if photometric.startswith("MONOCHROME"):
        grey = _windowed(dataset, array)
        grey = 255 - grey if photometric == "MONOCHROME1" else grey
        return np.repeat(grey[..., None], 3, axis=2)
    if photometric == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        colours = np.asarray(apply_color_lut(array, dataset))[..., :3]
        return _scaled(colours, 0, np.iinfo(colours.dtype).max)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError("a colour picture has three samples per pixel")
    return _scaled(array, 0, 2 ** int(dataset.BitsStored) - 1)


def _photometric(dataset: Any) -> str:
    return str(dataset.PhotometricInterpretation).strip().upper()


def _windowed(dataset: Any, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Stored values to 0..255 by the first window, else by the range that the bits can hold.

    Source: DICOM PS3.3 C.11.1 (rescale) and C.11.2.1.2 (linear window).
    """
    slopes, intercepts = _numbers(dataset, "RescaleSlope"), _numbers(dataset, "RescaleIntercept")
    # A slope of zero would leave nothing of the picture.
    slope = next((value for value in slopes if value and math.isfinite(value)), 1.0)
    intercept = next(filter(math.isfinite, intercepts), 0.0)
    values = array.astype(np.float64) * slope + intercept
    centres, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    for centre, width in zip(centres, widths, strict=False):
        if math.isfinite(centre) and math.isfinite(width) and width > 0:
            half = (width - 1) / 2 if width >= 1 else width / 2
            return _scaled(values, centre - 0.5 - half, centre - 0.5 + half)
    bits = int(dataset.BitsStored)
    first = -(2 ** (bits - 1)) if int(dataset.PixelRepresentation) == 1 else 0
    ends = (first * slope + intercept, (first + 2**bits - 1) * slope + intercept)
    return _scaled(values, min(ends), max(ends))


def _numbers(dataset: Any, name: str) -> list[float]:
    """The values of an optional element; nan for what is no number, nothing where it is empty."""
    try:
        found = dataset.get(name)
        return [_number(value) for value in ([] if found is None else np.atleast_1d(found))]
    except ValueError:
        # The library refuses the text of the element.
        return []


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _colour_profile(dataset: Any) -> dict[str | tuple[int, int], Any]:
    """The ICC profile of a colour picture, where there is one, as Pillow keeps it.

    Source: DICOM PS3.3 C.11.15; pictures of microscopes have it for each optical path.
    """
    paths = dataset.get("OpticalPathSequence") or ()
    holders = (dataset, *paths[:1]) if not _photometric(dataset).startswith("MONOCHROME") else ()
    profile = next(filter(None, (holder.get("ICCProfile") for holder in holders)), None)
    return {} if profile is None else {"icc_profile": profile}


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    span = high - low if high > low else 1e-9
    share = (values.astype(np.float64) - low) / span
    return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
