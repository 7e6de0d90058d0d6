"""Systems under test by name.

    skingpt/nano, skingpt/DIR      our models, or any Qwen2.5-VL directory
    skingpt/DIR#plain              the same backbone without its adapters
    <provider>/<model>             as inspect-ai names it
    <URL>#<model>                  a server that speaks the OpenAI protocol
    control/majority, control/reference
    control/shuffled-images:SYSTEM, control/blank-images:SYSTEM

`NAME=` before any of these is what tables and files call it.

Controls are what a benchmark must not reward, and what it must: `majority` says the commonest
diagnosis of the benchmark and never looks. `reference` repeats the certified narrative, or in
classification the gold label (an oracle). `shuffled-images` and `blank-images` ask a system about
other pictures than the question's: what it still scores, it does not owe to looking.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from skingpt_r1.data.intake import open_image
from skingpt_r1.dermbench.classification.labels import LABEL_SETS
from skingpt_r1.dermbench.questions import Asked
from skingpt_r1.dermbench.recipe import BenchRecipe
from skingpt_r1.dermbench.records import Answer, Question, file_stem
from skingpt_r1.dermbench.systems.own import CUT, NO_PICTURE, LoadModel, LocalModel, short_name
from skingpt_r1.errors import CheckpointError, DatasetError, NarratorError, RecipeError
from skingpt_r1.llm.ask import Prompt, Reply
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.llm.models import open_chat_model
from skingpt_r1.text.narrative import make_narrative
from skingpt_r1.text.tokens import defused


class InspectModel:
    """A language model behind an interface; it answers several questions at once, in their order.

    Retries, ledger, cost limit and cache are those of DermCoT's narrators. It does not tell how
    likely a candidate is: where candidates are weighed, its text alone counts.

    Raises:
        NarratorError: the extra is not installed, the name is not known, or the key is missing.
        CostError: the ledger has a limit, and the recipe no price for this model.
    """

    def __init__(self, name: str, model: str, recipe: BenchRecipe, ledger: Ledger) -> None:
        self.name = name
        self._seed = recipe.seed
        try:
            self._model = open_chat_model(model, api=recipe.api, calls=recipe.calls, ledger=ledger)
        except NarratorError as error:
            raise NarratorError(f"system {name!r} cannot be asked: {error}") from error

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
        replies = self._model.ask(prompts)
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
        problem = None if text and (cut or reply.problem == "empty") else reply.problem
        return Answer(
            system=self.name,
            id=question.id,
            text=text,
            problem="empty" if problem == "truncated" else problem,
            stop_reason=CUT if cut else None if problem else "stop",
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
        )


def whole_text(thoughts: str, text: str) -> str:
    """A text with the thinking that inspect-ai took out of it; empty when there are no words."""
    # Where there is nothing but thinking, inspect-ai gives that as the text.
    if not thoughts.strip() or text.lstrip().startswith("<think>"):
        return text if text.strip() else ""
    return f"<think> {thoughts.strip()} </think> {text.strip()}".strip()


# The middle of the range of values: neither light nor dark skin.
BLANK_LEVEL = 128
NOT_LOOKED = "no picture was looked at."


class Control:
    """What needs no model.

    `say` gives the text to a question, empty where there is none; `weigh` the probability of one of
    its candidates.
    """

    def __init__(
        self, name: str, say: Callable[[Question], str], weigh: Callable[[Question, str], float]
    ) -> None:
        self.name = name
        self._say = say
        self._weigh = weigh

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers to what is not done, in order; see `System`."""
        for question in (item.question for item in asked if item.question.id not in done):
            text = self._say(question)
            chances = {label: self._weigh(question, label) for label in question.candidates}
            yield Answer(
                system=self.name,
                id=question.id,
                text=text,
                problem=None if text else "no_reference",
                probabilities=chances if question.form == "candidates" else None,
            )


