"""Language models, named as inspect-ai names them (`openai/...`, `vllm/...`) or by a server's URL.

inspect-ai does the calls: its providers, cache, retries and connection limits. Here are the way
from a name to a model, the order of the replies, and their problems.
"""

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skingpt_r1.errors import NarratorError, SkinGPTError
from skingpt_r1.llm.ask import Prompt, Reply, picture_uri
from skingpt_r1.llm.budget import (
    PASSING,
    ApiRecipe,
    CallsRecipe,
    Ledger,
    failure_code,
    is_senseless,
    refuse_redirection,
    text_problem,
)

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput


logger = logging.getLogger(__name__)

# Prompts in hand for each connection: a slow call at the head does not idle the others, and the
# pictures in memory stay few.
WINDOW = 4


class ChatModel:
    """A language model to ask: several calls at once, replies in order; see `open_chat_model`.

    `model` is one of inspect-ai, metered.
    """

    def __init__(
        self, name: str, model: "Model", api: ApiRecipe, calls: CallsRecipe, ledger: Ledger
    ) -> None:
        self._name = name
        self._model = model
        self._api = api
        self._calls = calls
        self.ledger = ledger

    @property
    def name(self) -> str:
        """As given; a reply also names the version that the server tells."""
        return self._name

    def ask(self, prompts: Sequence[Prompt]) -> Iterator[Reply]:
        """Replies in the order of the prompts; each as soon as it and all before it are there.

        Failures that may pass are held back until a later call works or the prompts end: when too
        many come in a row they are not handed over, so that a continued run asks again.

        Raises:
            CostError: the next call could pass the limit; all replies before it were handed over.
            NarratorError: the provider refuses every call, or too many failed in a row.
            ImageError: a picture cannot be read.
        """
        held: list[Reply] = []
        with closing(self._replies(prompts)) as replies:
            for reply in replies:
                held.append(reply)
                if reply.problem not in PASSING:
                    yield from held
                    held.clear()
                elif len(held) >= self._calls.max_failures:
                    raise self._out_of_order(reply.problem)
        yield from held

    def _replies(self, prompts: Sequence[Prompt]) -> Generator[Reply]:
        waiting: deque[Future[Reply]] = deque()
        most = WINDOW * self._calls.max_connections
        try:
            for prompt in prompts:
                coroutine = self._ask(self._messages(prompt), prompt.seed)
                waiting.append(asyncio.run_coroutine_threadsafe(coroutine, _background_loop()))
                while waiting and (len(waiting) >= most or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except SkinGPTError:
            # What runs is paid for: its replies go into the cache.
            concurrent.futures.wait(waiting)
            raise
        finally:
            for future in waiting:
                future.cancel()

    def _messages(self, prompt: Prompt) -> "list[ChatMessage]":
        from inspect_ai.model import ChatMessageUser, ContentImage, ContentText

        content: list[Any] = [
            ContentImage(image=picture_uri(path, self._api.longest_side)) for path in prompt.images
        ]
        return [ChatMessageUser(content=[*content, ContentText(text=prompt.text)])]

    async def _ask(self, messages: "list[ChatMessage]", seed: int) -> Reply:
        from inspect_ai.model import CachePolicy, GenerateConfig

        call = self._model.generate(
            messages, config=GenerateConfig(seed=seed), cache=CachePolicy(expiry=None)
        )
        # Providers raise errors of many libraries; gathered, every one is a value.
        gathered: Sequence[Any] = await asyncio.gather(call, return_exceptions=True)
        outcome = gathered[0]
        if isinstance(outcome, BaseException):
            return self._failed(_root(outcome))
        return self._read(outcome)

    def _failed(self, error: BaseException) -> Reply:
        if isinstance(error, SkinGPTError):
            raise error
        refuse_redirection(self._name, error)
        kind = type(error).__name__
        if is_senseless(error):
            raise NarratorError(
                f"the provider of {self._name!r} refuses every call ({kind}); check the API key, "
                "the name of the model and what the account may use, then run the same command "
                "again"
            ) from None
        code = failure_code(error)
        # The message of the error may hold the prompt or the key; its class does not.
        logger.warning("%s: a call failed for good: %s (%s)", self._name, code, kind)
        problem = code if code in PASSING else "server_error"
        return Reply("", self._name, problem, cost_usd=None)

    def _read(self, output: "ModelOutput") -> Reply:
        from skingpt_r1.llm.metered import tokens_of

        served = f"{self._name} [{output.model}]" if output.model else self._name
        # Half of a surrogate pair, which JSON can hold, could not be written down.
        written = "" if output.empty else output.completion
        text = written.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        problem = text_problem(
            text,
            stop="stop" if output.empty else output.stop_reason,
            refused=_is_marked_refusal(output),
            max_bytes=self._api.max_reply_bytes,
        )
        used, price = tokens_of(output.usage), self._calls.prices.get(self._name)
        read, written = used or (0, 0)
        return Reply(
            text="" if problem else text,
            narrator=served,
            problem=problem,
            input_tokens=read,
            output_tokens=written,
            cost_usd=price.cost_usd(read, written) if price and used else None,
            unused_text=text if problem else "",
            thoughts=thoughts_of(output),
        )

    def _out_of_order(self, problem: str | None) -> NarratorError:
        return NarratorError(
            f"{self._calls.max_failures} calls of {self._name!r} in a row failed (the last: "
            f"{problem}); nothing more is asked. What is there is kept: run the same command again "
            "when the server works"
        )


def thoughts_of(output: "ModelOutput") -> str:
    """What a model wrote as its thinking, as far as the provider shows it."""
    from inspect_ai.model import ContentReasoning

    content = [] if output.empty else output.choices[0].message.content
    parts = [part for part in content if isinstance(part, ContentReasoning)]
    return "\n".join(part.reasoning for part in parts if not part.redacted and part.reasoning)


def _is_marked_refusal(output: "ModelOutput") -> bool:
    from inspect_ai.model import ContentText

    parts = [part for choice in output.choices for part in choice.message.content]
    return any(isinstance(part, ContentText) and bool(part.refusal) for part in parts)


def _root(error: BaseException) -> BaseException:
    """The error of the last attempt, where the attempts are used up."""
    from tenacity import RetryError

    last = error.last_attempt.exception() if isinstance(error, RetryError) else None
    return last if isinstance(last, BaseException) else error


@cache
def _background_loop() -> asyncio.AbstractEventLoop:
    """One event loop for all calls of the process, so that connections stay open between blocks."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="language models", daemon=True).start()
    return loop


SERVICE = "openai-compatible"
KEY_VARIABLE = "OPENAI_COMPATIBLE_API_KEY"
NO_KEY = "none"
# Providers that start a server on this machine when no running one is named.
_SERVERS = {"vllm": "VLLM_BASE_URL", "sglang": "SGLANG_BASE_URL"}
# At DEBUG these write whole requests, pictures and keys included, into a log.
_TALKATIVE = ("openai", "anthropic", "httpx", "httpx2", "httpcore", "httpcore2", "google_genai")


def open_chat_model(name: str, *, api: ApiRecipe, calls: CallsRecipe, ledger: Ledger) -> ChatModel:
    """A language model by its name; checked as far as that goes without a call.

    Args:
        name: `<provider>/<model>` as inspect-ai names it, or `<URL>#<model>` for a server that
            speaks the OpenAI protocol.
        api: what is asked for.
        calls: prices, connections, retries.
        ledger: of the calls, with the limit.

    Raises:
        NarratorError: the extra is not installed, the name is not known, or the key is missing.
        CostError: the ledger has a limit, and the recipe no price for this name.
    """
    ledger.check_price(name, calls.prices.get(name))
    model = _metered(name, api, calls, ledger)
    return ChatModel(name, model, api, calls, ledger)


def _metered(name: str, api: ApiRecipe, calls: CallsRecipe, ledger: Ledger) -> "Model":
    try:
        from inspect_ai.model import GenerateConfig, get_model

        from skingpt_r1.llm import metered as metered_api
    except ImportError as error:
        raise NarratorError(
            f"narrator {name!r} needs the package {error.name}, which is not installed; install "
            "skingpt-r1[bench]: pip install 'skingpt-r1[bench]'"
        ) from None
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.INFO)
    config = GenerateConfig(
        max_tokens=api.max_tokens,
        temperature=api.temperature,
        max_connections=calls.max_connections,
        max_retries=calls.max_retries,
        attempt_timeout=calls.timeout_s,
        cache_prompt=False,
    )
    inner = _open(name, config)
    return get_model(
        f"{metered_api.METERED}/{inner}",
        config=config,
        base_url=inner.api.base_url,
        memoize=False,
        inner=inner.api,
        narrator=name,
        ledger=ledger,
        calls=calls,
    )


def _open(name: str, config: "GenerateConfig") -> "Model":
    # Not a public name of inspect-ai, but what its providers raise for users.
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    if "://" in name:
        identity, place = _server(name)
    else:
        identity, place = name, {}
    provider, _, model = identity.partition("/")
    if not provider or not model:
        raise _unknown(name)
    variable = _SERVERS.get(provider)
    if variable and variable not in os.environ and not find_spec(provider):
        raise NarratorError(
            f"narrator {name!r} needs a running server, named by the environment variable "
            f"{variable}, or the package {provider} to start one; neither is there"
        )
    try:
        return get_model(identity, config=config, memoize=False, **place)
    except PrerequisiteError as error:
        raise NarratorError(
            f"narrator {name!r} cannot be opened: {_plain(error.message)}"
        ) from None
    except ValueError:
        raise _unknown(name) from None


def _server(name: str) -> tuple[str, dict[str, Any]]:
    """The model of a server that is named `<URL>#<model>`."""
    url, _, model = name.partition("#")
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise NarratorError(
            "the URL of a narrator must hold no user, password or query, because its name stands "
            f"in every record; put the key into the environment variable {KEY_VARIABLE}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise NarratorError(
            f"narrator {name!r} is not of the form http(s)://host:port/v1#model; for example "
            "http://127.0.0.1:8000/v1#Qwen/Qwen2.5-VL-7B-Instruct"
        )
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        logger.warning("pictures travel to %s without encryption; https encrypts", parts.hostname)
    key = os.environ.get(KEY_VARIABLE, NO_KEY)
    return f"openai-api/{SERVICE}/{model}", {"base_url": url, "api_key": key}


def _unknown(name: str) -> NarratorError:
    return NarratorError(
        f"narrator {name!r} is not known; allowed: offline, own:nano, own:<directory>, "
        "<provider>/<model> with a provider of inspect-ai (openai, anthropic, google, vllm, ...), "
        "or <URL>#<model>"
    )


def _plain(message: Any) -> str:
    """What inspect-ai writes for a terminal, as one line without its marks."""
    from rich.text import Text

    words = Text.from_markup(str(message)).plain.removeprefix("ERROR").lstrip(": ").split()
    return " ".join(words)
