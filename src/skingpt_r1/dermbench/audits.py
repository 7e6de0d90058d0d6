"""How far a judge can be trusted: repeats, length, order, its own family, and clinicians.

Every check says what was measured, with an interval over groups where there can be one, and in
words what it means. Ratings of clinicians are matched to the answers of the same run by their ids:
`<system>/<question>`, or the question's id where the text tells which system wrote it. Nothing is
matched by guess. For research, not for diagnosis.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from skingpt_r1.dermbench.answers import read_answers, system_names
from skingpt_r1.dermbench.judgements import AnswerKey as Key
from skingpt_r1.dermbench.judgements import JudgedScores, RunScores, read_scores
from skingpt_r1.dermbench.judges.language_model import CANDIDATE_FIRST
from skingpt_r1.dermbench.report.data import Audit
from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.agreement import SUBJECTS, Pairs, measure_agreement, pair_ratings
from skingpt_r1.ratings.rating import RatedText, read_ratings
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import (
    Floats,
    Interval,
    bootstrap_mean,
    percentile_interval,
    resampled_sums,
    spearman,
)
from skingpt_r1.text.rubric import Protocol, Scores
from skingpt_r1.text.tokens import vocabulary

REPEATS, LENGTH = "repeat spread", "length correlation"
ORDER, SELF = "order effect", "self-preference"

# From these on a reader is warned; the order and the own family must exclude zero as well.
SPREAD_FLAG = 0.25  # points between repeats, as a standard deviation
LENGTH_FLAG = 0.3  # rank correlation
SHIFT_FLAG = 0.1  # points
FEWEST = 5  # answers below which nothing is said

_FAMILIES: dict[str, str] = vocabulary()["families"]


class Finding(NamedTuple):
    """Of whom, the measure, what it means, and whether a reader is warned."""

    subject: str
    measure: Interval | None
    verdict: str
    flagged: bool = False


EVERYONE = "all systems"


def audit_run(scores: RunScores) -> list[Audit]:
    """Every check of every judge of a run."""
    return [
        Audit(judge=_named(judged), check=check, **finding._asdict())
        for judged in scores.judges
        for check, find in _CHECKS.items()
        for finding in find(scores, judged)
    ]


def audit_folder(folder: Path, ratings: Path | None = None) -> list[Audit]:
    """The checks of a run, those against a rating file of clinicians included."""
    scores = read_scores(folder)
    found = audit_run(scores)
    if ratings is not None:
        found += agreement_audits(measure_judges(folder, scores, ratings))
    return found


def repeat_spread(scores: RunScores, judged: JudgedScores) -> Iterator[Finding]:
    """Standard deviation of the mean score between repeats of the same answer."""
    spread = {
        key: float(np.std([np.mean(values) for values in said.values()], ddof=1))
        for key, said in judged.repeats.items()
        if len(said) > 1
    }
    if not spread:
        yield Finding(EVERYONE, None, "no answer has the scores of two repeats")
        return
    found = bootstrap_mean(list(spread.values()), _groups(scores, spread))
    far = found.value > SPREAD_FLAG
    words = "repeats differ; judge more often" if far else "repeats agree"
    yield Finding(EVERYONE, found, words, far)


def length_correlation(scores: RunScores, judged: JudgedScores) -> Iterator[Finding]:
    """Rank correlation between the length of an answer and its mean score, system by system."""
    overall = judged.overall
    for system in scores.systems:
        keys = [key for key in overall if key[0] == system and key in scores.lengths]
        lengths = np.array([float(scores.lengths[key]) for key in keys])
        values = np.array([overall[key] for key in keys])
        if len(keys) < FEWEST or len(set(lengths)) < 2 or len(set(values)) < 2:
            yield Finding(system, None, "too few answers, or nothing varies")
            continue
        found = _rank_correlation(lengths, values, _groups(scores, keys))
        tied = abs(found.value) > LENGTH_FLAG and found.excludes_zero
        more = "longer" if found.value > 0 else "shorter"
        words = f"{more} answers score higher" if tied else "no strong tie to the length"
        yield Finding(system, found, words, tied)


def order_effect(scores: RunScores, judged: JudgedScores) -> Iterator[Finding]:
    """How much higher the same answers score when the candidate is shown before the reference."""
    turned = (judged.judge + CANDIDATE_FIRST, judged.protocol)
    other = next((j for j in scores.judges if (j.judge, j.protocol) == turned), None)
    if other is None:
        return
    usual, first = judged.overall, other.overall
    keys = [key for key in usual if key in first]
    if not keys:
        yield Finding(EVERYONE, None, "no answer was judged in both orders")
        return
    shift = [first[key] - usual[key] for key in keys]
    found = bootstrap_mean(shift, _groups(scores, keys))
    moved = abs(found.value) > SHIFT_FLAG and found.excludes_zero
    words = "the order changes the scores" if moved else "the order changes little"
    yield Finding(EVERYONE, found, words, moved)


def self_preference(scores: RunScores, judged: JudgedScores) -> Iterator[Finding]:
    """Systems of the judge's own family by name, and what it gives them more than other judges.

    The lead of such a system over the systems of other families is compared with its lead under
    the other judges of the same scale; without other judges nothing is measured, and the flag
    stands by the name alone.
    """
    family = family_of(judged.judge)
    own = [name for name in scores.systems if family is not None and family_of(name) == family]
    rest = [name for name in scores.systems if name not in own]
    others = [
        entry.overall
        for entry in scores.judges
        if entry.protocol == judged.protocol
        and entry.judge.removesuffix(CANDIDATE_FIRST) != judged.judge.removesuffix(CANDIDATE_FIRST)
        and family_of(entry.judge) != family
    ]
    for system in own:
        gains = _gains(judged.overall, others, system, rest)
        if not gains:
            words = f"judge and system are both {family}; compare with another judge"
            yield Finding(system, None, words, flagged=True)
            continue
        groups = [scores.groups[name] for name in gains]
        found = bootstrap_mean(list(gains.values()), groups)
        prefers = found.value > SHIFT_FLAG and found.excludes_zero
        words = "scores its own family higher than other judges do" if prefers else "not shown"
        yield Finding(system, found, f"both {family}: {words}", flagged=True)


_CHECKS = {
    REPEATS: repeat_spread,
    LENGTH: length_correlation,
    ORDER: order_effect,
    SELF: self_preference,
}


def family_of(name: str) -> str | None:
    """The family of models that a name belongs to; None when none is recognised.

    Of `URL#MODEL` the model counts: many servers speak OpenAI's protocol and say so in their URL.
    """
    plain = (name.partition("#")[2] if "://" in name else name).lower()
    matches = [family for family, words in _FAMILIES.items() if re.search(words, plain)]
    return matches[0] if matches else None


def _gains(
    mine: dict[Key, float], others: Sequence[dict[Key, float]], system: str, rest: Sequence[str]
) -> dict[str, float]:
    """Question -> lead of the system under this judge less its mean lead under the others."""
    gains: dict[str, float] = {}
    for name in sorted({question for _, question in mine}):
        lead = _lead(mine, system, rest, name)
        theirs = [
            found for other in others if (found := _lead(other, system, rest, name)) is not None
        ]
        if lead is not None and theirs:
            gains[name] = lead - sum(theirs) / len(theirs)
    return gains


def _lead(
    overall: dict[Key, float], system: str, rest: Sequence[str], question: str
) -> float | None:
    beside = [overall[other, question] for other in rest if (other, question) in overall]
    if (system, question) not in overall or not beside:
        return None
    return overall[system, question] - sum(beside) / len(beside)


def _rank_correlation(lengths: Floats, values: Floats, groups: Sequence[str]) -> Interval:
    """Spearman's correlation; resamples keep the ranks of the whole, so that sums are enough."""
    n = len(lengths)
    x, y = (rankdata(column) - (n + 1) / 2 for column in (lengths, values))
    columns = np.column_stack([np.ones(n), x, y, x * x, y * y, x * y])
    size, sx, sy, xx, yy, xy = resampled_sums(columns, groups).T
    scale = np.sqrt((size * xx - sx**2) * (size * yy - sy**2))
    drawn = np.divide(size * xy - sx * sy, scale, out=np.full(len(size), np.nan), where=scale > 0)
    found = percentile_interval(spearman(lengths, values), drawn, n, len(set(groups)))
    assert found is not None, "both sides vary"
    return found