def majority(name: str, questions: Sequence[Question]) -> Control:
    """Always the commonest gold diagnosis of the benchmark; of equally common ones the first."""
    counts = Counter(item.label for item in questions)
    label = min(counts, key=lambda label: (-counts[label], label))
    # One case more for what it says, so that equally common labels are no tie of likelihoods.
    counts[label] += 1
    said = make_narrative(NOT_LOOKED, "this is the commonest diagnosis of the benchmark.", label)
    return Control(
        name,
        lambda question: said.text if question.form == "narrative" else label,
        lambda _, candidate: counts[candidate] / counts.total(),
    )


def reference(name: str) -> Control:
    """Repeats the reference, or the gold label: the highest that can be scored."""
    return Control(name, _gold_text, lambda question, label: float(label == question.label))


def _gold_text(question: Question) -> str:
    """The reference; in classification the label, as a narrative where one is asked for."""
    if question.form != "narrative":
        return question.label
    if question.reference is None and question.benchmark in LABEL_SETS:
        return make_narrative(NOT_LOOKED, "this is the label of the case.", question.label).text
    return question.reference or ""


class OtherPictures:
    """A system that is shown other pictures than the question's: `exchange` puts them there."""

    def __init__(
        self, name: str, system: "System", exchange: Callable[[Sequence[Asked]], list[Asked]]
    ) -> None:
        self.name = name
        self._system = system
        self._exchange = exchange

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers to what is not done, in order; see `System`."""
        for answer in self._system.answer(self._exchange(asked), done):
            yield answer.model_copy(update={"system": self.name})


def shuffled(asked: Sequence[Asked], seed: int) -> list[Asked]:
    """Questions that exchange their pictures, none with one of its own group.

    Raises:
        DatasetError: more than half of the questions are of one group.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(asked):
        if item.pictures:
            groups[item.question.group].append(place)
    order = sorted(groups)
    random.Random(f"{seed}:shuffled").shuffle(order)
    places = [place for group in order for place in groups[group]]
    largest = max((len(members) for members in groups.values()), default=0)
    if 2 * largest > len(places):
        raise DatasetError(
            f"{largest} of {len(places)} questions with a picture are of one group, so that they "
            "cannot all be shown a picture of another; ask about more groups"
        )
    result = list(asked)
    for index, place in enumerate(places):
        # Groups lie together, so a step as long as the largest leaves every one of them.
        other = places[(index + largest) % len(places)]
        result[place] = Asked(asked[place].question, asked[other].pictures)
    return result


def blanked(asked: Sequence[Asked], folder: Path) -> list[Asked]:
    """Questions with a grey picture in place of each; the grey ones go into `folder`."""
    return [
        Asked(item.question, tuple(blank_picture(path, folder) for path in item.pictures))
        for item in asked
    ]


def blank_picture(path: Path, folder: Path) -> Path:
    """A grey picture of the same size, in a folder where one is made for each size."""
    width, height = open_image(path).size
    blank = folder / f"blank-{width}x{height}.png"
    if not blank.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = blank.with_suffix(".partial")
        level = (BLANK_LEVEL, BLANK_LEVEL, BLANK_LEVEL)
        Image.new("RGB", (width, height), level).save(partial, format="PNG")
        partial.replace(blank)
    return blank


OWN = "skingpt/"
NANO = "nano"
PLAIN = "#plain"
CONTROL = "control/"
MAJORITY = "control/majority"
REFERENCE = "control/reference"
SHUFFLED = "control/shuffled-images:"
BLANK = "control/blank-images:"
CONTROLS = "controls"


