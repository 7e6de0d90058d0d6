"""Pictures and text to what the backbone reads.

The image processor is the NumPy one, so that results do not depend on whether torchvision is
installed; video, which nothing here uses, is left out. Chat templates are programs from outside:
each is run apart and bounded, with places for the texts, so that no text of a user or a data set
reaches the program, and the same form of chat costs nothing the second time.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2VLImageProcessorPil

from skingpt_r1.errors import CheckpointError, SkinGPTError
from skingpt_r1.model.families import qwen2_5_vl
from skingpt_r1.model.weight_files import refusing
from skingpt_r1.records import read_json
from skingpt_r1.text.narrative import MARKS
from skingpt_r1.text.tokens import control_token

TEMPLATE_SECONDS = 2
TEMPLATE_WAIT_S = 30
TEMPLATE_MEMORY = 1 << 28
TEMPLATE_CHARACTERS = 1_000_000
_ANSWER = "The answer."
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")
JSON_FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.json",
)  # fmt: skip
_PROCESS = Path(__file__).with_name("template_process.py")
_PLACE = re.compile(r"@text(\d+)@")


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
    except OSError as error:
        raise CheckpointError(f"no process can be started for the chat template: {error}") from None
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode < 0:  # ended by us or by the system, at the limit
        raise CheckpointError(
            f"the chat template takes more than {TEMPLATE_SECONDS} s of computing time for one "
            "short chat; use the model's own"
        )
    if done.returncode:
        lines = ["no reason given", *done.stderr.decode("utf-8", "replace").strip().splitlines()]
        raise CheckpointError(f"the chat template fails: {lines[-1]:.300}; use the model's own")
    text: str = json.loads(done.stdout)
    return text


class Pictures(NamedTuple):
    """Processed pictures, one after the other."""

    pixel_values: Tensor  # [patches, F]
    image_grid_thw: Tensor  # [images, 3], patches in time, height and width


@dataclass(frozen=True)
class SkinProcessor:
    """A tokenizer with its chat template, and an image processor."""

    tokenizer: PreTrainedTokenizerBase
    image_processor: Qwen2VLImageProcessorPil
    image_token: str = qwen2_5_vl.IMAGE_TOKEN

    def pictures(self, images: Sequence[Image.Image]) -> Pictures:
        """Resize, normalise and patch pictures."""
        batch = self.image_processor(images=list(images), return_tensors="pt")
        return Pictures(batch["pixel_values"], batch["image_grid_thw"])

    def render_chat(self, messages: Sequence[dict[str, Any]], *, answer_follows: bool) -> str:
        """A chat as the template writes it, with one image token per picture.

        Args:
            messages: with a list of `{"type": "image"}` and `{"type": "text", "text": ...}` as
                content.
            answer_follows: add what stands before the model's answer.

        Raises:
            CheckpointError: the template fails, runs too long, or leaves out a text or a picture.
        """
        parts = [part for message in messages for part in message["content"]]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        images = sum(part["type"] == "image" for part in parts)
        places = iter(f"@text{number}@" for number in range(len(texts)))
        form = [
            message | {"content": [
                {"type": "text", "text": next(places)} if part["type"] == "text" else part
                for part in message["content"]
            ]}
            for message in messages
        ]  # fmt: skip
        variables = {
            **self.tokenizer.special_tokens_map,
            "messages": form,
            "add_generation_prompt": answer_follows,
        }
        template = self.tokenizer.get_chat_template()
        rendered = _render(template, json.dumps(variables, sort_keys=True))
        if (count := rendered.count(self.image_token)) != images:
            raise CheckpointError(
                f"the chat template writes {count} {self.image_token} for {images} pictures; it "
                "is not the model's template"
            )
        if {int(place) for place in _PLACE.findall(rendered)} != set(range(len(texts))):
            raise CheckpointError("the chat template leaves out what is said in the chat")
        return _PLACE.sub(lambda place: texts[int(place[1])], rendered)

    def tokenize(self, text: str, grids: Tensor) -> list[int]:
        """Token ids of a rendered chat; a picture's image token is repeated per merged patch."""
        merged = (grids.prod(-1) // self.image_processor.merge_size**2).tolist()
        pieces = text.split(self.image_token)
        if len(pieces) != len(merged) + 1:
            raise ValueError(
                f"the prompt has {len(pieces) - 1} image tokens for {len(merged)} pictures; "
                "text from outside must not contain image tokens"
            )
        expanded = pieces[0] + "".join(
            self.image_token * count + piece
            for count, piece in zip(merged, pieces[1:], strict=True)
        )
        return self.text_ids(expanded)

    def text_ids(self, text: str) -> list[int]:
        """Token ids of a text as it is; whoever calls checks the length, and names the case."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, verbose=False)
        return ids

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """Text without special tokens."""
        text: str = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    @property
    def pad_id(self) -> int:
        """Token used to fill short rows; the end-of-turn token where there is no pad token."""
        pad: int | None = self.tokenizer.pad_token_id
        return self.end_id if pad is None else pad

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """The tokenizer's own special tokens, but the tags of narratives."""
        added = self.tokenizer.added_tokens_decoder.values()
        return tuple(str(token) for token in added if token.special and str(token) not in MARKS)

    def refuse_control_tokens(self, text: str, what: str) -> None:
        """Refuse a text that would end the turn or stand for a picture, plainly or in disguise.

        `what` names the text in the message.
        """
        if token := control_token(text, self.control_tokens):
            raise SkinGPTError(
                f"{what} must not contain control tokens; it contains {token!r}: {text[:200]!r}"
            )

    @property
    def end_id(self) -> int:
        """Token that ends the model's turn: what the chat template writes behind an answer.

        The tokenizer's `eos_token` stands in where the template writes none. It alone would not do:
        of a base model it ends documents, and an answer would run on.
        """
        question = {"role": "user", "content": [{"type": "text", "text": "?"}]}
        answer = {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]}
        chat = self.render_chat([question, answer], answer_follows=False)
        first = self.text_ids(chat.rpartition(_ANSWER)[2].lstrip())[:1]
        end: int | None = self.tokenizer.eos_token_id
        if first and first[0] in self.tokenizer.added_tokens_decoder:
            return first[0]
        if end is None:
            raise CheckpointError(
                "the model's turn has no end: the chat template writes no token behind an answer, "
                "and tokenizer_config.json names no eos_token"
            )
        return end

    def settings(self) -> dict[str, Any]:
        """The image settings that change features; a feature store keeps them in its index."""
        kept = ("size", "patch_size", "merge_size", "temporal_patch_size", "image_mean",
                "image_std", "resample", "do_resize", "do_normalize")  # fmt: skip
        values = json.loads(self.image_processor.to_json_string())
        return {name: values[name] for name in kept}

    def save(self, folder: Path) -> None:
        """Write tokenizer, chat template and image processor files."""
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)


