"""Language models behind an interface: what they are asked for, and how the calls are made.

The first changes the texts and belongs to a run; the second does not, and may change when a run is
taken up again.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(BaseModel):
    """What a provider asks for, in US dollars per million tokens.

    Attributes:
        input: of what the model reads, pictures included.
        output: of what it writes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Amount
    output: Amount

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


class ApiRecipe(BaseModel):
    """What a language model is sent and asked for.

    Attributes:
        longest_side: pixels to which a picture is shrunk before it is sent.
        temperature: of the sampling; the provider's default when None.
        max_tokens: that a reply may have; one that needs more is `truncated`.
        max_reply_bytes: a longer reply is `too_long`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_side: Annotated[int, Field(ge=28)] = 1024
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.7
    max_tokens: PositiveInt = 1024
    max_reply_bytes: PositiveInt = 50_000


class CallsRecipe(BaseModel):
    """How calls are made, and what they cost; nothing here changes a text.

    Attributes:
        prices: name of the narrator -> price; what is not here has no known price.
        image_tokens: most input tokens that one picture takes, for estimates and the cost limit.
        max_connections: calls at the same time.
        max_retries: further attempts after one that failed for a passing reason. The providers'
            own clients repeat an attempt twice before it counts as failed.
        first_wait_s: before the first further attempt; it doubles from one to the next.
        longest_wait_s: between two attempts, also where the server asks for more.
        timeout_s: for one attempt.
        max_failures: calls in a row that may fail before the run stops as one to be continued
            later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prices: dict[str, Price] = {}
    image_tokens: PositiveInt = 1600
    max_connections: PositiveInt = 8
    max_retries: NonNegativeInt = 3
    first_wait_s: PositiveFloat = 3.0
    longest_wait_s: PositiveFloat = 300.0
    timeout_s: PositiveInt = 300
    max_failures: PositiveInt = 10
