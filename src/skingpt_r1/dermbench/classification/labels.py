"""The label sets of the classification benchmarks, and what a case of a data set is called in each.

The labels come from the readers' cards; the nine parts of Fitzpatrick17k and the two of malignancy
are the data sets' own columns, never derived from the diagnosis.
"""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from skingpt_r1.case import Case
from skingpt_r1.data import READERS
from skingpt_r1.errors import DatasetError, RecipeError
from skingpt_r1.text.taxonomy import canonical, diagnoses, fitting_labels, is_malignant, normalise
from skingpt_r1.text.tokens import patterns
from skingpt_r1.text.values import truth

Kind = Literal["diagnosis", "nine parts", "malignancy"]

MALIGNANT, BENIGN = "malignant", "benign"
_NINE = "nine_partition_label"
# What is said of malignancy without a diagnosis, in normalised words.
_CLASS_WORDS = patterns("labels")["malignancy"]


class LabelSet(NamedTuple):
    """One classification benchmark of a reader's data set.

    `is_open`: the labels are not shown to the system that is asked.
    """

    name: str
    dataset: str
    kind: Kind
    labels: tuple[str, ...]
    is_open: bool = False

    @property
    def candidates(self) -> tuple[str, ...]:
        """The labels that a question shows; empty for open ones."""
        return () if self.is_open else self.labels

    def has(self, name: str) -> bool:
        """Whether a name is one of the labels, however it is spelt."""
        return normalise(name) in _normalised(self.labels)

    def fitting(self, diagnosis: str) -> tuple[str, ...]:
        """The labels that a diagnosis may mean; see `taxonomy.fitting_labels`."""
        equal = fitting_labels(diagnosis, self.labels)
        if equal or self.kind == "diagnosis":
            return equal
        if self.kind == "malignancy":
            malignant = _said_malignant(diagnosis)
            return () if malignant is None else (MALIGNANT if malignant else BENIGN,)
        name = canonical(diagnosis)
        return () if name is None else (diagnoses()[name].nine_partition,)


@cache
def _normalised(labels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(normalise(label) for label in labels) - {""}


def _of(name: str, kind: Kind) -> tuple[str, ...]:
    if kind == "malignancy":
        return (MALIGNANT, BENIGN)
    if kind == "nine parts":
        return tuple(sorted({item.nine_partition for item in diagnoses().values()}))
    return READERS[name].labels


# benchmark, data set, what its labels are
_BENCHMARKS: tuple[tuple[str, str, Kind], ...] = (
    ("ham10000", "ham10000", "diagnosis"),
    ("pad_ufes_20", "pad_ufes_20", "diagnosis"),
    ("fitzpatrick17k_9", "fitzpatrick17k", "nine parts"),
    ("fitzpatrick17k_114", "fitzpatrick17k", "diagnosis"),
    ("ddi", "ddi", "diagnosis"),
    ("ddi_malignancy", "ddi", "malignancy"),
    ("derm7pt", "derm7pt", "diagnosis"),
    ("dermnet", "dermnet", "diagnosis"),
)
LABEL_SETS: Mapping[str, LabelSet] = MappingProxyType(
    {
        name: LabelSet(name, dataset, kind, _of(dataset, kind), is_open=name == "ddi")
        for name, dataset, kind in _BENCHMARKS
    }
)


def find_label_set(name: str) -> LabelSet:
    """The label set of a benchmark.

    Raises:
        RecipeError: there is none of this name.
    """
    if name not in LABEL_SETS:
        near = difflib.get_close_matches(name, LABEL_SETS, n=1, cutoff=0.0)
        raise RecipeError(
            f"no classification benchmark is called {name!r}; nearest: {near[0]!r}; known: "
            f"{', '.join(LABEL_SETS)}"
        )
    return LABEL_SETS[name]


def _said_malignant(text: str) -> bool | None:
    """Whether a text calls something malignant, by a word for it or by a diagnosis."""
    words = _CLASS_WORDS.fullmatch(normalise(text))
    if words is None:
        return is_malignant(text)
    calls_malignant = words["word"] not in ("benign", "harmless")
    return calls_malignant is (words["denied"] is None)


def gold_labels(cases: Iterable[Case], labels: LabelSet) -> dict[str, str]:
    """Case id -> its label in the set.

    Raises:
        DatasetError: cases of another data set, or without a label of the set; all of them.
    """
    found: dict[str, str] = {}
    problems = []
    for case in cases:
        label = _gold(case, labels)
        if case.dataset != labels.dataset:
            problems.append(f"case {case.id!r} is of {case.dataset}, not of {labels.dataset}")
        elif label not in labels.labels:
            said = "no label" if label is None else f"{label!r}"
            problems.append(f"case {case.id!r} has {said}, not one of the {len(labels.labels)}")
        else:
            found[case.id] = label
    if problems:
        raise DatasetError(
            f"{len(problems)} cases have no label of {labels.name}; every case that is asked about "
            "needs one; take them out of the table, or name another benchmark",
            problems,
        )
    return found


def _gold(case: Case, labels: LabelSet) -> str | None:
    if labels.kind == "diagnosis":
        return case.label
    if labels.kind == "nine parts":
        return case.attributes.get(_NINE, "").strip().lower() or None
    malignant = truth(case.attributes.get("malignant", ""))
    return None if malignant is None else (MALIGNANT if malignant else BENIGN)
