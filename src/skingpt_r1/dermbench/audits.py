"""How far a judge can be trusted: repeats, length, order, its own family, and clinicians.

Every check says what was measured, with an interval over groups where there can be one, and in
words what it means. Ratings of clinicians are matched to the answers of the same run by their ids:
`<system>/<question>`, or the question's id where the text tells which system wrote it. Nothing is
matched by guess. For research, not for diagnosis.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from skingpt_r1.dermbench.answers import read_answers
from skingpt_r1.dermbench.judges.language_model import CANDIDATE_FIRST
from skingpt_r1.dermbench.reading import RunReading, Scale, read_run
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
from skingpt_r1.text.tokens import VOCABULARY

REPEATS, LENGTH = "repeat spread", "length correlation"
ORDER, SELF = "order effect", "self-preference"

# From these on a reader is warned; the order and the own family must exclude zero as well.
SPREAD_FLAG = 0.25  # points between repeats, as a standard deviation
LENGTH_FLAG = 0.3  # rank correlation
SHIFT_FLAG = 0.1  # points
FEWEST = 5  # answers below which nothing is said

_FAMILIES: dict[str, str] = VOCABULARY["families"]


class Finding(NamedTuple):
    """Of whom, the measure, what it means, and whether a reader is warned."""

    subject: str
    measure: Interval | None
    verdict: str
    flagged: bool = False


EVERYONE = "all systems"
Key = tuple[str, str]  # system, question


def audit_run(reading: RunReading, ratings: Path | None = None) -> list[Audit]:
    """Every check of every judge of a run, those against clinicians' ratings included.

    Raises:
        RecordError: as `measure_judges`.
    """
    found = [
        Audit(judge=_named(scale), check=check, **finding._asdict())
        for scale in sorted(reading.judged)
        for check, find in _CHECKS.items()
        for finding in find(reading, scale)
    ]
    if ratings is not None:
        found += agreement_audits(measure_judges(reading, ratings))
    return found


def read_judged(folder: Path) -> RunReading:
    """Go through a run's folder; see `reading.read_run`.

    Raises:
        RecordError: as `read_run`, or nothing is judged yet.
    """
    reading = read_run(folder)
    _refuse_unjudged(reading)
    return reading


def _refuse_unjudged(reading: RunReading) -> None:
    if not reading.judged:
        raise RecordError(
            f"{reading.folder} has no judgements yet; judge with `skingpt bench judge "
            f"{reading.folder.name}` first"
        )


def _means(reading: RunReading, scale: Scale) -> dict[Key, tuple[float, ...]]:
    """Answer -> the mean of the repeats, dimension by dimension."""
    return {
        (system, question): values
        for system, judged in reading.judged[scale].items()
        for question, values in judged.means.items()
    }


def _overall(reading: RunReading, scale: Scale) -> dict[Key, float]:
    """Answer -> the mean over repeats and dimensions."""
    return {key: sum(values) / len(values) for key, values in _means(reading, scale).items()}


def repeat_spread(reading: RunReading, scale: Scale) -> Iterator[Finding]:
    """Standard deviation of the mean score between repeats of the same answer."""
    spread = {
        (system, question): float(np.std([np.mean(values) for values in given], ddof=1))
        for system, judged in reading.judged[scale].items()
        for question, given in judged.scores.items()
        if len(given) > 1
    }
    if not spread:
        yield Finding(EVERYONE, None, "no answer has the scores of two repeats")
        return
    found = bootstrap_mean(list(spread.values()), _groups(reading, spread))
    far = found.value > SPREAD_FLAG
    words = "repeats differ; judge more often" if far else "repeats agree"
    yield Finding(EVERYONE, found, words, far)


def length_correlation(reading: RunReading, scale: Scale) -> Iterator[Finding]:
    """Rank correlation between the length of an answer and its mean score, system by system."""
    overall = _overall(reading, scale)
    for system, said in reading.said.items():
        keys = [key for key in overall if key[0] == system and said[key[1]].problem is None]
        lengths = np.array([float(said[question].words) for _, question in keys])
        values = np.array([overall[key] for key in keys])
        if len(keys) < FEWEST or len(set(lengths)) < 2 or len(set(values)) < 2:
            yield Finding(system, None, "too few answers, or nothing varies")
            continue
        found = _rank_correlation(lengths, values, _groups(reading, keys))
        tied = abs(found.value) > LENGTH_FLAG and found.excludes_zero
        more = "longer" if found.value > 0 else "shorter"
        words = f"{more} answers score higher" if tied else "no strong tie to the length"
        yield Finding(system, found, words, tied)


def order_effect(reading: RunReading, scale: Scale) -> Iterator[Finding]:
    """How much higher the same answers score when the candidate is shown before the reference."""
    judge, protocol = scale
    turned = judge + CANDIDATE_FIRST, protocol
    if turned not in reading.judged:
        return
    usual, first = _overall(reading, scale), _overall(reading, turned)
    keys = [key for key in usual if key in first]
    if not keys:
        yield Finding(EVERYONE, None, "no answer was judged in both orders")
        return
    shift = [first[key] - usual[key] for key in keys]
    found = bootstrap_mean(shift, _groups(reading, keys))
    moved = abs(found.value) > SHIFT_FLAG and found.excludes_zero
    words = "the order changes the scores" if moved else "the order changes little"
    yield Finding(EVERYONE, found, words, moved)


def self_preference(reading: RunReading, scale: Scale) -> Iterator[Finding]:
    """Systems of the judge's own family by name, and what it gives them more than other judges.

    The lead of such a system over the systems of other families is compared with its lead under
    the other judges of the same scale; without other judges nothing is measured, and the flag
    stands by the name alone.
    """
    judge, protocol = scale
    family = family_of(judge)
    own = [name for name in reading.systems if family is not None and family_of(name) == family]
    rest = [name for name in reading.systems if name not in own]
    mine = _overall(reading, scale)
    others = [
        _overall(reading, other)
        for other in sorted(reading.judged)
        if other[1] == protocol
        and other[0].removesuffix(CANDIDATE_FIRST) != judge.removesuffix(CANDIDATE_FIRST)
        and family_of(other[0]) != family
    ]
    for system in own:
        gains = _gains(mine, others, system, rest)
        if not gains:
            words = f"judge and system are both {family}; compare with another judge"
            yield Finding(system, None, words, flagged=True)
            continue
        groups = _groups(reading, ((system, question) for question in gains))
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
    own, *theirs = (_leads(overall, system, rest) for overall in (mine, *others))
    gains = {}
    for question in sorted(own):
        beside = [leads[question] for leads in theirs if question in leads]
        if beside:
            gains[question] = own[question] - sum(beside) / len(beside)
    return gains


def _leads(overall: dict[Key, float], system: str, rest: Sequence[str]) -> dict[str, float]:
    """Question -> score of the system less the mean of the rest."""
    leads = {}
    for (name, question), value in overall.items():
        beside = [overall[other, question] for other in rest if (other, question) in overall]
        if name == system and beside:
            leads[question] = value - sum(beside) / len(beside)
    return leads


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


def _groups(reading: RunReading, keys: Iterable[Key]) -> list[str]:
    return [reading.questions[reading.place[question]].group for _, question in keys]


def _named(scale: Scale) -> str:
    judge, protocol = scale
    return judge if protocol == Protocol.DECIMAL_0_5.value else f"{judge} ({protocol})"


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
    reading: RunReading, ratings: Path, *, judges: Sequence[str] = (), resamples: int = 2000
) -> list[JudgeAgreement]:
    """Compare judges, all of the scale 0-5 by default, with a rating file of that scale.

    Several raters are averaged.

    Raises:
        RecordError: the file breaks its schema, no rating belongs to an answer, or a judge is not
            there.
    """
    _refuse_unjudged(reading)
    chosen = _chosen(reading, judges)
    folder = reading.folder
    texts = {
        (system, name): answer.text
        for system in reading.systems
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
        (system, question): replace(item, id=f"{system}/{question}", group=group)
        for ((system, question), item), group in zip(
            matched.items(), _groups(reading, matched), strict=True
        )
    }
    found = []
    for scale in chosen:
        means = _means(reading, scale)
        judge = [
            replace(item, ratings=(Scores(means[key]),) if key in means else ())
            for key, item in people.items()
        ]
        pairs = pair_ratings(judge, list(people.values()))
        table = {"table": f"{AGREEMENT}: {scale[0]}"}
        rows = measure_agreement(pairs, resamples=resamples)
        named = tuple(row.model_copy(update=table) for row in rows)
        found.append(JudgeAgreement(scale[0], pairs, named, unmatched))
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


def _chosen(reading: RunReading, judges: Sequence[str]) -> list[Scale]:
    wanted = Protocol.DECIMAL_0_5.value
    known = {scale[0]: scale for scale in sorted(reading.judged) if scale[1] == wanted}
    if not known and not judges:
        raise RecordError("no judge of this run used the scale 0-5, on which clinicians rate")
    for name in judges:
        if name not in known:
            raise RecordError(
                f"no judge {name!r} on the scale 0-5; there are: {', '.join(known) or 'none'}"
            )
    return [scale for name, scale in known.items() if not judges or name in judges]
