"""The JSON objects and lists in a text, those included that are only nearly JSON.

Language models write trailing commas, single quotes, comments, raw line breaks, bare words and
Python's literals, or leave out the last brace. All of that has one meaning and is read; what can be
meant in two ways is not. Scalars stay as they are written. Reading takes time in proportion to the
text, whatever stands in it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_OPENERS = re.compile(r"\{(?=\s*+[^\s{\[\]:,])|\[(?=\s*+[^\s}:,])")
_SPACE = re.compile(r"(?:\s++|//[^\n]*+|#[^\n]*+)++")
_BARE = re.compile(r"(?:[^\s{}\[\],:\"'“”#/]|/(?![/*]))++")
_CLOSING = {'"': '"', "'": "'", "“": "”"}
# A quote ends its string where JSON goes on behind it; others are part of what is quoted.
_ENDS = {
    quote: re.compile(rf"(?:[^\\{quote}]|\\.)*+{quote}", re.DOTALL) for quote in _CLOSING.values()
}
_GOES_ON = re.compile(r"[^\S\n]*+(?:[,:}\]\n/#]|$|```)")
_MOST_DEEP = 20
_WORD, _STRING, _END = "word", "string", "end"
# (container, what is awaited) -> kind of token -> what to do.
_STEPS: dict[tuple[str, str], dict[str, str]] = {
    ("{", "key"): {_STRING: "key", _WORD: "key", "}": "close"},
    ("{", "colon"): {":": "value", _WORD: "more key"},
    ("{", "value"): {_STRING: "add", _WORD: "add", "{": "open", "[": "open"},
    ("{", "next"): {",": "key awaited", "}": "close", _STRING: "key", _WORD: "more", _END: "end"},
    ("[", "value"): {_STRING: "add", _WORD: "add", "{": "open", "[": "open", "]": "close"},
    ("[", "next"): {",": "value", "]": "close", "{": "open", _WORD: "more", _END: "end"},
}


class Fields(NamedTuple):
    """An object: key and value in order, a key maybe twice; a value is a text, a list or Fields."""

    pairs: list[tuple[str, Any]]


class FoundObject(NamedTuple):
    """An object or list in a text; without content where it holds a mistake, up to that.

    `is_closed` is false where the text ends before its last brace.
    """

    content: Any
    start: int
    end: int
    is_closed: bool = True


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


@dataclass
class _Frame:
    """A container that is being read: its brace, what is awaited, and the last token's kind."""

    kind: str
    start: int
    awaited: str
    key: str = ""
    items: list[Any] = field(default_factory=list)
    inner: list[FoundObject] = field(default_factory=list)
    last: str = ""

    def add(self, value: Any) -> None:
        self.items.append((self.key, value) if self.kind == "{" else value)
        self.awaited = "next"

    def content(self) -> Any:
        return Fields(self.items) if self.kind == "{" else self.items

    def take(self, token: _Token, step: str) -> None:
        """Carry out a step inside the container."""
        if step == "add":
            self.add(token.text)
        elif step == "more":
            last = self.items[-1]
            joined = f"{last[1] if self.kind == '{' else last} {token.text}"
            self.items[-1] = (last[0], joined) if self.kind == "{" else joined
        elif step in ("key", "more key"):
            self.key = f"{self.key} {token.text}" if step == "more key" else token.text
            self.awaited = "colon"
        else:
            self.awaited = step.partition(" ")[0]
        self.last = token.kind


def find_objects(text: str) -> Iterator[FoundObject]:
    """The outermost objects and lists of a text, in order.

    One with a mistake has no content; what is whole inside it follows it.
    """
    reader = _Reader(text)
    opener = _OPENERS.search(text)
    while opener:
        found, place = reader.read(opener.start())
        yield from found
        opener = _OPENERS.search(text, max(place, opener.end()))


