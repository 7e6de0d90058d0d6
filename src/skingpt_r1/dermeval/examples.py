"""Training examples: stored pictures, questions about narratives, and critiques as targets.

The pictures of a case are stored once, whatever the number of narratives and raters.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from skingpt_r1.case import Case
from skingpt_r1.distill.data import manifest_hash
from skingpt_r1.distill.features import FeaturePass, StoredCase, store_key, stored_fields
from skingpt_r1.distill.recipe import FeatureRecipe
from skingpt_r1.distill.store import FeatureStore, write_store
from skingpt_r1.errors import RecordError
from skingpt_r1.model.diagnosis import needed_processor
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.prompt import (
    Request,
    build_messages,
    encode_answer,
    longest_input,
    refuse_control_tokens,
)
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.ratings.rating import Judged
from skingpt_r1.text.critique import ask_for_critique, write_critique
from skingpt_r1.text.rubric import Scores

_CHARACTERS = 3  # in a token of a critique, roughly
# What a case has beside its pictures is made anew for every example.
_TEXT_FIELDS = ("targets", "input_ids", "hidden")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example.

    Attributes:
        place: of its pictures in the store.
        text: the narrative to judge.
        brief: whether scores alone are asked for.
        scores: what the target says; the reward is measured against them, too.
        notes: what the target says before the scores.
    """

    place: int
    text: str
    brief: bool
    scores: Scores
    notes: str = ""


class CritiqueExamples:
    """Examples as cases of the trainer; `batches.CaseStore`.

    Attributes:
        pictures: the store.
        lessons: the examples, in order.
    """

    def __init__(self, pictures: FeatureStore, lessons: Sequence[Lesson], model: SkinGPT) -> None:
        """Check that the model can read every example.

        Args:
            pictures: the stored pictures.
            lessons: the examples.
            model: its tokenizer, and the longest input that it reads.

        Raises:
            RecordError: an example is longer than the model can read.
            SkinGPTError: what an example teaches contains a control token.
        """
        self.pictures = pictures
        self.lessons = lessons
        self._processor = needed_processor(model)
        limit = longest_input(model)
        for lesson in lessons:
            said = " ".join((*lesson.scores.rationales.values(), lesson.notes))
            where = f"the critique of the narrative that begins with {lesson.text[:40]!r}"
            refuse_control_tokens(said, where, self._processor.control_tokens)
        self._prompts = [self._prompt(lesson) for lesson in lessons]
        long = [at for at in range(len(lessons)) if len(self._prompts[at]) > limit]
        if long:
            raise RecordError(
                f"{len(long)} narratives are longer than the {limit} tokens that the backbone "
                f"reads, the first begins with {lessons[long[0]].text[:40]!r}; leave them out"
            )

    @property
    def lengths(self) -> list[int]:
        """Of each example, roughly: enough to put those of like length together."""
        return [
            len(prompt) + len(self._target(lesson)) // _CHARACTERS
            for prompt, lesson in zip(self._prompts, self.lessons, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.lessons)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The fields of one example, with `scores` [1, 6] beside those of the trainer."""
        lesson = self.lessons[index]
        answer = torch.tensor(encode_answer(self._processor, self._target(lesson)))
        stored = self.pictures[lesson.place]
        return stored | {
            "targets": answer,
            "input_ids": torch.cat([self._prompts[index], answer]),
            "scores": torch.tensor([lesson.scores.values]),
        }

    @staticmethod
    def _target(lesson: Lesson) -> str:
        return write_critique(lesson.scores, brief=lesson.brief, notes=lesson.notes)

    def _prompt(self, lesson: Lesson) -> Tensor:
        grids = self.pictures[lesson.place]["grids"]
        return torch.tensor(prompt_ids(self._processor, grids, lesson.text, brief=lesson.brief))


def prompt_ids(processor: SkinProcessor, grids: Tensor, text: str, *, brief: bool) -> list[int]:
    """Token ids of the question about a narrative, up to where the critique begins.

    Args:
        processor: of the model.
        grids: [images, 3], of pictures that are processed already.
        text: the narrative.
        brief: ask for scores alone.
    """
    pictures = (Path("stored"),) * len(grids)  # only their number is used
    request = Request(pictures, question=ask_for_critique(text, brief=brief))
    messages = build_messages(request, processor.control_tokens)
    chat = processor.render_chat(messages, answer_follows=True)
    return processor.tokenize(chat, grids)


def rater_lessons(judged: Sequence[Judged], *, brief: float, seed: int) -> list[Lesson]:
    """One example for each row of a rater, noise and all.

    Args:
        judged: the narratives; those without a scored row give no example.
        brief: share of the examples that ask for scores alone.
        seed: chooses which.
    """
    rng = random.Random(f"forms:{seed}")
    places = picture_places(judged)
    return [
        Lesson(places[item.images], item.text, rng.random() < brief, scores, item.notes)
        for item in judged
        for scores in item.ratings
    ]


def mean_lessons(judged: Sequence[Judged], *, brief: float, seed: int) -> list[Lesson]:
    """One example for each narrative, with the scores of the mean rater."""
    rng = random.Random(f"forms of the mean:{seed}")
    places = picture_places(judged)
    return [
        Lesson(places[item.images], item.text, rng.random() < brief, item.mean, item.notes)
        for item in judged
        if item.ratings
    ]


def picture_places(judged: Sequence[Judged]) -> dict[tuple[Path, ...], int]:
    """Pictures of a case -> their place in the store, in the order of first use."""
    places: dict[tuple[Path, ...], int] = {}
    for item in judged:
        places.setdefault(item.images, len(places))
    return places


def store_pictures(
    model: SkinGPT,
    judged: Sequence[Judged],
    recipe: FeatureRecipe,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    part: tuple[int, int] = (0, 1),
) -> FeatureStore | None:
    """Run the frozen tower once over every picture; what is stored already is kept.

    Args:
        model: its tower is run.
        judged: the narratives.
        recipe: how to store.
        folder: of the store.
        progress: told how many cases of how many are stored.
        part: (rank, processes); the store is complete when every process has done its part.

    Returns:
        The store; None when other processes still have to do their part.

    Raises:
        FeatureStoreError: the folder holds features of other pictures or of another backbone.
    """
    cases = [
        Case(id=f"pictures-{place:06d}", images=images, dataset="ratings", group=str(place))
        for images, place in picture_places(judged).items()
    ]
    fields = [name for name in stored_fields(model, False) if name not in _TEXT_FIELDS]
    compute = FeaturePass(
        model,
        [StoredCase(case, "", None) for case in cases],
        dtype=recipe.dtype,
        batch_size=recipe.batch_size,
        fields=fields,
    )
    manifest = manifest_hash(cases, [""] * len(cases))
    key = store_key(model, fields=fields, dtype=recipe.dtype, manifest=manifest, teacher=None)
    ids = [case.id for case in cases]
    shards = recipe.shard_cases
    write_store(folder, key, ids, compute, shard_cases=shards, progress=progress, part=part)
    return FeatureStore(folder) if part[1] == 1 else None
