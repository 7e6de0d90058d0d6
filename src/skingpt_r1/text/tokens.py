"""Texts that others wrote: invisible characters, control tokens of language models, markdown.

A control token ends a turn or stands for a picture; written into a text it would do so there. Full
width letters, invisible characters and look-alike brackets hide one from a search, and some
tokenizers undo them: a text is searched in its plain form. Beside these: the word lists of this
room (`words.yaml`) and its long regular expressions (`patterns.yaml`).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from skingpt_r1.recipes import package_yaml

VOCABULARY: Mapping[str, Any] = package_yaml("text/words.yaml")  # word lists and wordings

# What a person cannot see in a text: characters without width, direction marks, fillers,
# variation selectors and tags.
_NO_WIDTH = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
# These change the letters beside them, so that a name keeps them.
_JOINERS = "\u200c\u200d\ufe00-\ufe0f"
_INVISIBLE = re.compile(f"[{_NO_WIDTH}{_JOINERS}]")
_INVISIBLE_IN_NAMES = re.compile(f"[{_NO_WIDTH}]")
_BLANK = "".join(c for c in map(chr, range(0x10000)) if c.isspace() or _INVISIBLE_IN_NAMES.match(c))
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
# Signs of numbers in other scripts.
_NUMBER_SIGNS = str.maketrans("٫·،٪−⁄∕", "..,%-//") | _FULL_WIDTH
# What looks like a bracket or a bar and is not made one by NFKC.
_ALIKE = str.maketrans("‹〈⟨❬❮›〉⟩❭❯∣❘│┃ǀ⟦〔【❲⟧〕】❳", "<<<<<>>>>>|||||[[[[]]]]")
_OPENED = "<|"  # half a token is none, and yet no sound text has one
FENCE_OPEN, FENCE_CLOSE = "[text]", "[/text]"


@cache
def patterns(chapter: str, **parts: str) -> dict[str, re.Pattern[str]]:
    """The regular expressions of a chapter of `patterns.yaml`; `parts` are further `@names@`."""
    lines = package_yaml("text/patterns.yaml")[chapter].items()
    texts = {name: "".join(text.splitlines()) for name, text in lines} | parts

    def whole(text: str) -> str:
        return re.sub(r"@(\w+)@", lambda found: whole(texts[found[1]]), text)

    return {name: re.compile(whole(text)) for name, text in texts.items()}


_RE = patterns("tokens")


def words_of(name: str) -> frozenset[str]:
    """A word list of `words.yaml`."""
    return frozenset(VOCABULARY[name].split())


def without_invisible(text: str, *, in_name: bool = False) -> str:
    """The text without what a person cannot see; a name keeps what changes its letters."""
    return (
        text if text.isascii() else (_INVISIBLE_IN_NAMES if in_name else _INVISIBLE).sub("", text)
    )


def trimmed(text: str) -> str:
    """The text without spaces and invisible characters around it."""
    return text.strip(_BLANK)


def plain_form(text: str) -> str:
    """The text in the letters that it seems to have: NFKC, nothing invisible, plain brackets."""
    return without_invisible(unicodedata.normalize("NFKC", text)).translate(_ALIKE)


def with_plain_marks(text: str) -> str:
    """The text without invisible characters, and with full-width letters and marks as plain ones.

    What else NFKC would change, such as `½` and `mm²`, stays as written.
    """
    return without_invisible(text).translate(_FULL_WIDTH)


def plain_digits(text: str) -> str:
    """A text of the same length with ASCII digits, signs of numbers and full-width letters."""
    if text.isascii():
        return text
    plain = text.translate(_NUMBER_SIGNS)
    return re.sub(r"\d", lambda digit: str(unicodedata.decimal(digit[0])), plain)


def control_token(text: str, also: Iterable[str] = ()) -> str | None:
    """A control token that a text holds, plainly or in disguise; None when it holds none.

    `also` are the special tokens of the tokenizer that is to read the text.
    """
    for form in dict.fromkeys((text, plain_form(text))):
        if found := _RE["token"].search(form):
            return found[0]
        if named := next((token for token in (*also, _OPENED) if token in form), None):
            return named
    return None


def defused(text: str, marks: re.Pattern[str] | None = None) -> str:
    """The text with a space inside every control token, so that it is none.

    Without one, plain or in disguise, the text stays as it is; else it is in its plain form.
    `marks` are further signs that lose their meaning; a match begins with the sign's bracket.
    """
    plain = form = plain_form(text)
    if marks is not None:
        form = marks.sub(_spaced, form)
    form = _RE["token"].sub(_spaced, form).replace(_OPENED, "< |")
    return text if form == plain else form


def _spaced(found: re.Match[str]) -> str:
    return f"{found[0][0]} {found[0][1:]}"


def fence(text: str) -> str:
    """The text between marks that it cannot close; control tokens inside it lose their meaning."""
    words = defused(text, _RE["fence_marks"]).split()
    return f"{FENCE_OPEN} {' '.join(words)} {FENCE_CLOSE}"


def without_control_tokens(text: str) -> str:
    """The text with a space in place of every control token that a server left in it."""
    return _RE["token"].sub(" ", text)


def readings(text: str) -> tuple[str, ...]:
    """The text as it is read: without what a server left in it, and without invisible characters.

    First what stands before the end of the model's turn, then, where no other turn begins behind
    it, the whole.
    """
    text = with_plain_marks(text)
    end = _end_of_turn(text)
    if end is None:
        return (without_control_tokens(text),)
    turn = without_control_tokens(text[:end])
    return (turn,) if _RE["new_turn"].search(text, end) else (turn, without_control_tokens(text))


def _end_of_turn(text: str) -> int | None:
    """Where the first turn with words ends; None where no token ends it."""
    begin, has_words = 0, False
    for token in _RE["token"].finditer(text):
        has_words = has_words or _RE["letter"].search(text, begin, token.start()) is not None
        if has_words and token["end"]:
            return token.start()
        begin = token.end()
    return None


def escaped(text: str) -> str:
    """A text that can neither end a cell of a markdown table nor begin markup."""
    return _RE["markdown"].sub(r"\\\g<0>", " ".join(text.split()))


def code(text: str) -> str:
    """A name in a code span, which it cannot end."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a markdown table; every cell is escaped."""
    yield "| " + " | ".join(escaped(name) for name in head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(escaped(value) for value in row) + " |"