def load_processor(folder: Path, family: Any = qwen2_5_vl) -> SkinProcessor | None:
    """The processor of a directory; None when it has no tokenizer files.

    Raises:
        CheckpointError: a file is damaged, the tokenizer lacks a chat template or the image token,
            the template fails, or there are no image settings.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return None
    for name in JSON_FILES:
        if (folder / name).is_file():
            read_json(folder / name, CheckpointError)
    with refusing(f"the tokenizer files or the chat template in {folder} cannot be read"):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        tokens = tokenizer.get_vocab()
    if family.IMAGE_TOKEN not in tokens:
        raise CheckpointError(
            f"the tokenizer in {folder} has no {family.IMAGE_TOKEN} token; it is not the model's "
            "tokenizer"
        )
    tokenizer.chat_template = _chat_template(folder, tokenizer.chat_template)
    processor = SkinProcessor(tokenizer, family.read_image_processor(folder), family.IMAGE_TOKEN)
    with refusing(f"the tokenizer or chat template in {folder} cannot be used"):
        parts = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
        chat = processor.render_chat([{"role": "user", "content": parts}], answer_follows=True)
        merge = processor.image_processor.merge_size
        processor.tokenize(chat, torch.tensor([[1, merge, merge]]))
        processor.decode([processor.end_id, processor.pad_id])
    return processor


def _chat_template(folder: Path, found: object) -> str:
    """The template that the tokenizer brought, or that of `chat_template.json`."""
    path = folder / "chat_template.json"
    if found is None and path.is_file():
        found = read_json(path, CheckpointError).get("chat_template")
    if isinstance(found, dict):  # several by name
        found = found.get("default")
    if not isinstance(found, str):
        raise CheckpointError(
            f"{folder} has a tokenizer but no chat template that is a text; add one, for example "
            "as chat_template.jinja"
        )
    return found


def pad_rows(
    rows: Sequence[Sequence[int]], value: int, side: Literal["left", "right"]
) -> tuple[Tensor, Tensor]:
    """`[rows, longest]` filled with `value` on one side, and a mask of what was there before."""
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    pad = partial(pad_sequence, batch_first=True, padding_side=side)
    return pad(tensors, padding_value=value), pad([torch.ones_like(row) for row in tensors])
