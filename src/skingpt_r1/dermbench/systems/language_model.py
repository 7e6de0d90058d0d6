"""Language models behind an interface as systems: whatever inspect-ai or a URL can name.

The calls are those of DermCoT's narrators: the same retries, ledger, cost limit and cache. Such a
model does not tell how likely a candidate is: where candidates are weighed, its text alone counts.
"""

from collections.abc import Collection, Iterator, Sequence

from skingpt_r1.dermbench.questions import Asked
from skingpt_r1.dermbench.recipe import BenchRecipe
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.dermbench.systems.own import CUT, NO_PICTURE
from skingpt_r1.errors import NarratorError
from skingpt_r1.llm.ask import Prompt, Reply
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.llm.models import ChatModel, open_chat_model
from skingpt_r1.text.tokens import defused


class InspectModel:
    """A language model that is asked several questions at once, and answers in their order."""

    def __init__(self, name: str, narrator: ChatModel, seed: int) -> None:
        self.name = name
        self._narrator = narrator
        self._seed = seed

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers to what is not done, in order; see `named.System`.

        Raises:
            CostError: the next call could pass the limit.
            NarratorError: every call is refused, or too many failed in a row.
        """
        waiting = [item for item in asked if item.question.id not in done]
        prompts = [
            Prompt(defused(item.question.prompt), item.pictures, self._seed)
            for item in waiting
            if item.pictures
        ]
        replies = self._narrator.ask(prompts)
        for item in waiting:
            if item.pictures:
                yield self._read(item.question, next(replies))
            else:
                yield Answer(system=self.name, id=item.question.id, text="", problem=NO_PICTURE)

    def _read(self, question: Question, reply: Reply) -> Answer:
        # What was written before the limit, or was only thought, is an answer: it is treated as
        # that of a model of this machine would be. What is none is kept beside its problem.
        cut = reply.problem == "truncated"
        text = whole_text(reply.thoughts, reply.text or reply.unused_text)
        problem = None if text and reply.problem in (None, *_WRITTEN) else reply.problem
        return Answer(
            system=self.name,
            id=question.id,
            text=text,
            problem="empty" if problem == "truncated" else problem,
            stop_reason=CUT if cut else None if problem else "stop",
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        )


_WRITTEN = ("truncated", "empty")


def whole_text(thoughts: str, text: str) -> str:
    """A text with the thinking that inspect-ai took out of it; empty when there are no words."""
    # Where there is nothing but thinking, inspect-ai gives that as the text.
    if not thoughts.strip() or text.lstrip().startswith("<think>"):
        return text if text.strip() else ""
    return f"<think> {thoughts.strip()} </think> {text.strip()}".strip()


def open_inspect_model(name: str, model: str, recipe: BenchRecipe, ledger: Ledger) -> InspectModel:
    """A language model as a system; checked as far as that goes without a call.

    Raises:
        NarratorError: the extra is not installed, the name is not known, or the key is missing.
        CostError: the ledger has a limit, and the recipe no price for this model.
    """
    try:
        narrator = open_chat_model(model, api=recipe.api, calls=recipe.calls, ledger=ledger)
    except NarratorError as error:
        raise NarratorError(f"system {name!r} cannot be asked: {error}") from error
    return InspectModel(name, narrator, recipe.seed)
