"""Controls: what a benchmark must not reward, and what it must.

`majority` says the commonest diagnosis of the benchmark and never looks. `reference` repeats the
certified narrative, or in classification the gold label (an oracle). `shuffled-images` and
`blank-images` ask a system about other pictures than the question's: what it still scores, it does
not owe to looking.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from skingpt_r1.data.intake import open_image
from skingpt_r1.dermbench.classification.labels import LABEL_SETS
from skingpt_r1.dermbench.questions import Asked
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.narrative import format_narrative

if TYPE_CHECKING:
    from skingpt_r1.dermbench.systems.named import System

# The middle of the range of values: neither light nor dark skin.
BLANK_LEVEL = 128
NOT_LOOKED = "no picture was looked at."


class Majority:
    """Always the commonest gold diagnosis of the benchmark; of equally common ones the first."""

    def __init__(self, name: str, questions: Sequence[Question]) -> None:
        self._name = name
        counts = Counter(item.label for item in questions)
        self._label = min(counts, key=lambda label: (-counts[label], label))
        # One case more for what it says, so that equally common labels are no tie of likelihoods.
        counts[self._label] += 1
        self._shares = {label: count / counts.total() for label, count in counts.items()}

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers to what is not done, in order; see `systems.System`."""
        text = format_narrative(
            NOT_LOOKED, "this is the commonest diagnosis of the benchmark.", self._label
        )
        for question, _ in asked:
            if question.id not in done:
                yield Answer(
                    system=self._name,
                    id=question.id,
                    text=text if question.form == "narrative" else self._label,
                    probabilities=self._chances(question),
                )

    def _chances(self, question: Question) -> dict[str, float] | None:
        if question.form != "candidates":
            return None
        return {label: self._shares.get(label, 0.0) for label in question.candidates}


class Reference:
    """Repeats the reference, or the gold label: the highest that can be scored."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers to what is not done, in order; see `systems.System`."""
        for question, _ in asked:
            if question.id not in done:
                yield self._answer(question)

    def _answer(self, question: Question) -> Answer:
        text = _gold_text(question)
        chances = {label: float(label == question.label) for label in question.candidates}
        return Answer(
            system=self._name,
            id=question.id,
            text=text,
            problem=None if text else "no_reference",
            probabilities=chances if question.form == "candidates" else None,
        )


def _gold_text(question: Question) -> str:
    """The reference; in classification the label, as a narrative where one is asked for."""
    if question.form != "narrative":
        return question.label
    if question.reference is None and question.benchmark in LABEL_SETS:
        return format_narrative(NOT_LOOKED, "this is the label of the case.", question.label)
    return question.reference or ""


class OtherPictures:
    """A system that is shown other pictures than the question's.

    Args:
        name: of the control.
        system: which is asked.
        exchange: question and pictures -> other pictures.
    """

    def __init__(self, name: str, system: "System", exchange: "Exchange") -> None:
        self._name = name
        self._system = system
        self._exchange = exchange

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers to what is not done, in order; see `systems.System`."""
        for answer in self._system.answer(self._exchange.pictures(asked), done):
            yield answer.model_copy(update={"system": self._name})


class Exchange:
    """Other pictures for every question: those of another group, or blank ones.

    Args:
        blank: folder of blank pictures; None takes the pictures of other questions.
        seed: of the order in which questions exchange their pictures.
    """

    def __init__(self, blank: Path | None, seed: int) -> None:
        self._blank = blank
        self._seed = seed

    def pictures(self, asked: Sequence[Asked]) -> list[Asked]:
        """The questions with their new pictures; one without a picture stays without."""
        if self._blank is not None:
            folder = self._blank
            return [
                Asked(item.question, tuple(blank_picture(path, folder) for path in item.pictures))
                for item in asked
            ]
        return shuffled(asked, self._seed)


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
