"""Systems under test by name.

    skingpt/nano, skingpt/DIR      our models, or any Qwen2.5-VL directory
    skingpt/DIR#plain              the same backbone without its adapters
    <provider>/<model>             as inspect-ai names it
    <URL>#<model>                  a server that speaks the OpenAI protocol
    control/majority, control/reference
    control/shuffled-images:SYSTEM, control/blank-images:SYSTEM

`NAME=` before any of these is what tables and files call it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from skingpt_r1.dermbench.answers import file_stem
from skingpt_r1.dermbench.questions import Asked
from skingpt_r1.dermbench.recipe import BenchRecipe
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.dermbench.systems.controls import Exchange, Majority, OtherPictures, Reference
from skingpt_r1.dermbench.systems.language_model import open_inspect_model
from skingpt_r1.dermbench.systems.own import LoadModel, LocalModel, short_name
from skingpt_r1.errors import CheckpointError, RecipeError
from skingpt_r1.llm.budget import Ledger

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

        Args:
            asked: every question of the run.
            done: ids of the questions that are not to be asked.
        """


class Choice(NamedTuple):
    """A system that somebody wants asked.

    Attributes:
        name: what tables and records call it.
        model: what it is, in the words of this module.
    """

    name: str
    model: str

    @property
    def directory(self) -> str | None:
        """`nano` or the directory of the weights that answer; None for other systems."""
        inner = self.model
        for prefix in (SHUFFLED, BLANK):
            inner = inner.removeprefix(prefix)
        return _directory(inner)


class Workbench(NamedTuple):
    """What systems are made with.

    Attributes:
        recipe: how they are asked.
        folder: of the run.
        questions: all of them.
        ledger: of the calls that may cost.
        load: gives the model of a directory.
    """

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
        return Majority(name, bench.questions)
    if model == REFERENCE:
        return Reference(name)
    for prefix, blank in ((SHUFFLED, None), (BLANK, bench.folder / CONTROLS)):
        if model.startswith(prefix):
            inner = open_system(Choice(name, model.removeprefix(prefix)), bench)
            return OtherPictures(name, inner, Exchange(blank, bench.recipe.seed))
    where = _directory(model)
    if where is None:
        return open_inspect_model(name, model, bench.recipe, bench.ledger)
    return LocalModel(
        name, where, plain=is_plain(model), recipe=bench.recipe.local, load=bench.load
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
    for prefix in (SHUFFLED, BLANK):
        if model.startswith(prefix):
            return prefix + _default_name(model.removeprefix(prefix))
    where = _directory(model)
    if where is None:
        return model
    # A directory's path says where somebody keeps it, so that only its last part is written down.
    return f"{OWN}{where if where == NANO else short_name(where)}{PLAIN * is_plain(model)}"


def _directory(model: str) -> str | None:
    plain = model.removesuffix(PLAIN)
    if plain.startswith(OWN):
        return plain.removeprefix(OWN)
    return plain if "://" not in plain and Path(plain).is_dir() else None


def _check(model: str, text: str) -> None:
    for prefix in (SHUFFLED, BLANK):
        if model.startswith(prefix):
            inner = model.removeprefix(prefix)
            if inner.startswith(CONTROL):
                raise RecipeError(f"system {text!r}: a control of a control measures nothing")
            _check(inner, text)
            return
    where = _directory(model)
    if where is not None and where != NANO and not Path(where).is_dir():
        raise CheckpointError(
            f"system {text!r}: there is no directory {where!r}; give {NANO!r} or a directory with "
            "an adapter, a Qwen2.5-VL backbone or the released checkpoint"
        )
    known = model in (MAJORITY, REFERENCE) or where is not None
    if not known and ("/" not in model or model.startswith(CONTROL)):
        raise RecipeError(
            f"no system is called {text!r}; give skingpt/nano, skingpt/<directory> (with #plain "
            "for the backbone alone), <provider>/<model> as inspect-ai names it, <URL>#<model>, "
            f"{MAJORITY}, {REFERENCE}, {SHUFFLED}<system> or {BLANK}<system>"
        )