def _groups(scores: RunScores, keys: Sequence[Key] | dict[Key, float]) -> list[str]:
    return [scores.groups[question] for _, question in keys]


def _named(judged: JudgedScores) -> str:
    usual = judged.protocol == Protocol.DECIMAL_0_5.value
    return judged.judge if usual else f"{judged.judge} ({judged.protocol})"


AGREEMENT = "agreement with clinicians"
SHOWN_METRICS = ("mean absolute error", "weighted kappa")


class JudgeAgreement(NamedTuple):
    """One judge beside the clinicians: answers with scores of both, and measures by dimension.

    `unmatched` counts ratings that belong to no answer of the run.
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
) -> list[JudgeAgreement]:
    """Compare judges, all of the scale 0-5 by default, with a rating file of that scale.

    Several raters are averaged.

    Raises:
        RecordError: the file breaks its schema, no rating belongs to an answer, or a judge is not
            there.
    """
    chosen = _chosen(scores, judges)
    texts = {
        (system, name): answer.text
        for system in system_names(folder)
        for name, answer in read_answers(folder, system).items()
        if answer.problem is None
    }
    matched, unmatched = match_ratings(read_ratings(ratings), texts)
    if not matched:
        raise RecordError(
            f"no rating of {ratings} belongs to an answer of {folder}; ids must be "
            "`<system>/<question>`, or the question's id with the text of one answer"
        )
    people = {
        key: replace(item, id=f"{key[0]}/{key[1]}", group=scores.groups[key[1]])
        for key, item in matched.items()
    }
    found = []
    for judged in chosen:
        means = judged.means
        judge = [
            replace(item, ratings=(Scores(means[key]),) if key in means else ())
            for key, item in people.items()
        ]
        pairs = pair_ratings(judge, list(people.values()))
        table = {"table": f"{AGREEMENT}: {judged.judge}"}
        rows = measure_agreement(pairs, resamples=resamples)
        named = tuple(row.model_copy(update=table) for row in rows)
        found.append(JudgeAgreement(judged.judge, pairs, named, unmatched))
    return found


def match_ratings(
    ratings: Sequence[RatedText], texts: Mapping[Key, str]
) -> tuple[dict[Key, RatedText], int]:
    """Ratings by the answer that they are about, and how many belong to none.

    Raises:
        RecordError: a rating names an answer whose text is another one.
    """
    matched: dict[Key, RatedText] = {}
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
    audits = []
    for entry in found:
        rows = {(row.system, row.metric): row for row in entry.rows}
        for subject in SUBJECTS:
            for metric in SHOWN_METRICS:
                row = rows.get((subject, metric))
                audits.append(
                    Audit(
                        judge=entry.judge,
                        check=f"{AGREEMENT}: {metric}",
                        subject=subject,
                        measure=Interval(row.value, row.low, row.high, row.n) if row else None,
                        verdict=_in_words(entry),
                    )
                )
    return audits


def _in_words(entry: JudgeAgreement) -> str:
    words = f"{len(entry.pairs.ids)} answers that both have scored"
    left = (
        (entry.pairs.unscored_first, "unscored by the judge"),
        (entry.pairs.unscored_second, "unscored by the clinicians"),
        (entry.unmatched, "ratings of no answer"),
    )
    return "; ".join([words, *(f"{count} {what}" for count, what in left if count)])


def _chosen(scores: RunScores, judges: Sequence[str]) -> list[JudgedScores]:
    known = {j.judge: j for j in scores.judges if j.protocol == Protocol.DECIMAL_0_5.value}
    if not known and not judges:
        raise RecordError("no judge of this run used the scale 0-5, on which clinicians rate")
    for name in judges:
        if name not in known:
            raise RecordError(
                f"no judge {name!r} on the scale 0-5; there are: {', '.join(known) or 'none'}"
            )
    return [judged for name, judged in known.items() if not judges or name in judges]
