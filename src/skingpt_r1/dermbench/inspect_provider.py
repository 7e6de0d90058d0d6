"""Our models as a provider of inspect-ai: `--model skingpt/nano`, `skingpt/DIR`, `#plain`.

Inspect asks one question at a time, many at once; what waits together is decoded together.

Importing this module needs the extra `bench`.
"""

import base64
import binascii
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentImage,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from PIL import Image

from skingpt_r1.data.intake import open_image
from skingpt_r1.dermbench.recipe import LocalRecipe
from skingpt_r1.dermbench.systems.named import PLAIN, is_plain
from skingpt_r1.dermbench.systems.own import CUT, Written, one_model_at_a_time, write_block
from skingpt_r1.errors import SkinGPTError
from skingpt_r1.model.placement import AUTO, ModelRecipe

if TYPE_CHECKING:
    from skingpt_r1.model.prompt import Request

PROVIDER = "skingpt"


@modelapi(name=PROVIDER)
class SkinGPTAPI(ModelAPI):  # type: ignore[misc]  # the library is not followed
    """A model of this machine, greedy whatever temperature is asked for.

    Args:
        model_name: `nano` or a directory, with `#plain` for the backbone without its adapters.
        base_url: not used.
        api_key: not used.
        config: `max_tokens` and `max_connections` are read; see inspect-ai.
        device: `auto`, `cpu`, `cuda`, ...
        dtype: `auto`, `fp32`, `bf16` or `fp16`.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        super().__init__(model_name, base_url, None, [], config or GenerateConfig())
        self._where = model_name.removesuffix(PLAIN)
        self._plain = is_plain(model_name)
        self._load = one_model_at_a_time(ModelRecipe(device=device, dtype=dtype))
        asked = config.max_connections if config else None
        self._together = asked or LocalRecipe().batch_size
        self._waiting: list[_Slot] = []
        self._lock = anyio.Lock()

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - the name of the interface
        tools: Any,
        tool_choice: Any,
        config: GenerateConfig,
    ) -> ModelOutput:
        """One text, written together with those that wait at the same time."""
        from skingpt_r1.model.prompt import Request

        if tools:
            raise SkinGPTError(f"{PROVIDER}/{self._where} calls no tools; ask it without them")
        request = Request(tuple(pictures_of(input)), question=_text_of(input))
        slot = _Slot(request, config.max_tokens or LocalRecipe().max_new_tokens)
        self._waiting.append(slot)
        async with self._lock:
            if slot.written is None:
                await self._write(slot)
        assert slot.written is not None
        return _output(f"{PROVIDER}/{self.model_name}", slot.written)

    def max_connections(self) -> int:
        """As many as are decoded together."""
        return int(self._together)

    async def _write(self, first: "_Slot") -> None:
        """Write the first of those that wait, and with it those that may be as long."""
        await anyio.sleep(0)  # those that were asked at the same moment get in line
        same = [slot for slot in self._waiting if slot.most == first.most]
        batch = [first, *(slot for slot in same if slot is not first)][: self._together]
        requests = [slot.request for slot in batch]
        try:
            texts = await anyio.to_thread.run_sync(self._texts, requests, first.most)
            for slot, written in zip(batch, texts, strict=True):
                slot.written = written
        finally:
            # After a failure the others try for themselves, so that one fails alone.
            done = [slot for slot in batch if slot.written is not None or slot is first]
            self._waiting = [slot for slot in self._waiting if slot not in done]

    def _texts(self, requests: "Sequence[Request]", most: int) -> list[Written]:
        return write_block(
            self._load(self._where, self._plain), requests, most=most, plain=self._plain
        )


@dataclass(eq=False)
class _Slot:
    """A question that waits, and its text when there is one."""

    request: "Request"
    most: int
    written: Written | None = None


def pictures_of(messages: Sequence[ChatMessage]) -> Iterator[Image.Image]:
    """The pictures of a conversation, in order.

    Raises:
        SkinGPTError: a picture is not in its message.
        ImageError: a picture cannot be read.
    """
    for message in messages:
        for part in message.content if isinstance(message.content, list) else ():
            if isinstance(part, ContentImage):
                yield _picture(part.image)


def _picture(where: str) -> Image.Image:
    """A picture that lies in the message; inspect-ai puts files there before it asks a provider."""
    head, sign, content = where.partition(";base64,")
    if not sign or not head.startswith("data:"):
        raise SkinGPTError("a picture must lie in the message, as a data URI in base64")
    with tempfile.NamedTemporaryFile(prefix="skingpt-") as file:
        try:
            file.write(base64.b64decode(content, validate=True))
        except binascii.Error as error:
            raise SkinGPTError("a picture in the message is not base64; send it again") from error
        file.flush()
        return open_image(file.name)


def _text_of(messages: Sequence[ChatMessage]) -> str:
    return "\n".join(message.text for message in messages if message.text)


def _output(model: str, written: Written) -> ModelOutput:
    cut = written.stop_reason == CUT
    message = ChatMessageAssistant(content=written.text, model=model, source="generate")
    read, wrote = written.input_tokens, written.output_tokens
    return ModelOutput(
        model=model,
        choices=[
            ChatCompletionChoice(message=message, stop_reason="max_tokens" if cut else "stop")
        ],
        usage=ModelUsage(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote),
    )
