"""Picture files in, plain RGB pictures out: the one door through which pixels enter."""

import logging
import stat
import struct
import warnings
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from skingpt_r1.data.colour import to_srgb
from skingpt_r1.data.dicom import is_dicom, read_dicom
from skingpt_r1.errors import ImageError

logger = logging.getLogger(__name__)

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
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError,
           TypeError, AttributeError, OverflowError, ZeroDivisionError, RuntimeError,
           MemoryError)  # fmt: skip


def open_image(path: str | Path) -> Image.Image:
    """The picture in a file as 8-bit RGB, upright, with its pixels and nothing else.

    The EXIF orientation is applied exactly once and every kind of metadata is dropped: EXIF, XMP,
    comments, colour profile (after conversion to sRGB), DICOM fields. Transparent pictures lie on
    white; 16-bit values are scaled to 8 bits; the first frame of several is taken.

    Raises:
        ImageError: the file is missing, empty, not a picture, damaged, too large, or too long and
            narrow; or the package that reads HEIC or DICOM is not installed.
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
    """Refuse a picture that is too large to decode, or too long and narrow for a model.

    Args:
        what: what the message calls the picture, its file for example.
        size: width and height.

    Raises:
        ImageError: more than `MAX_PIXELS` pixels, or one side more than `MAX_ASPECT` times the
            other.
    """
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
    """What a path is that is no file, a folder or a pipe; None for a file and for nothing.

    Opening a pipe, or reading a device, may never end.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), None)


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Picture files named by files and folders, in order; folders are searched to the bottom.

    A file is taken as it is, whatever its suffix; in a folder only files with a picture suffix
    count, and hidden ones do not. Links and pipes with such a name count; opening tells of them.

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
    kind = special_kind(path)
    if kind is not None:
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
