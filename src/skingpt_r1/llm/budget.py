"""What calls to language models are asked for and cost: recipes, an append-only ledger, estimates.

One record per call that was really made; a reply from the cache is no call. The limit is kept
before a call: what was paid, what runs and the most that the next call can cost must fit. A call
that broke off may have been paid for, so that its most counts. `ApiRecipe` changes the texts and
belongs to a run; `CallsRecipe` does not, and may change when a run is taken up again.

Why a language model gave no usable text: replies and errors as the codes of `candidate.REASONS`.

The clients of the providers name their errors alike and share no class, so that names are compared.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt

from skingpt_r1.errors import CostError, NarrativeError, NarratorError
from skingpt_r1.llm.ask import Prompt
from skingpt_r1.recipes import Section
from skingpt_r1.records import Record, append_record, iterate_records, mend_records
from skingpt_r1.text.findings import read_findings
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.tokens import patterns

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(Section):
    """What a provider asks for in US dollars per million tokens read and written."""

    input: Amount
    output: Amount

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


class ApiRecipe(Section):
    """What a language model is sent and asked for.

    Attributes:
        longest_side: pixels to which a picture is shrunk before it is sent.
        temperature: of the sampling; the provider's default when None.
    """

    longest_side: Annotated[int, Field(ge=28)] = 1024
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.7
    max_tokens: PositiveInt = 1024  # that a reply may have; one that needs more is `truncated`
    max_reply_bytes: PositiveInt = 50_000  # a longer reply is `too_long`


class CallsRecipe(Section):
    """How calls are made, and what they cost; nothing here changes a text.

    Attributes:
        prices: name of the narrator -> price; what is not here has no known price.
        image_tokens: most input tokens that one picture takes, for estimates and the cost limit.
        max_retries: further attempts after one that failed for a passing reason. The providers'
            own clients repeat an attempt twice before it counts as failed.
        first_wait_s: before the first further attempt; it doubles from one to the next.
        longest_wait_s: between two attempts, also where the server asks for more.
        max_failures: calls in a row that may fail before the run stops as one to be continued
            later.
    """

    prices: dict[str, Price] = Field(default_factory=dict)
    image_tokens: PositiveInt = 1600
    max_connections: PositiveInt = 8  # calls at the same time
    max_retries: NonNegativeInt = 3
    first_wait_s: PositiveFloat = 3.0
    longest_wait_s: PositiveFloat = 300.0
    timeout_s: PositiveInt = 300  # for one attempt
    max_failures: PositiveInt = 10


NameFailure = Callable[[BaseException], str]
INTERRUPTED = "interrupted"
# After these the provider may have worked, and may ask for its money.
_MAYBE_PAID = frozenset({"timeout", "connection", INTERRUPTED})


class CallRecord(Record):
    """A call that ended; the ledger holds neither texts nor pictures.

    Tokens are None when the server did not report them, prices (US dollars per million tokens)
    when they are not known, and costs when either is missing.

    Attributes:
        counted_usd: what counts against the limit: the cost, or for a call that may have been paid
            the most it can have cost; None without a price.
    """

    at: str  # when it ended, UTC
    narrator: str
    prompt_sha256: str  # as in the provenance of the text
    seed: int | None
    input_tokens: int | None
    output_tokens: int | None
    input_price: FiniteFloat | None
    output_price: FiniteFloat | None
    cost_usd: FiniteFloat | None
    counted_usd: FiniteFloat | None
    problem: str | None  # why no reply came back; None when one did


class Totals(NamedTuple):
    """The sums of a ledger.

    Attributes:
        calls: made, failed ones included; tokens and costs are summed as far as they are known.
    """

    calls: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unknown: int = 0  # calls whose cost is not known
    counted_usd: float = 0.0  # what counts against the limit

    def plus(self, record: CallRecord) -> "Totals":
        """The sums with one more call."""
        return Totals(
            self.calls + 1,
            self.failed + (record.problem is not None),
            self.input_tokens + (record.input_tokens or 0),
            self.output_tokens + (record.output_tokens or 0),
            self.cost_usd + (record.cost_usd or 0.0),
            self.unknown + (record.cost_usd is None),
            self.counted_usd + (record.counted_usd or 0.0),
        )

    def __str__(self) -> str:
        """One line for a person."""
        known = self.calls - self.unknown
        cost = f"{self.cost_usd:.4f} USD" if known or not self.calls else "unknown"
        beside = f" and {self.unknown} calls of unknown cost" if known and self.unknown else ""
        return (
            f"{self.calls} calls ({self.failed} failed), {self.input_tokens} tokens read, "
            f"{self.output_tokens} written, cost {cost}{beside}"
        )


class WantedCall(NamedTuple):
    """A call that is about to be made; of its tokens, the most that can be read and written."""

    narrator: str
    prompt_sha256: str
    seed: int | None
    price: Price | None
    input_tokens: int
    output_tokens: int

    @property
    def at_most_usd(self) -> float:
        """The most that it can cost; 0 without a price."""
        if self.price is None:
            return 0.0
        return self.price.cost_usd(self.input_tokens, self.output_tokens)


@dataclass(slots=True)
class Usage:
    """Tokens read and written by a call; None until the server reports them."""

    tokens: tuple[int, int] | None = None


class Ledger:
    """The calls of one run, those before an interruption included.

    Args:
        path: the JSON Lines file.
        max_cost_usd: limit over all calls in the file; None for no limit.

    Raises:
        RecordError: the file is damaged.
    """

    def __init__(self, path: Path, max_cost_usd: float | None = None) -> None:
        self.path = path
        self.max_cost_usd = max_cost_usd
        self._totals = read_totals(path)
        self._running = 0
        self._reserved = 0.0
        self._changed = asyncio.Event()

    @property
    def totals(self) -> Totals:
        """The sums so far."""
        return self._totals

    def check_price(self, narrator: str, price: Price | None) -> None:
        """Refuse a limit over calls whose price nobody told.

        Raises:
            CostError: there is a limit, and no price.
        """
        if self.max_cost_usd is not None and price is None:
            raise CostError(
                f"the cost of {narrator!r} is unknown, so --max-cost {self.max_cost_usd:g} cannot "
                "be kept; give its prices in the recipe (narrators.calls.prices: US dollars per "
                "million tokens, input and output), or leave --max-cost out"
            )

    @asynccontextmanager
    async def call(self, wanted: WantedCall, name_failure: NameFailure) -> AsyncIterator[Usage]:
        """Wait until a call fits beside those that run, hold its most, and write down its end.

        Args:
            wanted: the call.
            name_failure: gives the code of an error that ends it.

        Yields:
            Where the caller writes the tokens that the server reports.

        Raises:
            CostError: it does not fit, and nothing runs that could turn out cheaper.
        """
        while not self._fits(wanted.at_most_usd):
            if not self._running:
                raise self._limit_reached(wanted)
            await self._changed.wait()
        self._running += 1
        self._reserved += wanted.at_most_usd
        usage, problem = Usage(), None
        try:
            yield usage
        except BaseException as error:
            problem = name_failure(error)
            raise
        finally:
            record = _record(wanted, usage.tokens, problem)
            append_record(self.path, record)
            self._totals = self._totals.plus(record)
            self._running -= 1
            self._reserved = self._reserved - wanted.at_most_usd if self._running else 0.0
            self._changed.set()
            self._changed = asyncio.Event()

    def _fits(self, at_most_usd: float) -> bool:
        if self.max_cost_usd is None:
            return True
        return self._totals.counted_usd + self._reserved + at_most_usd <= self.max_cost_usd

    def _limit_reached(self, wanted: WantedCall) -> CostError:
        return CostError(
            f"{self._totals.counted_usd:.4f} USD count as paid and the next call of "
            f"{wanted.narrator!r} can cost up to {wanted.at_most_usd:.4f} USD, which would pass "
            f"--max-cost {self.max_cost_usd:g}; it was not made. What is there is kept: run the "
            "same command with a higher --max-cost to continue"
        )


def _record(wanted: WantedCall, used: tuple[int, int] | None, problem: str | None) -> CallRecord:
    price = wanted.price
    read, written = used or (None, None)
    cost = price.cost_usd(*used) if price and used else None
    maybe_paid = wanted.at_most_usd if problem is None or problem in _MAYBE_PAID else 0.0
    counted = cost if cost is not None else maybe_paid
    return CallRecord(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        narrator=wanted.narrator,
        prompt_sha256=wanted.prompt_sha256,
        seed=wanted.seed,
        input_tokens=read,
        output_tokens=written,
        input_price=price.input if price else None,
        output_price=price.output if price else None,
        cost_usd=cost,
        counted_usd=counted if price else None,
        problem=problem,
    )


def read_totals(path: Path) -> Totals:
    """The sums of a ledger file; a torn last line is cut, and no file holds no calls.

    Raises:
        RecordError: the file is damaged.
    """
    totals = Totals()
    if path.exists():
        mend_records(path)
        for record in iterate_records(path, CallRecord):
            totals = totals.plus(record)
    return totals


# What the protocol puts around a message: roles and separators.
OVERHEAD_TOKENS = 64
# English prose has about four characters to a token.
CHARACTERS_PER_TOKEN = 4


class Estimate(NamedTuple):
    """What a number of tasks would take.

    Attributes:
        at_most_usd: every input token counted as one byte, every reply as long as it may be; None
            when no price is given.
    """

    narrator: str  # which model
    calls: int = 0  # one for each task; retries and replies from the cache are not foreseen
    images: int = 0  # pictures sent
    input_tokens: int = 0  # about so many, pictures included
    output_tokens: int = 0  # at most
    at_most_usd: float | None = None

    def __str__(self) -> str:
        """One line for a person."""
        cost = "unknown" if self.at_most_usd is None else f"at most {self.at_most_usd:.2f} USD"
        return (
            f"{self.narrator}: {self.calls} calls, {self.images} pictures, about "
            f"{self.input_tokens} tokens read, at most {self.output_tokens} written, cost {cost}"
        )


def estimate(
    prompts: Iterable[Prompt],
    narrator: str,
    *,
    api: ApiRecipe,
    calls: CallsRecipe,
    after_reply: bool = False,
) -> Estimate:
    """What a language model would be asked with these prompts; nothing is called.

    Args:
        prompts: to be asked.
        narrator: name of the model, which finds its price.
        api: what is asked for.
        calls: the prices.
        after_reply: each prompt will also hold a reply that is not written yet, of any length
            that `api` allows.
    """
    price = calls.prices.get(narrator)
    count = images = about = most = 0
    unwritten = api.max_tokens if after_reply else 0
    for prompt in prompts:
        sent = len(prompt.images)
        count += 1
        images += sent
        about += OVERHEAD_TOKENS + -(-len(prompt.text) // CHARACTERS_PER_TOKEN)
        about += unwritten + sent * calls.image_tokens
        most += most_input_tokens(prompt.text, sent, calls)
        most += unwritten * CHARACTERS_PER_TOKEN
    written = count * api.max_tokens
    return Estimate(
        narrator=narrator,
        calls=count,
        images=images,
        input_tokens=about,
        output_tokens=written,
        at_most_usd=price.cost_usd(most, written) if price else None,
    )


def most_input_tokens(prompt: str, num_images: int, calls: CallsRecipe) -> int:
    """The most tokens that a message can have: one for every byte, and those of its pictures."""
    return len(prompt.encode()) + OVERHEAD_TOKENS + num_images * calls.image_tokens


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
_RE = patterns("refusals")
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
    clauses = [part for part in _RE["clause"].split(said) if re.search(r"[^\W\d_]", part)]
    if not any(_RE["declines"].search(clause) for clause in clauses[:3]):
        return False
    aside = (_RE["declines"], _RE["beside"])
    others = [part for part in clauses if not any(words.search(part) for words in aside)]
    return not (others or _SEEN_SLOTS & set(read_findings(said)) or _concludes(text))


def _concludes(text: str) -> bool:
    try:
        parse_narrative(text)
    except NarrativeError:
        return False
    return True
