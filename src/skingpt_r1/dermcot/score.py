"""Stage 5: six scores for each narrative, by a function that the caller hands in."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from skingpt_r1.dermcot.asking import blocks
from skingpt_r1.dermcot.corpus import Candidate, Provenance, StageRecord
from skingpt_r1.dermcot.corpus_part import picture_paths
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored

# Pictures and narrative of each case in, a verdict for each out, in order.
ScoreFunction = Callable[[Sequence[tuple[tuple[Path, ...], str]]], list[Scores | Unscored]]


def score(
    candidates: Iterable[Candidate],
    score_function: ScoreFunction,
    *,
    folder: Path,
    evaluator: str,
    batch_size: int,
) -> Iterator[StageRecord]:
    """Scores; a verdict that cannot be read drops the case as `unscored`, with the reason.

    Args:
        candidates: those that passed the audit.
        score_function: sees pictures and narrative alone.
        folder: of the corpus, where the pictures' paths begin.
        evaluator: name for the provenance.
        batch_size: narratives scored together.
    """
    provenance = Provenance(narrator=evaluator)
    for batch in blocks(candidates, batch_size):
        asked = [
            (picture_paths(item.case.images, folder), item.text("normalise")) for item in batch
        ]
        for candidate, verdict in zip(batch, score_function(asked), strict=True):
            yield _record(candidate, verdict, provenance)


def _record(
    candidate: Candidate, verdict: Scores | Unscored, provenance: Provenance
) -> StageRecord:
    identity = candidate.case.id
    if isinstance(verdict, Unscored):
        detail = f"{verdict.reason}: {verdict.detail}" if verdict.detail else verdict.reason
        return StageRecord(
            id=identity, stage="score", provenance=provenance, dropped="unscored", detail=detail
        )
    scores = dict(zip(DIMENSIONS, verdict.values, strict=True))
    return StageRecord(id=identity, stage="score", provenance=provenance, scores=scores)
