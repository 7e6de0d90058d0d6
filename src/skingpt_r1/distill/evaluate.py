"""Diagnosing the cases that were not trained on: every narrative is generated, none is chosen.

An answer that cannot be read is wrong; it stays in every denominator and is counted and shown.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from skingpt_r1.case import Case
from skingpt_r1.errors import DatasetError, NarrativeError, RecordError
from skingpt_r1.findings import finding_accuracy
from skingpt_r1.model.decoding import Decoding
from skingpt_r1.model.prompt import Request
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.narrative import parse_narrative
from skingpt_r1.records import ResultRow, append_records, resume_records
from skingpt_r1.stats import Interval, bootstrap_mean, bootstrap_statistic, paired_difference

ACCURACY = "diagnosis accuracy"
BALANCED = "balanced accuracy"
FINDINGS = "finding accuracy"
UNREADABLE = "unreadable answers"


class Answer(BaseModel):
    """What a model wrote about one case, and how it compares with what is known.

    Attributes:
        case: id.
        group: patient, lesion or file series, for intervals.
        label: the truth.
        text: what was generated.
        diagnosis: the name that was read from it; None when it cannot be read.
        unreadable: why it cannot be read; None when it can.
        right: whether the diagnosis is the label.
        findings: share of known findings that the text names rightly; None where none is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    case: str
    group: str
    label: str
    text: str
    diagnosis: str | None
    unreadable: str | None
    right: bool
    findings: float | None


class Scored(NamedTuple):
    """The numbers of one system.

    Attributes:
        name: of the system.
        answers: one for each case, in the order of the cases.
    """

    name: str
    answers: Sequence[Answer]


def answer_cases(
    model: SkinGPT,
    cases: Sequence[Case],
    path: Path,
    *,
    decoding: Decoding,
    batch_size: int,
    bias: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """Diagnose cases, one record for each; what is already in the file is not done again.

    Args:
        model: with a processor.
        cases: labelled.
        path: the JSON Lines file.
        decoding: how text is generated.
        batch_size: cases decoded together.
        bias: False asks the plain backbone.
        progress: told how many cases of how many are answered.

    Returns:
        The answers in the order of the cases.

    Raises:
        DatasetError: a case has no label.
        RecordError: the file holds answers to other cases.
    """
    unlabelled = [case.id for case in cases if case.label is None]
    if unlabelled:
        raise DatasetError(f"{len(unlabelled)} cases have no label to compare with", unlabelled)
    done: dict[str, Answer] = {
        answer.case: answer for answer in resume_records(path, Answer).records
    }
    strangers = done.keys() - {case.id for case in cases}
    if strangers:
        raise RecordError(
            f"{path} holds answers to {len(strangers)} other cases ({sorted(strangers)[0]}, ...); "
            "use another file, or delete this one"
        )
    waiting = [case for case in cases if case.id not in done]
    for start in range(0, len(waiting), batch_size):
        batch = waiting[start : start + batch_size]
        texts = model.generate_batch(
            [Request.of_case(case) for case in batch], decoding=decoding, bias=bias
        )
        answers = [judge(case, text) for case, text in zip(batch, texts, strict=True)]
        append_records(path, answers)
        done |= {answer.case: answer for answer in answers}
        if progress is not None:
            progress(len(done), len(cases))
    return [done[case.id] for case in cases]


def judge(case: Case, text: str) -> Answer:
    """Compare a generated text with what is known of its case."""
    assert case.label is not None
    diagnosis, unreadable = None, None
    try:
        diagnosis = parse_narrative(text).diagnosis
    except NarrativeError as error:
        unreadable = error.reason
    return Answer(
        case=case.id,
        group=case.group,
        label=case.label,
        text=text,
        diagnosis=diagnosis,
        unreadable=unreadable,
        right=diagnosis is not None and _same(diagnosis, case.label),
        findings=finding_accuracy(text, case.findings) if case.findings else None,
    )


def result_rows(table: str, system: Scored, *, seed: int, resamples: int) -> list[ResultRow]:
    """The numbers of one system with 95 % intervals, resampled by group.

    Args:
        table: name of the table.
        system: the answers.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    answers = system.answers
    groups = [answer.group for answer in answers]
    right = np.array([answer.right for answer in answers], float)
    unreadable = np.array([answer.unreadable is not None for answer in answers], float)
    known = [answer for answer in answers if answer.findings is not None]
    rows = {
        ACCURACY: bootstrap_mean(right, groups, seed=seed, resamples=resamples),
        BALANCED: _balanced(answers, seed=seed, resamples=resamples),
        UNREADABLE: bootstrap_mean(unreadable, groups, seed=seed, resamples=resamples),
    }
    if known:
        rows[FINDINGS] = bootstrap_mean(
            np.array([answer.findings for answer in known], float),
            [answer.group for answer in known],
            seed=seed,
            resamples=resamples,
        )
    return [_row(table, system.name, metric, interval) for metric, interval in rows.items()]


def difference_rows(
    table: str, better: Scored, worse: Scored, *, seed: int, resamples: int
) -> list[ResultRow]:
    """How much better one system is than another on the same cases, paired, by group.

    Args:
        table: name of the table.
        better: the system named first in the row, `better - worse`.
        worse: the other.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        RecordError: the systems did not answer the same cases.
    """
    pairs = list(zip(better.answers, worse.answers, strict=False))
    if len(better.answers) != len(worse.answers) or any(a.case != b.case for a, b in pairs):
        raise RecordError(
            f"{better.name} and {worse.name} did not answer the same cases; evaluate both on the "
            "same split"
        )
    name = f"{better.name} - {worse.name}"
    known = [(a, b) for a, b in pairs if a.findings is not None and b.findings is not None]
    values = {
        ACCURACY: (pairs, [(float(a.right), float(b.right)) for a, b in pairs]),
        FINDINGS: (known, [(a.findings, b.findings) for a, b in known]),
    }
    rows = []
    for metric, (members, columns) in values.items():
        if members:
            left, right = np.array(columns, float).T
            groups = [answer.group for answer, _ in members]
            interval = paired_difference(left, right, groups, seed=seed, resamples=resamples)
            rows.append(_row(table, name, metric, interval))
    return rows


def unreadable_reasons(answers: Sequence[Answer]) -> Mapping[str, int]:
    """How many answers could not be read, by reason, the commonest first."""
    reasons = [answer.unreadable for answer in answers if answer.unreadable is not None]
    return {name: reasons.count(name) for name in sorted(set(reasons), key=reasons.count)[::-1]}
