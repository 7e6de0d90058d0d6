"""Where a judge's thinking ends and its verdict begins.

A judge may quote what it judges, and narratives hold `<think>` tags of their own. A tag therefore
counts only where a judge's own thinking can begin or end: quoted tags open and close nothing.
"""

import re

_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
# A reply whose thinking was opened by the prompt: the closing tag ends a line, a quoted one rarely.
_CLOSING_LINE = re.compile(r"</think(?:ing)?>[ \t]*(?:\n|$)", re.IGNORECASE)


def after_thinking(reply: str) -> str | None:
    """The part of a reply that follows its thinking; None when the thinking does not end.

    Thinking that begins the reply ends with its own closing tag, pairs inside it left aside; with
    more opening than closing tags inside it, it ends with the last closing tag.

    Args:
        reply: of a judge.
    """
    tags = list(_TAG.finditer(reply))
    if tags and not tags[0][1] and not reply[: tags[0].start()].strip():
        depth, last = 0, None
        for tag in tags:
            depth += -1 if tag[1] else 1
            last = tag if tag[1] else last
            if depth == 0:
                break
        return None if last is None else reply[last.end() :]
    depth = 0
    for tag in tags:
        depth += -1 if tag[1] else 1
        if depth < 0 and _CLOSING_LINE.match(reply, tag.start()):
            return reply[tag.end() :]
        depth = max(depth, 0)
    return reply