def is_strict_json(text: str) -> bool:
    """Whether a text is one JSON value, as the standard has it."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Reader:
    """Reads objects of one text; what has no end once is not searched for again."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._endless: set[str] = set()
        self._reread = 0  # up to here a string was taken apart once

    def read(self, start: int) -> tuple[list[FoundObject], int]:
        """What begins at an opening bracket, and where to go on."""
        stack: list[_Frame] = []
        token, place = self._token(start), start
        string: _Token | None = None
        while token is not None:
            place = token.start
            step = self._step(stack, token)
            if step is None:
                break
            if step == "open":
                awaited = "key" if token.kind == "{" else "value"
                stack.append(_Frame(token.kind, token.start, awaited))
            elif step in ("close", "end"):
                if done := _closed(stack, token.end, is_end=step == "end"):
                    return [done], done.end
            else:
                stack[-1].take(token, step)
            string = token if token.kind == _STRING else string
            token = self._token(token.end)
        inner = [found for frame in stack for found in frame.inner]
        broken = FoundObject(None, start, place, is_closed=False)
        return [broken, *inner], self._resume(place, string)

    def _step(self, stack: list[_Frame], token: _Token) -> str | None:
        if not stack:
            return "open"
        frame = stack[-1]
        step = _STEPS[frame.kind, frame.awaited].get(token.kind)
        is_wrong = (
            (step == "open" and len(stack) >= _MOST_DEEP)
            # Bare words are one text; behind a quoted one they are a mistake.
            or (step in ("more", "more key") and frame.last != _WORD)
            or (step == "key" and "\n" in self._text[token.start : token.end])
            # A number at the end of the text may have lost its last digits.
            or (step == "end" and frame.last == _WORD)
        )
        return None if is_wrong else step

    def _resume(self, place: int, string: _Token | None) -> int:
        """Behind a mistake; a string that swallowed a brace may have been opened wrongly."""
        if string and string.end > self._reread and _OPENERS.search(string.text):
            self._reread = string.end
            return string.start + 1
        return place

    def _token(self, place: int) -> _Token | None:
        """The next token; None where there is none that makes sense."""
        place = self._skip(place)
        if place < 0:
            return None
        if place >= len(self._text) or self._text.startswith("```", place):
            return _Token(_END, "", place, place)
        sign = self._text[place]
        if sign in "{}[],:":
            return _Token(sign, sign, place, place + 1)
        if sign in _CLOSING:
            return self._string(place)
        bare = _BARE.match(self._text, place)
        return _Token(_WORD, bare[0], place, bare.end()) if bare else None

    def _skip(self, place: int) -> int:
        """Past spaces and comments; -1 in a comment that does not end."""
        while True:
            space = _SPACE.match(self._text, place)
            place = space.end() if space else place
            if not self._text.startswith("/*", place):
                return place
            end = -1 if "*/" in self._endless else self._text.find("*/", place + 2)
            if end < 0:
                self._endless.add("*/")
                return -1
            place = end + 2

    def _string(self, start: int) -> _Token | None:
        quote = _CLOSING[self._text[start]]
        place = start + 1
        while quote not in self._endless:
            end = _ENDS[quote].match(self._text, place)
            if end is None:
                self._endless.add(quote)
            elif _GOES_ON.match(self._text, end.end()):
                raw = self._text[start + 1 : end.end() - 1]
                return _Token(_STRING, _unescape(raw), start, end.end())
            else:
                place = end.end()
        return None


def _closed(stack: list[_Frame], end: int, *, is_end: bool) -> FoundObject | None:
    """Close the innermost container, at the end of the text all; the outermost, if it is closed."""
    while True:
        frame = stack.pop()
        found = FoundObject(frame.content(), frame.start, end, is_closed=not is_end)
        if not stack:
            return found
        stack[-1].add(found.content)
        stack[-1].inner.append(found)
        stack[-1].last = ""
        if not is_end:
            return None


def _unescape(raw: str) -> str:
    if "\\" not in raw:
        return raw
    try:
        text: str = json.loads(f'"{raw}"', strict=False)
    except ValueError:
        return raw.replace("\\'", "'").replace('\\"', '"')
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
