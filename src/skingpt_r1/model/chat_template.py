"""Chat templates are programs from outside: each is run apart, bounded, once per form of chat.

What a template makes of a chat is kept with places for its texts, so that no text of a user or a
data set ever reaches the program, and the same form costs nothing the second time.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from skingpt_r1.errors import CheckpointError

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105
TEMPLATE_SECONDS = 2
TEMPLATE_WAIT_S = 30
TEMPLATE_MEMORY = 1 << 28
TEMPLATE_CHARACTERS = 1_000_000
_PROCESS = Path(__file__).with_name("template_process.py")
_PLACE = re.compile(r"@text(\d+)@")


def render_chat(
    template: str,
    messages: Sequence[dict[str, Any]],
    *,
    answer_follows: bool,
    tokens: dict[str, Any] | None = None,
) -> str:
    """A chat as the template writes it.

    Args:
        template: Jinja source.
        messages: with a list of `{"type": "image"}` and `{"type": "text", "text": ...}` as content.
        answer_follows: add what stands before the model's answer.
        tokens: names and texts of special tokens, such as `eos_token`.

    Raises:
        CheckpointError: the template fails, runs too long, or leaves out a text or a picture.
    """
    texts: list[str] = []
    form = [message | {"content": list(_places(message["content"], texts))} for message in messages]
    variables = {**(tokens or {}), "messages": form, "add_generation_prompt": answer_follows}
    rendered = _render(template, json.dumps(variables, sort_keys=True))
    images = sum(part["type"] == "image" for message in form for part in message["content"])
    if rendered.count(IMAGE_TOKEN) != images:
        raise CheckpointError(
            f"the chat template writes {rendered.count(IMAGE_TOKEN)} {IMAGE_TOKEN} for {images} "
            "pictures; it is not a Qwen2.5-VL template"
        )
    if {int(place) for place in _PLACE.findall(rendered)} != set(range(len(texts))):
        raise CheckpointError("the chat template leaves out what is said in the chat")
    return _PLACE.sub(lambda place: texts[int(place[1])], rendered)


def _places(content: Sequence[dict[str, str]], texts: list[str]) -> Iterator[dict[str, str]]:
    """The parts of a message with a place for each text; the texts are collected."""
    for part in content:
        if part["type"] == "text":
            texts.append(part["text"])
            yield {"type": "text", "text": f"@text{len(texts) - 1}@"}
        else:
            yield dict(part)


@lru_cache(maxsize=256)
def _render(template: str, variables: str) -> str:
    wanted = {
        "template": template,
        "variables": json.loads(variables) | {"tools": None, "documents": None},
        "seconds": TEMPLATE_SECONDS,
        "memory": TEMPLATE_MEMORY,
        "characters": TEMPLATE_CHARACTERS,
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own file, run apart
            [sys.executable, "-I", str(_PROCESS)],
            input=json.dumps(wanted).encode(),
            capture_output=True,
            timeout=TEMPLATE_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckpointError(_too_long()) from None
    except OSError as error:
        raise CheckpointError(f"no process can be started for the chat template: {error}") from None
    if done.returncode < 0:  # ended by the system, at the limit
        raise CheckpointError(_too_long())
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise CheckpointError(f"the chat template fails: {lines[-1]:.300}; use the model's own")
    text: str = json.loads(done.stdout)
    return text


def _too_long() -> str:
    return (
        f"the chat template takes more than {TEMPLATE_SECONDS} s of computing time for one short "
        "chat; use the model's own"
    )
