"""Training examples: stored pictures, questions about narratives, and critiques as targets.

The pictures of a case are stored once, whatever the number of narratives and raters. Where a recipe
names no rating files, the ratings are simulated on rendered cases, whose narratives are damaged in
known ways. Simulated raters are formulas, not people: they give the score that the damage deserves,
with bias and noise. Cases, strengths, combinations and wordings of the test part do not occur in
the training part. For research, not for diagnosis.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from skingpt_r1.case import Case
from skingpt_r1.dermeval.recipe import RatingsRecipe
from skingpt_r1.distill.data import FindingsByLabel, manifest_hash
from skingpt_r1.distill.features import FeaturePass, StoredCase, store_key, stored_fields
from skingpt_r1.distill.recipe import FeatureRecipe
from skingpt_r1.distill.store import FeatureStore, write_store
from skingpt_r1.errors import RecordError
from skingpt_r1.model.prompt import Request, chat_ids, encode_answer
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.ratings.rating import RatedText, Rating, RatingScores, write_ratings
from skingpt_r1.render.layouts import write_cases
from skingpt_r1.runs import Count, picture_name
from skingpt_r1.simulate.damage import (
    HELD_OUT_STRENGTHS,
    OWN_DIMENSION,
    Damage,
    draw_damage,
    inject,
    make_raters,
    rate,
    true_scores,
    write_damaged,
    write_notes,
)
from skingpt_r1.text.narrative import Narrative
from skingpt_r1.text.rubric import Scores
from skingpt_r1.text.wording import ask_for_critique, write_critique

_CHARACTERS = 3  # in a token of a critique, roughly
# What a case has beside its pictures is made anew for every example.
_TEXT_FIELDS = ("targets", "input_ids", "hidden")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example."""

    place: int  # of its pictures in the store
    text: str  # the narrative to judge
    brief: bool  # whether scores alone are asked for
    scores: Scores  # what the target says; the reward is measured against them, too
    notes: str = ""  # what the target says before the scores


class CritiqueExamples:
    """Examples as cases of the trainer; `objective.CaseStore`.

    Attributes:
        pictures: the store.
        lessons: the examples, in order.
    """

    def __init__(self, pictures: FeatureStore, lessons: Sequence[Lesson], model: SkinGPT) -> None:
        """Check that the model can read every example.

        Raises:
            RecordError: an example is longer than the model can read.
            SkinGPTError: what an example teaches contains a control token.
        """
        self.pictures = pictures
        self.lessons = lessons
        self._processor = model.needed_processor
        limit = model.longest_input
        for lesson in lessons:
            said = " ".join((*lesson.scores.rationales.values(), lesson.notes))
            where = f"the critique of the narrative that begins with {lesson.text[:40]!r}"
            self._processor.refuse_control_tokens(said, where)
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
        pictures = (Path("stored"),) * len(grids)  # only their number is used
        request = Request(pictures, question=ask_for_critique(lesson.text, brief=lesson.brief))
        return torch.tensor(chat_ids(self._processor, request, grids))


def rater_lessons(judged: Sequence[RatedText], *, brief: float, seed: int) -> list[Lesson]:
    """One example for each row of a rater, noise and all; `brief`: share of scores alone."""
    rows = [(item, scores) for item in judged for scores in item.ratings]
    return _lessons(rows, judged, brief, random.Random(f"forms:{seed}"))


def mean_lessons(judged: Sequence[RatedText], *, brief: float, seed: int) -> list[Lesson]:
    """One example for each narrative, with the scores of the mean rater."""
    rows = [(item, item.mean) for item in judged if item.ratings]
    return _lessons(rows, judged, brief, random.Random(f"forms of the mean:{seed}"))


def _lessons(
    rows: Sequence[tuple[RatedText, Scores]],
    judged: Sequence[RatedText],
    brief: float,
    rng: random.Random,
) -> list[Lesson]:
    places = picture_places(judged)
    return [
        Lesson(places[item.images], item.text, rng.random() < brief, scores, item.notes)
        for item, scores in rows
    ]


def picture_places(judged: Sequence[RatedText]) -> dict[tuple[Path, ...], int]:
    """Pictures of a case -> their place in the store, in the order of first use."""
    places: dict[tuple[Path, ...], int] = {}
    for item in judged:
        places.setdefault(item.images, len(places))
    return places


