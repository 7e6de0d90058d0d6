"""What texts would cost at most, without a call: for `--dry-run` and for the cost limit."""

from collections.abc import Iterable
from typing import NamedTuple

from skingpt_r1.llm.api_recipe import ApiRecipe, CallsRecipe
from skingpt_r1.llm.ask import Task

# What the protocol puts around a message: roles and separators.
OVERHEAD_TOKENS = 64
# English prose has about four characters to a token.
CHARACTERS_PER_TOKEN = 4


class Estimate(NamedTuple):
    """What a number of tasks would take.

    Attributes:
        narrator: which model.
        calls: one for each task; retries and replies from the cache are not foreseen.
        images: pictures sent.
        input_tokens: about so many, pictures included.
        output_tokens: at most.
        at_most_usd: every input token counted as one byte, every reply as long as it may be; None
            when no price is given.
    """

    narrator: str
    calls: int = 0
    images: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    at_most_usd: float | None = None

    def __str__(self) -> str:
        """One line for a person."""
        cost = "unknown" if self.at_most_usd is None else f"at most {self.at_most_usd:.2f} USD"
        return (
            f"{self.narrator}: {self.calls} calls, {self.images} pictures, about "
            f"{self.input_tokens} tokens read, at most {self.output_tokens} written, cost {cost}"
        )


def estimate(
    tasks: Iterable[Task], narrator: str, *, api: ApiRecipe, calls: CallsRecipe
) -> Estimate:
    """What a language model would be asked for these tasks; nothing is called.

    Args:
        tasks: those to be done. A task of `reason` whose observation is not written yet (empty)
            is counted with the longest one.
        narrator: name of the model, which finds its price.
        api: what is asked for.
        calls: the prices.
    """
    price = calls.prices.get(narrator)
    count = images = about = most = 0
    for task in tasks:
        sent = images_sent(task)
        unwritten = api.max_tokens if task.step == "reason" and not task.observation else 0
        count += 1
        images += sent
        about += OVERHEAD_TOKENS + -(-len(task.prompt) // CHARACTERS_PER_TOKEN)
        about += unwritten + sent * calls.image_tokens
        most += most_input_tokens(task.prompt, sent, calls)
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


def images_sent(task: Task) -> int:
    """Pictures that go with a task: the reasoning is asked from the observation alone."""
    return len(task.case.images) if task.step == "observe" else 0


def most_input_tokens(prompt: str, num_images: int, calls: CallsRecipe) -> int:
    """The most tokens that a message can have: one for every byte, and those of its pictures."""
    return len(prompt.encode()) + OVERHEAD_TOKENS + num_images * calls.image_tokens
