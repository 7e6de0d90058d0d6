"""Why a language model gave no usable text: replies and errors as the codes of `candidate.REASONS`.

The clients of the providers name their errors alike and share no class, so that names are compared.
"""

import asyncio
import re
from urllib.parse import urlsplit

from skingpt_r1.errors import NarrativeError, NarratorError
from skingpt_r1.llm.budget import INTERRUPTED
from skingpt_r1.text.findings import read_findings
from skingpt_r1.text.narrative import parse_narrative

# What passes by itself; after many in a row there is no point in asking on.
PASSING = frozenset({"timeout", "connection", "server_error", "rate_limited"})
_CODES = {
    "timeout": {"TimeoutError", "APITimeoutError", "TimeoutException", "AttemptTimeoutError",
                "StreamIdleTimeoutError"},
    "rate_limited": {"RateLimitError", "TooManyRequests", "ResourceExhausted"},
    "connection": {"ConnectionError", "APIConnectionError", "TransportError",
                   "ClientConnectionError"},
}  # fmt: skip
_NO_SENSE = frozenset({"AuthenticationError", "NotFoundError", "PrerequisiteError"})
_CLAUSE = re.compile(r"(?<=[.!?;:])\s+|\n+|\b(?:but|however|although|though|yet)\b", re.IGNORECASE)
_DECLINES = re.compile(
    r"\b(?:i['’]m|i\sam|we['’]re|we\sare)\s(?:\w+\s){0,2}(?:unable|not\s(?:able|allowed|permitted"
    r"|qualified|licensed|equipped|comfortable))\b|\b(?:i|we)\s(?:must\s|have\sto\s)?(?:decline|refuse)\b"
    r"|\b(?:i|we)\s(?:\w+\s)?(?:cannot|can\snot|can['’]?t|won['’]t|will\snot|don['’]t|do\snot)"
    r"(?:\s\w+){0,3}?\s(?:help|assist|provide|give|offer|make|diagnose|identify|analy[sz]e|evaluate"
    r"|assess|interpret|answer|comply|fulfil\w*|continue|process|comment|determine|describe|engage"
    r"|discuss|do|complete|support|perform|judge|rate|score|examine|review|write|generate|create"
    r"|respond|share|advise|speculate"
    r"|(?:view|see|access|open|read)\s(?:\w+\s){0,2}(?:images?|pictures?|photo\w*|it|them|this))\b",
    re.IGNORECASE,
)
# What is said beside a refusal: courtesy, reasons, and where to go.
_BESIDE = re.compile(
    r"\b(?:sorry|apolog\w+|regret\w*|unfortunately|afraid|thanks?|understand|as\san\sai|ai"
    r"|language\smodel|please|consult\w*|seek\w*|recommend\w*|professionals?|providers?|physicians?"
    r"|doctors?|dermatologists?|medical|in[\s-]person|emergency|guidelines?|polic(?:y|ies)|privacy"
    r"|instead|happy\sto|feel\sfree|let\sme\sknow|if\syou|i\scan|anything\selse|you\sshould)\b",
    re.IGNORECASE,
)
_SEEN_SLOTS = frozenset({"morphology", "colour", "surface", "border"})


def failure_code(error: BaseException) -> str:
    """The code of an error that ended a call."""
    names = _class_names(error)
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return INTERRUPTED
    return next((code for code, of_code in _CODES.items() if names & of_code), "server_error")


def is_senseless(error: BaseException) -> bool:
    """Whether every further call must fail as well: wrong key, unknown model, missing package."""
    return bool(_class_names(error) & _NO_SENSE)


def refuse_redirection(narrator: str, error: BaseException) -> None:
    """Stop where a server answers with the address of another one.

    Raises:
        NarratorError: the error is such an answer; it names the other address without its path.
    """
    response = getattr(error, "response", None)
    if response is None or not 300 <= getattr(error, "status_code", 0) < 400:
        return
    parts = urlsplit(response.headers.get("location", ""))
    there = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "a new path"
    raise NarratorError(
        f"the server of {narrator!r} redirects to {there}; nothing was sent there, since pictures "
        "go to the server that was named and to no other. If it is the right one, name it"
    ) from None


def _class_names(error: BaseException) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def text_problem(text: str, *, stop: str, refused: bool, max_bytes: int) -> str | None:
    """Why a reply is no usable text; None when it is.

    Args:
        text: as written.
        stop: why the model stopped, in the words of inspect-ai.
        refused: whether the provider marks it as a refusal.
        max_bytes: that a text may have.
    """
    if refused or stop == "content_filter" or is_refusal(text):
        return "refusal"
    if len(text.encode()) > max_bytes:
        return "too_long"
    if stop in ("max_tokens", "model_length"):
        return "truncated"
    return None if text.strip() else "empty"


def is_refusal(text: str) -> bool:
    """Whether a text declines and goes on to no answer.

    An apology, a reservation or a picture that cannot be seen are no refusal by themselves: a text
    that names a diagnosis or a finding after them, or says anything else but where to go, answers.
    """
    said = text.rpartition("</think>")[2]
    clauses = [part for part in _CLAUSE.split(said) if re.search(r"[^\W\d_]", part)]
    if not any(_DECLINES.search(clause) for clause in clauses[:3]):
        return False
    others = [part for part in clauses if not (_DECLINES.search(part) or _BESIDE.search(part))]
    return not (others or _SEEN_SLOTS & set(read_findings(said)) or _concludes(text))


def _concludes(text: str) -> bool:
    try:
        parse_narrative(text)
    except NarrativeError:
        return False
    return True