def store_pictures(
    model: SkinGPT,
    judged: Sequence[RatedText],
    recipe: FeatureRecipe,
    folder: Path,
    progress: Count | None = None,
    part: tuple[int, int] = (0, 1),
) -> FeatureStore | None:
    """Run the frozen tower once over every picture; what is stored already is kept.

    Args:
        model: its tower is run.
        judged: the narratives.
        recipe: how to store.
        folder: of the store.
        progress: callback(stored cases, all cases).
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


INJECTED = "injected instruction"


@dataclass(frozen=True)
class Simulated:
    """Simulated rating files, and the truth about the test part."""

    train: Path  # rating file to learn from
    test: Path  # rating file to measure on
    test_cases: tuple[Case, ...]  # the rendered cases of the test part
    likeness: FindingsByLabel  # which conditions look alike, learned from the training part
    seed: int  # of all of it


@dataclass(frozen=True, slots=True)
class Probe:
    """One case in two narratives: undamaged, and with one kind of damage."""

    kind: str
    images: tuple[Path, ...]
    clean: str
    damaged: str


def simulate(folder: Path, recipe: RatingsRecipe) -> Simulated:
    """Render pictures, write and damage narratives, and let the simulated raters score them.

    The same recipe gives the same files, byte for byte; pictures that are there are kept.

    Raises:
        DatasetError: the folder holds pictures of another seed or size, or cannot be written.
    """
    count = recipe.cases + recipe.test_cases
    cases = tuple(write_cases(folder / "pictures", count, recipe.seed, recipe.size))
    train_cases, test_cases = cases[: recipe.cases], cases[recipe.cases :]
    likeness = FindingsByLabel(train_cases)
    train, test = folder / "ratings_train.jsonl", folder / "ratings_test.jsonl"
    write_ratings(train, _rate_cases(train_cases, likeness, recipe, folder, held_out=False))
    write_ratings(test, _rate_cases(test_cases, likeness, recipe, folder, held_out=True))
    return Simulated(train, test, test_cases, likeness, recipe.seed)


def _rate_cases(
    cases: Sequence[Case],
    likeness: FindingsByLabel,
    recipe: RatingsRecipe,
    folder: Path,
    *,
    held_out: bool,
) -> Iterator[Rating]:
    raters = make_raters(recipe.raters, recipe.seed)
    part, narratives = ("test", 1) if held_out else ("train", recipe.narratives)
    for case, number in product(cases, range(narratives)):
        rng = random.Random(f"{recipe.seed}:{part}:{case.id}:{number}")
        damage = draw_damage(rng, held_out=held_out)
        narrative = _write(case, damage, likeness, rng, held_out=held_out)
        notes = write_notes(narrative, case, damage)
        text, kinds = narrative.text, tuple(damage.parts)
        if not held_out and rng.random() < recipe.injected:
            text, kinds = inject(text, rng, held_out=False), (*kinds, INJECTED)
        true = true_scores(damage)
        for rater in raters:
            yield Rating(
                id=f"{case.id}-{number}",
                image=picture_name(case.images[0], folder),
                diagnostic_text=text,
                group=case.group,
                rater=rater.name,
                simulated=True,
                scores=RatingScores.of(rate(rater, true, rng).values),
                damage=kinds,
                notes=notes,
            )


def damage_probes(data: Simulated, pairs: int) -> list[Probe]:
    """For each kind of damage, cases of the test part with and without it, at held-out strengths.

    `pairs`: cases for each kind, at most all of the test part.
    """
    probes = []
    for kind in OWN_DIMENSION:
        rng = random.Random(f"{data.seed}:probe:{kind}")
        for case in rng.sample(data.test_cases, min(pairs, len(data.test_cases))):
            damage = Damage({kind: rng.choice(HELD_OUT_STRENGTHS[kind])})
            seed = f"{data.seed}:{kind}:{case.id}"
            clean, damaged = (
                _write(case, wrong, data.likeness, random.Random(seed), held_out=True).text
                for wrong in (Damage(), damage)
            )
            probes.append(Probe(kind, case.images, clean, damaged))
    return probes


def injected_texts(texts: Sequence[str], seed: int) -> list[str]:
    """The texts, each with one held-out instruction to the judge in it."""
    rng = random.Random(f"{seed}:injected")
    return [inject(text, rng, held_out=True) for text in texts]


def _write(
    case: Case, damage: Damage, likeness: FindingsByLabel, rng: random.Random, *, held_out: bool
) -> Narrative:
    assert case.label is not None
    others = likeness.nearest(case.findings, case.label)
    return write_damaged(
        case.findings, case.label, others, damage, rng, case.context, held_out=held_out
    )
