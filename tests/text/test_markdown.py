"""Markdown from foreign texts: read back by a Markdown reader, they are the words that went in."""

import pytest
from markdown_it import MarkdownIt

from skingpt_r1.text.tokens import code, escaped, table

HOSTILE = [
    "a | b",
    "one\n\n# two",
    "<script>alert(1)</script>",
    "[click](http://example.org)",
    "![x](http://example.org/x.png)",
    "`code` and **bold** and _it_",
    "a \\| b",
    "--- | ---",
    "```",
]
READER = MarkdownIt("commonmark").enable("table")


def words(text: str) -> str:
    return " ".join(text.split())


def inline_texts(markdown: str) -> list[str]:
    """The text of every block; fails where something else than text and code is in one."""
    blocks = [token for token in READER.parse(markdown) if token.type == "inline"]
    for block in blocks:
        assert {child.type for child in block.children or []} <= {"text", "code_inline"}
    return ["".join(child.content for child in block.children or []) for block in blocks]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_stays_a_text(text: str) -> None:
    assert inline_texts(f"x {escaped(text)}") == [f"x {words(text)}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_has_the_cells_that_it_was_given(text: str) -> None:
    lines = "\n".join(table(["name", text], [["1", text], [text, "2"]]))
    assert inline_texts(lines) == ["name", words(text), "1", words(text), words(text), "2"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_code_span_is_not_left(text: str) -> None:
    assert inline_texts(f"x {code(text)} y") == [f"x {words(text).replace('`', chr(39))} y"]
