"""The narrative that each training case is taught: given, or written from what is known.

Nothing is invented: a written narrative names findings that the data set records or that were
measured on the picture, the case's own label, and as differential the labels whose training cases
share most of these findings.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from skingpt_r1.case import Case
from skingpt_r1.data.intake import open_image
from skingpt_r1.data.measure import findings_of, measure
from skingpt_r1.errors import DatasetError
from skingpt_r1.runs import Count
from skingpt_r1.text.findings import WORDS
from skingpt_r1.text.tokens import control_token
from skingpt_r1.text.wording import urgency_of, write_narrative

DIFFERENTIALS = 2
# One imagined case of every value for each label: an unseen value is unlikely, not impossible.
SMOOTHING = 1.0


def add_measured_findings(cases: Sequence[Case], progress: Count | None = None) -> list[Case]:
    """Cases whose findings are completed with what the pixels of their first picture say.

    A finding that the data set records is never replaced. `progress` is callback(done, total).
    """
    completed = []
    for number, case in enumerate(cases, 1):
        measured = findings_of(measure(open_image(case.images[0])))
        completed.append(replace(case, findings={**measured, **case.findings}))
        if progress is not None:
            progress(number, len(cases))
    return completed


def narratives_of(
    cases: Sequence[Case], *, source: Literal["given", "written"], seed: int
) -> list[str]:
    """One narrative for each case, in canonical or given form.

    Args:
        cases: the training cases; the differential is learned from their labels and findings.
        source: `given` refuses cases without a narrative of their own; `written` writes one.
        seed: of the wording; a case's wording does not depend on the other cases.

    Raises:
        DatasetError: cases without a narrative, or without a label to write one from, or with a
            control token in narrative, label or context; all of them.
    """
    _refuse_control_tokens(cases)
    if source == "given":
        _refuse([case.id for case in cases if case.narrative is None], "no narrative of their own")
    _refuse(
        [case.id for case in cases if case.narrative is None and case.label is None],
        "neither a narrative nor a label",
    )
    likeness = FindingsByLabel(cases)
    texts = []
    for case in cases:
        if case.narrative is not None:
            texts.append(case.narrative)
            continue
        assert case.label is not None
        rng = random.Random(f"{seed}:{case.dataset}:{case.id}")
        others = likeness.nearest(case.findings, case.label)
        narrative = write_narrative(
            case.findings,
            case.label,
            others,
            rng,
            case.context,
            urgency_of(case.label),
            likeness.speaking_for(case.findings, case.label),
        )
        texts.append(narrative.text)
    return texts


class Labelled(Protocol):
    """What is counted of a case."""

    @property
    def label(self) -> str | None:
        """The diagnosis; cases without one are not counted."""

    @property
    def findings(self) -> Mapping[str, str]:
        """What is seen, slot -> value."""


class FindingsByLabel:
    """How often each finding goes with each label, to say which labels look alike."""

    def __init__(self, cases: Iterable[Labelled]) -> None:
        self._totals: Counter[str] = Counter()
        self._counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self._known: dict[str, Counter[str]] = defaultdict(Counter)
        for case in cases:
            if case.label is not None:
                self._totals[case.label] += 1
                self._counts[case.label].update(case.findings.items())
                self._known[case.label].update(case.findings.keys())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that were counted, by name."""
        return tuple(sorted(self._totals))

    def nearest(self, findings: Mapping[str, str], label: str) -> tuple[str, ...]:
        """Other labels under which these findings are likeliest, most likely first.

        Ties go by name. Nothing is said of a case without findings.
        """
        if not findings:
            return ()
        others = sorted(name for name in self._totals if name != label)
        return tuple(
            sorted(others, key=lambda name: -self.log_likelihood(findings, name))[:DIFFERENTIALS]
        )

    def speaking_for(self, findings: Mapping[str, str], label: str) -> frozenset[str]:
        """Slots whose value is at least as likely under the label as over all labels.

        A reasoning that cites another would argue against its own diagnosis.
        """
        return frozenset(
            slot
            for slot, value in findings.items()
            if self._share(slot, value, [label]) >= self._share(slot, value, self._totals)
        )

    def _share(self, slot: str, value: str, labels: Iterable[str]) -> float:
        names = list(labels)
        known = sum(self._known[name][slot] for name in names)
        return sum(self._counts[name][slot, value] for name in names) / known if known else 0.0

    def log_likelihood(self, findings: Mapping[str, str], label: str) -> float:
        """Log of how likely these findings are under a label, slots taken as independent."""
        counts = self._counts[label]
        total = 0.0
        for slot, value in findings.items():
            known = self._known[label][slot]
            values = len(WORDS[slot])
            total += math.log((counts[slot, value] + SMOOTHING) / (known + SMOOTHING * values))
        return total


def _refuse_control_tokens(cases: Sequence[Case]) -> None:
    found = [
        f"{case.id}: its {name} contains {token!r}"
        for case in cases
        for name, text in _texts(case)
        if (token := control_token(text)) is not None
    ]
    if found:
        raise DatasetError(
            f"{len(found)} texts of training cases contain control tokens, which would end a turn "
            "or stand for a picture; remove the tokens, or leave the cases out",
            found,
        )


def _texts(case: Case) -> Iterator[tuple[str, str]]:
    """What of a case a model is told or taught."""
    if case.narrative is not None:
        yield "narrative", case.narrative
    if case.label is not None:
        yield "label", case.label
    yield from ((f"context {name}", text) for name, text in case.context.items())


def _refuse(ids: Sequence[str], lack: str) -> None:
    if ids:
        raise DatasetError(
            f"{len(ids)} training cases have {lack}; leave them out, or set data.narratives to "
            "written and give labels",
            ids,
        )
