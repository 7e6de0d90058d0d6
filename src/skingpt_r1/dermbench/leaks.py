"""Whether a system was trained on what it is asked: by id, group, file, and look of the picture."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.case import Case
from skingpt_r1.data.overlap import known_overlaps
from skingpt_r1.dermbench.questions import DERMCOT, source_of, with_pictures
from skingpt_r1.dermbench.records import Question
from skingpt_r1.dermbench.training_data import Training, qualified
from skingpt_r1.dermcot.disjoint import FINGERPRINTS, Compared, Leak, find_leaks

Progress = Callable[[int, int], None]


class Overlap(NamedTuple):
    """What the training of a system and the questions have in common.

    Attributes:
        unchecked: why nothing was compared; empty when it was.
        compared: training cases that were compared.
        leaks: what was found.
        questions: ids of the questions that are concerned, in their order.
        known: what is known of the data sets without looking.
    """

    unchecked: str = ""
    compared: int = 0
    leaks: tuple[Leak, ...] = ()
    questions: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def find_overlap_with(
    training: Training,
    questions: Sequence[Question],
    *,
    dataset: str,
    root: Path,
    folder: Path,
    max_distance: int,
    progress: Progress | None = None,
) -> Overlap:
    """Everything that a system was trained on and is asked about.

    Args:
        training: what it was trained on.
        questions: of the run.
        dataset: that the questions were made from.
        root: where their pictures are.
        folder: of the run; keeps the fingerprints of pictures.
        max_distance: bits of 256 up to which two pictures are near-identical.
        progress: told how many pictures of how many are read.

    Raises:
        DatasetError: pictures of the training or of the benchmark cannot be read.
    """
    asked = _asked(questions, dataset, root)
    known = _known(training, {source_of(item.case)[0] for item in asked})
    if training.cases is None:
        return Overlap(unchecked=training.reason, known=known)
    leaks = find_leaks(
        training.cases,
        [qualified(item) for item in asked],
        store=folder / FINGERPRINTS,
        max_distance=max_distance,
        progress=progress,
    )
    owner = {
        qualified(item).case.id: question.id
        for item, question in zip(asked, questions, strict=True)
    }
    concerned = {owner[leak.certified] for leak in leaks}
    return Overlap(
        compared=len(training.cases),
        leaks=tuple(leaks),
        questions=tuple(item.id for item in questions if item.id in concerned),
        known=known,
    )


def _known(training: Training, asked: AbstractSet[str]) -> tuple[str, ...]:
    """What is known of pictures that the training's data sets share with the benchmark's."""
    return tuple(
        f"{item.what}: {item.advice}"
        for item in known_overlaps(training.datasets | asked)
        if item.datasets & training.datasets and item.datasets & asked
    )


def leak_lines(overlap: Overlap) -> list[str]:
    """What was found, one line for each."""
    return [
        f"{leak.kind}{f' ({leak.detail})' if leak.detail else ''}: training case "
        f"{leak.training!r}, question {leak.certified!r}"
        for leak in overlap.leaks
    ]


def _asked(questions: Sequence[Question], dataset: str, root: Path) -> list[Compared]:
    compared = []
    for question, pictures in with_pictures(questions, root):
        # The group of a corpus's case begins with the data set that it first came from.
        source, sign, _ = question.group.partition("/")
        attributes = {"source": source} if dataset == DERMCOT and sign else {}
        case = Case(
            id=question.id,
            images=pictures,
            dataset=dataset,
            group=question.group,
            attributes=attributes,
        )
        compared.append(Compared(case, question.sha256))
    return compared
