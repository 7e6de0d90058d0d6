"""Simulated ratings of rendered cases: narratives damaged in known ways, scored by formulas.

Nobody has scored these narratives: a rating is the score that the damage deserves, with a simulated
rater's bias and noise. Cases, strengths, combinations and wordings of the test part do not occur in
the training part. For research, not for diagnosis.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.dermeval.recipe import RatingsRecipe
from skingpt_r1.distill.narratives import FindingsByLabel
from skingpt_r1.ratings.rating import Rating, RatingScores, relative_image, write_ratings
from skingpt_r1.render.folder import write_cases
from skingpt_r1.simulate.damage import (
    HELD_OUT_STRENGTHS,
    OWN_DIMENSION,
    Damage,
    draw_damage,
    inject,
    true_scores,
    write_damaged,
)
from skingpt_r1.simulate.notes import write_notes
from skingpt_r1.simulate.raters import make_raters, rate
from skingpt_r1.text.narrative import Narrative

INJECTED = "injected instruction"


@dataclass(frozen=True)
class Simulated:
    """Simulated rating files and what is known of the test part.

    Attributes:
        train: rating file to learn from.
        test: rating file to measure on.
        test_cases: the rendered cases of the test part.
        likeness: which conditions look alike, learned from the training part.
        seed: of all of it.
    """

    train: Path
    test: Path
    test_cases: tuple[Case, ...]
    likeness: FindingsByLabel
    seed: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One case told twice: as it is, and with one kind of damage.

    Attributes:
        kind: of the damage.
        images: the pictures.
        clean: the undamaged narrative.
        damaged: the same narrative, damaged.
    """

    kind: str
    images: tuple[Path, ...]
    clean: str
    damaged: str


def simulate(folder: Path, recipe: RatingsRecipe) -> Simulated:
    """Draw pictures, write and damage narratives, and let the simulated raters score them.

    The same recipe gives the same files, byte for byte; pictures that are there are kept.

    Args:
        folder: pictures and both rating files go there.
        recipe: counts and seed.

    Raises:
        DatasetError: the folder holds pictures of another seed or size, or cannot be written.
    """
    count = recipe.cases + recipe.test_cases
    cases = write_cases(folder / "pictures", count, recipe.seed, recipe.size)
    parts = {"train": cases[: recipe.cases], "test": cases[recipe.cases :]}
    likeness = FindingsByLabel(parts["train"])
    raters = make_raters(recipe.raters, recipe.seed)
    paths = {name: folder / f"ratings_{name}.jsonl" for name in parts}
    for name, members in parts.items():
        is_test = name == "test"
        rows = []
        for case in members:
            for number in range(1 if is_test else recipe.narratives):
                rng = random.Random(f"{recipe.seed}:{name}:{case.id}:{number}")
                damage = draw_damage(rng, held_out=is_test)
                narrative = _write(case, damage, likeness, rng, held_out=is_test)
                notes = write_notes(narrative, case, damage)
                text, kinds = narrative.text, list(damage.parts)
                if not is_test and rng.random() < recipe.injected:
                    text = inject(text, rng, held_out=False)
                    kinds.append(INJECTED)
                true = true_scores(damage)
                rows += [
                    Rating(
                        id=f"{case.id}-{number}",
                        image=relative_image(case.images[0], folder),
                        diagnostic_text=text,
                        group=case.group,
                        rater=rater.name,
                        simulated=True,
                        scores=RatingScores.of(rate(rater, true, rng)),
                        damage=tuple(kinds),
                        notes=notes,
                    )
                    for rater in raters
                ]
        write_ratings(paths[name], rows)
    return Simulated(paths["train"], paths["test"], tuple(parts["test"]), likeness, recipe.seed)


def damage_probes(data: Simulated, pairs: int) -> list[Probe]:
    """For each kind of damage, cases of the test part with and without it, at held-out strengths.

    Args:
        data: the simulated data.
        pairs: cases for each kind, at most all of the test part.
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
