"""How far a judge agrees with clinicians who rated answers of the same run.

A rating file (the schema of DermEval) is matched to the answers by its ids: `<system>/<question>`,
or the question's id where the text tells which system wrote it. Nothing is matched by guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skingpt_r1.dermbench.answers import read_answers, system_names
from skingpt_r1.dermbench.judged_scores import JudgedScores, Key, RunScores
from skingpt_r1.dermbench.report.data import Audit
from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.agreement import OVERALL, Pairs, measure_agreement, pair_ratings
from skingpt_r1.ratings.rating import Judged, read_ratings
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import Interval
from skingpt_r1.text.rubric import DIMENSIONS, Protocol, Scores

AGREEMENT = "agreement with clinicians"
SHOWN_METRICS = ("mean absolute error", "weighted kappa")


@dataclass(frozen=True)
class JudgeAgreement:
    """One judge beside the clinicians.

    Attributes:
        judge: its name.
        pairs: answers with scores of both.
        rows: measures for each dimension, as in `results.json`.
        unmatched: ratings that belong to no answer of the run.
    """

    judge: str
    pairs: Pairs
    rows: tuple[ResultRow, ...]
    unmatched: int


def measure_judges(
    folder: Path,
    scores: RunScores,
    ratings: Path,
    *,
    judges: Sequence[str] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> list[JudgeAgreement]:
    """Compare judges with a rating file.

    Args:
        folder: of the run.
        scores: of the run.
        ratings: file of the clinicians, on the scale 0-5; several raters are averaged.
        judges: names; every judge of that scale by default.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        RecordError: the file breaks its schema, no rating belongs to an answer, or a judge is not
            there.
    """
    chosen = _chosen(scores, judges)
    texts = _texts(folder)
    matched, unmatched = match_ratings(read_ratings(ratings), texts)
    if not matched:
        raise RecordError(
            f"no rating of {ratings} belongs to an answer of {folder}; ids must be "
            "`<system>/<question>`, or the question's id with the text of one answer"
        )
    return [_measure(judged, scores, matched, unmatched, resamples, seed) for judged in chosen]


def match_ratings(
    ratings: Sequence[Judged], texts: Mapping[Key, str]
) -> tuple[dict[Key, Judged], int]:
    """Ratings by the answer that they are about, and how many belong to none.

    Raises:
        RecordError: a rating names an answer whose text is another one.
    """
    matched: dict[Key, Judged] = {}
    unmatched = 0
    by_name = {f"{system}/{question}": (system, question) for system, question in texts}
    for item in ratings:
        key = by_name.get(item.id)
        if key is None:
            same = [k for k, text in texts.items() if k[1] == item.id and text == item.text]
            key = same[0] if len(same) == 1 else None
        elif texts[key] != item.text:
            raise RecordError(
                f"rating {item.id!r} is about another text than the answer of this run; rate the "
                "answers as they stand in answers/"
            )
        if key is None:
            unmatched += 1
        else:
            matched[key] = item
    return matched, unmatched


def agreement_audits(found: Sequence[JudgeAgreement]) -> list[Audit]:
    """The mean absolute error and the weighted kappa of each dimension, as checks of the judge.

    A measure that is not defined, such as the kappa of equal scores, has no number.
    """
    return [
        Audit(
            judge=entry.judge,
            check=f"{AGREEMENT}: {metric}",
            subject=dimension,
            measure=_measured(entry.rows, dimension, metric),
            verdict=_in_words(entry),
        )
        for entry in found
        for dimension in (*DIMENSIONS, OVERALL)
        for metric in SHOWN_METRICS
    ]


def _measured(rows: Sequence[ResultRow], dimension: str, metric: str) -> Interval | None:
    for row in rows:
        if (row.system, row.metric) == (dimension, metric):
            return Interval(row.value, row.low, row.high, row.n)
    return None


def _in_words(entry: JudgeAgreement) -> str:
    words = f"{len(entry.pairs.ids)} answers that both have scored"
    left = (
        (entry.pairs.unscored_first, "unscored by the judge"),
        (entry.pairs.unscored_second, "unscored by the clinicians"),
        (entry.unmatched, "ratings of no answer"),
    )
    return "; ".join([words, *(f"{count} {what}" for count, what in left if count)])


def _chosen(scores: RunScores, judges: Sequence[str]) -> list[JudgedScores]:
    known = [j for j in scores.judges if j.protocol == Protocol.DECIMAL_0_5.value]
    names = [judged.judge for judged in known]
    unknown = [name for name in judges if name not in names]
    if unknown or not known:
        raise RecordError(
            f"no judge {unknown[0]!r} on the scale 0-5; there are: {', '.join(names) or 'none'}"
            if unknown
            else "no judge of this run used the scale 0-5, on which clinicians rate"
        )
    return [judged for judged in known if not judges or judged.judge in judges]


def _texts(folder: Path) -> dict[Key, str]:
    return {
        (system, name): answer.text
        for system in system_names(folder)
        for name, answer in read_answers(folder, system).items()
        if answer.problem is None
    }


def _measure(
    judged: JudgedScores,
    scores: RunScores,
    matched: Mapping[Key, Judged],
    unmatched: int,
    resamples: int,
    seed: int,
) -> JudgeAgreement:
    means = judged.means
    named = {key: f"{key[0]}/{key[1]}" for key in matched}
    people = [
        replace(item, id=named[key], group=scores.groups[key[1]]) for key, item in matched.items()
    ]
    judge = [
        replace(
            item,
            id=named[key],
            group=scores.groups[key[1]],
            ratings=(Scores(means[key]),) if key in means else (),
        )
        for key, item in matched.items()
    ]
    pairs = pair_ratings(judge, people)
    rows = measure_agreement(pairs, seed=seed, resamples=resamples)
    named_rows = tuple(
        row.model_copy(update={"table": f"{AGREEMENT}: {judged.judge}"}) for row in rows
    )
    return JudgeAgreement(judged.judge, pairs, named_rows, unmatched)
