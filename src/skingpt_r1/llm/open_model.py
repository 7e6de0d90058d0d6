"""From a name to a language model: `openai/...`, `anthropic/...`, `vllm/...`, or a server's URL."""

import logging
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skingpt_r1.errors import NarratorError
from skingpt_r1.llm.api_recipe import ApiRecipe, CallsRecipe
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.llm.models import InspectNarrator

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model

logger = logging.getLogger(__name__)

SERVICE = "openai-compatible"
KEY_VARIABLE = "OPENAI_COMPATIBLE_API_KEY"
NO_KEY = "none"
# Providers that start a server on this machine when no running one is named.
_SERVERS = {"vllm": "VLLM_BASE_URL", "sglang": "SGLANG_BASE_URL"}
# At DEBUG these write whole requests, pictures and keys included, into a log.
_TALKATIVE = ("openai", "anthropic", "httpx", "httpx2", "httpcore", "httpcore2", "google_genai")


def open_model_narrator(
    name: str, *, api: ApiRecipe, calls: CallsRecipe, ledger: Ledger
) -> InspectNarrator:
    """A language model as a narrator; checked as far as that goes without a call.

    Args:
        name: `<provider>/<model>` as inspect-ai names it, or `<URL>#<model>` for a server that
            speaks the OpenAI protocol.
        api: what is asked for.
        calls: prices, connections, retries.
        ledger: where calls are written down, with the limit.

    Raises:
        NarratorError: the extra is not installed, the name is not known, or the key is missing.
        CostError: the ledger has a limit, and the recipe no price for this name.
    """
    ledger.check_price(name, calls.prices.get(name))
    model = _metered(name, api, calls, ledger)
    return InspectNarrator(name, model, api, calls, ledger)


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