class System(Protocol):
    """What is asked."""

    @property
    def name(self) -> str:
        """What tables and records call it."""

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers in the order of the questions, each as soon as it and all before it are there.

        `asked` has every question of the run; those whose ids are `done` are not asked.
        """


class Choice(NamedTuple):
    """A system to be asked: its name in tables, and what it is in the words of this module."""

    name: str
    model: str

    @property
    def directory(self) -> str | None:
        """`nano` or the directory of the weights that answer; None for other systems."""
        return _directory(_behind_control(self.model)[1])


class Workbench(NamedTuple):
    """What systems are made with; `load` gives the model of a directory."""

    recipe: BenchRecipe
    folder: Path
    questions: Sequence[Question]
    ledger: Ledger
    load: LoadModel


def choose_systems(texts: Iterable[str]) -> list[Choice]:
    """The systems that are named, each once.

    Raises:
        RecipeError: a text means no system, or two systems have one name.
        CheckpointError: a directory does not exist.
    """
    choices = [_choice(text) for text in dict.fromkeys(texts)]
    if not choices:
        raise RecipeError(
            "no system is named; give --system, or `systems` in the recipe; for example "
            f"--system {OWN}{NANO} --system {MAJORITY}"
        )
    counts = Counter(file_stem(choice.name).lower() for choice in choices)
    twice = [choice for choice in choices if counts[file_stem(choice.name).lower()] > 1]
    if twice:
        raise RecipeError(
            f"{len(twice)} systems share a name or the name of a file: "
            f"{', '.join(repr(choice.name) for choice in twice)}; name them with NAME=, for "
            f"example first={twice[0].model}"
        )
    return choices


def open_system(choice: Choice, bench: Workbench) -> System:
    """The system, checked as far as that goes without asking it; weights are loaded when asked.

    Raises:
        SkinGPTError: it cannot be asked; the message says why.
    """
    name, model = choice
    if model == MAJORITY:
        return majority(name, bench.questions)
    if model == REFERENCE:
        return reference(name)
    exchanges = {
        SHUFFLED: partial(shuffled, seed=bench.recipe.seed),
        BLANK: partial(blanked, folder=bench.folder / CONTROLS),
    }
    prefix, inner = _behind_control(model)
    if prefix:
        return OtherPictures(name, open_system(Choice(name, inner), bench), exchanges[prefix])
    where = _directory(model)
    if where is None:
        return InspectModel(name, model, bench.recipe, bench.ledger)
    return LocalModel(
        name, where, adapters=not is_plain(model), recipe=bench.recipe.local, load=bench.load
    )


def is_plain(model: str) -> bool:
    """Whether a system is a backbone that is asked without its adapters."""
    return model.endswith(PLAIN)


def _choice(text: str) -> Choice:
    name, sign, model = text.partition("=")
    if not sign or "/" in name or ":" in name:
        name, model = "", text
    _check(model, text)
    chosen = name or _default_name(model)
    if not file_stem(chosen):
        raise RecipeError(f"system {text!r}: a name needs letters or digits")
    return Choice(chosen, model)


def _default_name(model: str) -> str:
    prefix, inner = _behind_control(model)
    where = _directory(inner)
    if where is None:
        return model
    # A directory's path says where somebody keeps it, so that only its last part is written down.
    short = where if where == NANO else short_name(where)
    return f"{prefix}{OWN}{short}{PLAIN * is_plain(inner)}"


def _behind_control(model: str) -> tuple[str, str]:
    """The control that shows a system other pictures ("" when none does), and that system."""
    prefix = next((prefix for prefix in (SHUFFLED, BLANK) if model.startswith(prefix)), "")
    return prefix, model.removeprefix(prefix)


def _directory(model: str) -> str | None:
    plain = model.removesuffix(PLAIN)
    if plain.startswith(OWN):
        return plain.removeprefix(OWN)
    return plain if "://" not in plain and Path(plain).is_dir() else None


def _check(model: str, text: str) -> None:
    prefix, model = _behind_control(model)
    if prefix and model.startswith(CONTROL):
        raise RecipeError(f"system {text!r}: a control of a control measures nothing")
    where = _directory(model)
    if where is not None and where != NANO and not Path(where).is_dir():
        raise CheckpointError(
            f"system {text!r}: there is no directory {where!r}; give {NANO!r} or a directory with "
            "an adapter, a Qwen2.5-VL backbone or the released checkpoint"
        )
    is_ours = model in (MAJORITY, REFERENCE) or where is not None
    if not is_ours and ("/" not in model or model.startswith(CONTROL)):
        raise RecipeError(
            f"no system is called {text!r}; give skingpt/nano, skingpt/<directory> (with #plain "
            "for the backbone alone), <provider>/<model> as inspect-ai names it, <URL>#<model>, "
            f"{MAJORITY}, {REFERENCE}, {SHUFFLED}<system> or {BLANK}<system>"
        )
