"""The lines of a JSON Lines file, as editors of all systems save them."""

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

from skingpt_r1.errors import RecordError


def numbered_lines(lines: Iterable[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank with its number from 1, without byte-order mark.

    Raises:
        RecordError: the file is written in UTF-16, or is one JSON list.
    """
    for number, line in enumerate(lines, 1):
        said = first_line(line, path) if number == 1 else line
        if said.strip():
            yield number, said


def first_line(line: bytes, path: Path) -> bytes:
    """The first line of a JSON Lines file without byte-order mark (Notepad, PowerShell).

    Raises:
        RecordError: the file is written in UTF-16, or is one JSON list.
    """
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:2]:
        raise RecordError(f"{path} is written in UTF-16; save it as UTF-8")
    line = line.removeprefix(codecs.BOM_UTF8)
    if line.lstrip().startswith(b"["):
        raise RecordError(
            f"{path} is one JSON list (Label Studio exports such files); one JSON object a line is "
            f"needed. `jq -c '.[]' {path.name}` writes each object of the list on a line of its own"
        )
    return line
