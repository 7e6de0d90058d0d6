"""Simulated raters for synthetic corpora: they know what is wrong with a text. They are nobody.

A narrative that an offline narrator wrote with a known slip deserves the scores of that damage;
raters give them with bias and noise and, where there is a slip, write the narrative without it.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from skingpt_r1.dermcot.corpus import CorpusRecord
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.verdict import Rating
from skingpt_r1.render.folder import DATASET
from skingpt_r1.simulate.damage import Damage, true_scores
from skingpt_r1.simulate.raters import Rater, make_raters, rate
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.phrases import urgency_of, write_narrative

# What joins several mistakes in a provenance; see `offline.name_slip`.
_JOINT = " + "


def simulated_raters(count: int, seed: int) -> dict[str, Rater]:
    """Simulated raters by name."""
    return {rater.name: rater for rater in make_raters(count, seed)}


def simulate_ratings(
    corpus: Iterable[CorpusRecord],
    assigned: Mapping[str, Sequence[str]],
    raters: Mapping[str, Rater],
    *,
    seed: int,
) -> Iterator[Rating]:
    """What the simulated raters give to the cases that they are assigned.

    A rating depends on the case, the rater and the seed alone.

    Args:
        corpus: the held-out cases, streamed.
        assigned: case -> names of raters.
        raters: by name.
        seed: of noise and wording.

    Raises:
        DatasetError: a case is not synthetic: nobody can know what its narrative deserves.
    """
    for record in corpus:
        if record.dataset != DATASET:
            raise DatasetError(
                f"case {record.id!r} is of {record.dataset}; simulated raters know the truth of "
                "synthetic cases only; export the cases to dermatologists instead"
            )
        slip = slip_of(record)
        true = true_scores(slip)
        for name in assigned.get(record.id, ()):
            rng = random.Random(f"{seed}:{name}:{record.id}")
            yield Rating(
                case=record.id,
                rater=name,
                scores=rate(raters[name], true, rng).values,
                comment=f"simulated: {', '.join(slip.parts)}" if slip.parts else "",
                corrected=_corrected(record, rng) if slip.parts else None,
            )


def slip_of(record: CorpusRecord) -> Damage:
    """The known damage of a narrative: that of the observation and of the reasoning together.

    Raises:
        DatasetError: a slip that is no known damage, for example `wrong diagnosis 0.5`.
    """
    parts: dict[str, float] = {}
    for provenance in (record.observe, record.reason):
        slips = provenance.simulated_slip
        for slip in slips.split(_JOINT) if slips else ():
            kind, _, strength = slip.rpartition(" ")
            try:
                parts[kind] = max(float(strength), parts.get(kind, 0.0))
                Damage(parts)
            except ValueError as error:
                raise DatasetError(
                    f"case {record.id!r} has the simulated slip {slip!r}: {error}; build the "
                    "corpus again"
                ) from error
    return Damage(parts)


def _corrected(record: CorpusRecord, rng: random.Random) -> str:
    given = parse_narrative(record.narrative).differential
    others = [name for name in given if name != record.diagnosis]
    label = record.diagnosis
    return write_narrative(
        record.findings, label, others, rng, record.context, urgency_of(label)
    ).text
