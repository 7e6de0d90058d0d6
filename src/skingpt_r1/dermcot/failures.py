"""Why a language model gave no usable text: replies and errors as the codes of `candidate.REASONS`.

The clients of the providers name their errors alike and share no class, so that names are compared.
"""

import asyncio

from skingpt_r1.dermcot.ledger import INTERRUPTED
from skingpt_r1.narrative_reading import declines

# What passes by itself; after many in a row there is no point in asking on.
PASSING = frozenset({"timeout", "connection", "server_error", "rate_limited"})
_TIMEOUT = frozenset(
    {"TimeoutError", "APITimeoutError", "TimeoutException", "AttemptTimeoutError",
     "StreamIdleTimeoutError"}
)  # fmt: skip
_RATE_LIMIT = frozenset({"RateLimitError", "TooManyRequests", "ResourceExhausted"})
_CONNECTION = frozenset(
    {"ConnectionError", "APIConnectionError", "TransportError", "ClientConnectionError"}
)
_NO_SENSE = frozenset({"AuthenticationError", "NotFoundError", "PrerequisiteError"})


def failure_code(error: BaseException) -> str:
    """The code of an error that ended a call."""
    names = class_names(error)
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return INTERRUPTED
    for code, known in (
        ("timeout", _TIMEOUT),
        ("rate_limited", _RATE_LIMIT),
        ("connection", _CONNECTION),
    ):
        if names & known:
            return code
    return "server_error"


def is_senseless(error: BaseException) -> bool:
    """Whether every further call must fail as well: wrong key, unknown model, missing package."""
    return bool(class_names(error) & _NO_SENSE)


def class_names(error: BaseException) -> frozenset[str]:
    """The names of the class of an error and of those above it."""
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def text_problem(text: str, *, stop: str, refused: bool, max_bytes: int) -> str | None:
    """Why a reply is no usable text; None when it is.

    Args:
        text: as written.
        stop: why the model stopped, in the words of inspect-ai.
        refused: whether the provider marks it as a refusal.
        max_bytes: that a text may have.
    """
    if refused or stop == "content_filter" or declines(text):
        return "refusal"
    if len(text.encode()) > max_bytes:
        return "too_long"
    if stop in ("max_tokens", "model_length"):
        return "truncated"
    return None if text.strip() else "empty"
