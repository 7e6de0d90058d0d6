"""Markdown from texts that others wrote: names and labels stay words, whatever they contain."""

import re
from collections.abc import Iterable, Iterator, Sequence

# An underscore inside a word is no markup.
_SIGNS = re.compile(r"[\\`*\[\]<>|#]|(?<!\w)_|_(?!\w)")


def plain(text: str) -> str:
    """A text that can neither end a cell nor begin markup."""
    return _SIGNS.sub(r"\\\g<0>", " ".join(text.split()))


def code(text: str) -> str:
    """A name in a code span, which it cannot end."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; every cell is made plain."""
    yield "| " + " | ".join(plain(name) for name in head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(plain(value) for value in row) + " |"
