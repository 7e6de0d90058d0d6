"""A provider of inspect-ai with a meter: every call that is really made passes through here.

inspect-ai looks into its cache before it asks a provider, so that a cached reply is no call. Its
retries each count as a call, and each waits at least as long as the server asks.

Importing this module needs the extra `bench`.
"""

import json
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    ContentImage,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    RetryDecision,
    modelapi,
)
from tenacity import RetryCallState, wait_exponential, wait_random
from tenacity.wait import wait_base

from skingpt_r1.llm.ask import prompt_sha256
from skingpt_r1.llm.budget import CallsRecipe, Ledger, WantedCall, failure_code, most_input_tokens

METERED = "metered"


@modelapi(name=METERED)
class MeteredAPI(ModelAPI):  # type: ignore[misc]  # the library is not followed
    """A provider that keeps a ledger.

    The first four arguments are those of inspect-ai; `base_url` is part of the key of the cache,
    `api_key` is not used, as the provider `inner` has its own. `narrator` is the ledger's name.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        inner: ModelAPI,
        narrator: str,
        ledger: Ledger,
        calls: CallsRecipe,
    ) -> None:
        super().__init__(model_name, base_url, None, [], config or GenerateConfig())
        self._inner = inner
        self._narrator = narrator
        self._ledger = ledger
        self._calls = calls
        self._price = calls.prices.get(narrator)
        self._most_read = 0

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - the name of the interface
        tools: Any,
        tool_choice: Any,
        config: GenerateConfig,
    ) -> ModelOutput:
        """One call, reserved before and written down after."""
        client = getattr(self._inner, "http_client", None)
        if client is not None:
            client.follow_redirects = False  # a picture goes to the server that was named alone
        async with self._ledger.call(self._wanted(input, config), failure_code) as usage:
            result = await self._inner.generate(input, tools, tool_choice, config)
            output = result[0] if isinstance(result, tuple) else result
            if isinstance(output, Exception):
                raise output
            usage.tokens = tokens_of(output.usage)
        self._most_read = max(self._most_read, usage.tokens[0] if usage.tokens else 0)
        return output

    def should_retry(self, ex: Exception) -> Any:
        """As the provider says; half a JSON document is worth another attempt as well."""
        if isinstance(ex, json.JSONDecodeError):
            return RetryDecision.transient()
        return self._inner.should_retry(ex)

    def retry_wait(self) -> wait_base:
        """Doubling waits, and at least what the server asks for."""
        return _WaitAsAsked(self._inner, self._calls)

    def is_auth_failure(self, ex: Exception) -> bool:
        """As the provider says."""
        return bool(self._inner.is_auth_failure(ex))

    def max_tokens(self) -> int | None:
        """As the provider says."""
        tokens: int | None = self._inner.max_tokens()
        return tokens

    def connection_key(self) -> str:
        """Narrators of one name and account share their connections."""
        own = f"{self._narrator}:{self._calls.max_connections}"
        return f"{own}:{self._inner.connection_key()}"

    def collapse_user_messages(self) -> bool:
        """As the provider says."""
        return bool(self._inner.collapse_user_messages())

    async def aclose(self) -> None:
        """Close the provider."""
        await self._inner.aclose()

    def _wanted(self, messages: list[ChatMessage], config: GenerateConfig) -> WantedCall:
        prompt = "\n".join(message.text for message in messages)
        parts = [part for message in messages for part in message.content]
        images = sum(isinstance(part, ContentImage) for part in parts)
        return WantedCall(
            narrator=self._narrator,
            prompt_sha256=prompt_sha256(prompt),
            seed=config.seed,
            price=self._price,
            input_tokens=max(most_input_tokens(prompt, images, self._calls), self._most_read),
            output_tokens=config.max_tokens or 0,
        )


def tokens_of(usage: ModelUsage | None) -> tuple[int, int] | None:
    """Tokens read and written; what the provider's own cache gave counts as read."""
    if usage is None:
        return None
    cached = (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
    return usage.input_tokens + cached, usage.output_tokens


class _WaitAsAsked(wait_base):  # type: ignore[misc]  # the library is not followed
    def __init__(self, inner: ModelAPI, calls: CallsRecipe) -> None:
        self._inner = inner
        self._longest = calls.longest_wait_s
        doubling = wait_exponential(multiplier=calls.first_wait_s, max=calls.longest_wait_s)
        self._usual = doubling + wait_random(0, calls.first_wait_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        usual = float(self._usual(retry_state))
        error = retry_state.outcome.exception() if retry_state.outcome else None
        decision = self._inner.should_retry(error) if isinstance(error, Exception) else None
        asked = decision.retry_after if isinstance(decision, RetryDecision) else None
        return min(max(usual, asked or 0.0), self._longest)
