"""What is written down of a system under test: its weights, and the questions it was trained on."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from skingpt_r1.dermbench.leaks import (
    Training,
    TrainingOverlap,
    find_training_overlap,
    leak_lines,
    read_training,
)
from skingpt_r1.dermbench.questions import data_root
from skingpt_r1.dermbench.records import file_stem
from skingpt_r1.dermbench.systems.named import CONTROL, NANO, Choice, Workbench
from skingpt_r1.dermbench.systems.own import short_name, weights_sha256
from skingpt_r1.errors import DatasetError, RecordError, TrainingError
from skingpt_r1.records import Record, write_json_atomic
from skingpt_r1.runs import Progress

NOT_A_MODEL = "a control, which is not trained"
NOT_TOLD = "nobody tells what it was trained on; name a folder in `training` of the recipe"
OF_NANO = "the embedded backbone was schooled on drawn scenes without skin, which were not compared"


class SystemCard(Record):
    """A system of a run.

    Attributes:
        model: what it is; a directory by its last part alone.
        weights: SHA-256 of the weights that answered; None for other systems.
        compared: training cases that were compared with the questions; None when they were not.
        unchecked: why they were not; empty when they were.
        overlapping: ids of the questions that it was trained on.
        leaks: what training and questions have in common, one line for each.
        known: what is known of the data sets without a comparison.
    """

    system: str
    model: str
    weights: str | None = None
    compared: int | None = None
    unchecked: str = ""
    overlapping: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def card_path(folder: Path, system: str) -> Path:
    """The file of a system's card."""
    return folder / "systems" / f"{file_stem(system)}.json"


def read_card(folder: Path, system: str) -> SystemCard:
    """The card of a system that was asked.

    Raises:
        RecordError: there is none, or it breaks its schema.
    """
    path = card_path(folder, system)
    try:
        return SystemCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RecordError(
            f"{path} is not the card of a system; delete it and run the same command again"
        ) from error


def check_systems(
    choices: Sequence[Choice],
    opened: Collection[Choice],
    bench: Workbench,
    *,
    allow_overlap: bool,
    progress: Progress | None = None,
) -> dict[str, SystemCard]:
    """The cards of all systems, made before any of them is asked.

    The weights of systems that are not `opened` (there is nothing left to ask) are not read. With
    `allow_overlap` questions that a system was trained on are marked instead of refused.

    Raises:
        DatasetError: a system was trained on questions.
        TrainingError: the weights are not those that gave the answers which are there.
    """
    cards = {}
    for choice in choices:
        path = card_path(bench.folder, choice.name)
        before = read_card(bench.folder, choice.name) if path.exists() else None
        card = before
        if before is None or choice in opened:
            card = _card(choice, bench, before, progress)
        assert card is not None
        if not allow_overlap:
            refuse_overlap(card)
        if card != before:
            write_json_atomic(path, card)
        cards[choice.name] = card
    return cards


def refuse_overlap(card: SystemCard) -> None:
    """Stop where a system was trained on questions.

    Raises:
        DatasetError: naming what the two have in common, and what is known of the data sets.
    """
    if card.overlapping:
        raise DatasetError(
            f"system {card.system!r} was trained on {len(card.overlapping)} of the questions, so "
            "its scores would be too good; leave it or these cases out, or mark them and go on "
            "with --allow-overlap",
            [*card.leaks, *(f"known: {line}" for line in card.known)],
        )


def _card(
    choice: Choice, bench: Workbench, before: SystemCard | None, progress: Progress | None
) -> SystemCard:
    where = choice.directory
    weights = None if where is None else weights_sha256(where)
    model = choice.model
    if where is not None and where != NANO:
        model = model.replace(where, short_name(where))
    if before is not None:
        if (before.model, before.weights) != (model, weights):
            raise TrainingError(
                f"system {choice.name!r} has other weights than those that gave its answers in "
                f"{bench.folder}; name it otherwise (NAME=...), or choose a new folder"
            )
        return before
    overlap = _overlap(choice, bench, progress)
    return SystemCard(
        system=choice.name,
        model=model,
        weights=weights,
        compared=None if overlap.unchecked else overlap.compared,
        unchecked=overlap.unchecked,
        overlapping=overlap.questions,
        leaks=tuple(leak_lines(overlap)),
        known=overlap.known,
    )


def _overlap(choice: Choice, bench: Workbench, progress: Progress | None) -> TrainingOverlap:
    data = bench.recipe.data
    return find_training_overlap(
        _training(choice, bench),
        bench.questions,
        dataset=data.dataset,
        root=data_root(bench.folder),
        folder=bench.folder,
        max_distance=bench.recipe.leaks.picture_distance,
        progress=None if progress is None else partial(progress, f"leaks: {choice.name}"),
    )


def _training(choice: Choice, bench: Workbench) -> Training:
    told = bench.recipe.training.get(choice.name)
    where = choice.directory
    if told is not None:
        return read_training(told)
    if where == NANO:
        return Training(None, reason=OF_NANO)
    if where is not None:
        return read_training(Path(where))
    control = choice.model.startswith(CONTROL) and ":" not in choice.model
    return Training(None, reason=NOT_A_MODEL if control else NOT_TOLD)
