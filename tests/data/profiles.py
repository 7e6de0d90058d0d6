"""Small ICC profiles written by hand, as ImageCms can make none but sRGB, XYZ and Lab."""

import struct
from collections.abc import Mapping, Sequence

D50 = (0.9642, 1.0, 0.8249)
# Columns are the primaries, adapted to D50, as the profiles of the vendors have them.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))


def grey_profile(gamma: float, name: str = "grey") -> bytes:
    """A profile of grey pictures with a pure power as tone curve."""
    return _profile(b"GRAY", {b"kTRC": _curve(gamma)}, name)


def rgb_profile(
    primaries: Sequence[Sequence[float]], gamma: float | None = None, name: str = "colour"
) -> bytes:
    """A profile of RGB pictures; the tone curve is a power, or for None that of sRGB."""
    tags = {tag: _xyz(xyz) for tag, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    curve = _srgb_curve() if gamma is None else _curve(gamma)
    return _profile(b"RGB ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}, name)


def _profile(space: bytes, tags: Mapping[bytes, bytes], name: str) -> bytes:
    tags = {b"desc": _description(name), b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": _xyz(D50),
            **tags}  # fmt: skip
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x02100000, b"mntr", space,
                       b"XYZ ")  # fmt: skip
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _numbers(D50)
    return head.ljust(128, b"\0") + table + body


def _numbers(values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _numbers(values)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)


def _srgb_curve() -> bytes:
    return b"para\0\0\0\0\0\x03\0\0" + _numbers((2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))


def _description(name: str) -> bytes:
    text = name.encode() + b"\0"
    content = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * 78
    return content + b"\0" * (-len(content) % 4)
