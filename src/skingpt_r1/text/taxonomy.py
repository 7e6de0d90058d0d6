"""Diagnosis names: synonyms, parents and families, and how close two names are.

The table is `taxonomy.tsv`: one diagnosis per line, its parent, the nine-part class of
Fitzpatrick17k, whether it is malignant, and its synonyms. What a line leaves open it inherits from
its parent; a line without a parent is a family. Abbreviations, which may mean several diagnoses,
are in `abbreviations.tsv`. Our own arrangement; it decides no treatment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType

from skingpt_r1.text.taxonomy_names import UNNAMED, Known, normalise, parts_of, read

_THREE_PARTITION = MappingProxyType(
    {
        "inflammatory": "non-neoplastic",
        "genodermatoses": "non-neoplastic",
        "benign dermal": "benign",
        "benign epidermal": "benign",
        "benign melanocyte": "benign",
        "malignant dermal": "malignant",
        "malignant epidermal": "malignant",
        "malignant melanoma": "malignant",
        "malignant cutaneous lymphoma": "malignant",
    }
)


class Closeness(IntEnum):
    """How close two names are, the closest highest."""

    OTHER = 0
    SAME_FAMILY = 1
    PARENT = 2
    SYNONYM = 3
    EXACT = 4


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the table, with what it inherits.

    Attributes:
        name: the preferred name.
        parents: its ancestors, nearest first; the last one is the family.
        nine_partition: class in the nine parts of Fitzpatrick17k.
        malignant: whether it is a malignant tumour; precursors are not.
        synonyms: other names of the same thing.
    """

    name: str
    parents: tuple[str, ...]
    nine_partition: str
    malignant: bool
    synonyms: tuple[str, ...]

    @property
    def family(self) -> str:
        """The root that it belongs to."""
        return self.parents[-1] if self.parents else self.name

    @property
    def three_partition(self) -> str:
        """`benign`, `malignant` or `non-neoplastic`, as Fitzpatrick17k derives it."""
        return _THREE_PARTITION[self.nine_partition]


def diagnoses() -> Mapping[str, Diagnosis]:
    """The whole table: preferred name -> diagnosis."""
    return _table()[0]


def canonical(name: str) -> str | None:
    """The preferred name of a diagnosis; None when the table does not know it.

    Case, punctuation, plural, British spelling and the order of words do not matter. A remark in
    brackets, a qualifier (`severe`) and a trailing remark (`affecting the hands`) are left out when
    the whole is unknown; a malignant part is not: `nevus with melanoma` is a melanoma. A name that
    says several diagnoses, or takes back what it names (`melanoma, excluded`), has no such name.
    """
    named = named_diagnoses(name)
    return named[0] if len(named) == 1 else None


def named_diagnoses(name: str) -> tuple[str, ...]:
    """The preferred names of all diagnoses that a name says, or that an abbreviation may mean."""
    found = read(name, _known())
    return () if found is None else found.names


def is_name(text: str) -> bool:
    """Whether a whole text is a name of the table, such as `hand, foot and mouth disease`."""
    return normalise(text) in _table()[1]


def closeness(first: str, second: str) -> Closeness:
    """How close two diagnosis names are; names outside the table are only ever equal or other."""
    if normalise(first) == normalise(second) != "":
        return Closeness.EXACT
    a, b = canonical(first), canonical(second)
    if a is None or b is None:
        return Closeness.OTHER
    if a == b:
        return Closeness.SYNONYM
    one, two = diagnoses()[a], diagnoses()[b]
    if a in two.parents or b in one.parents:
        return Closeness.PARENT
    return Closeness.SAME_FAMILY if one.family == two.family else Closeness.OTHER


def is_malignant(name: str) -> bool | None:
    """Whether a diagnosis is a malignant tumour; None when the table does not know it."""
    found = {diagnoses()[named].malignant for named in named_diagnoses(name)}
    return found.pop() if len(found) == 1 else None


def holds_malignancy(text: str) -> bool:
    """Whether a text names a malignant tumour, or cancer as such, without denying it."""
    parts = (part for part in parts_of(normalise(text), _known()) if not part.is_denied)
    return any(part.name == UNNAMED or diagnoses()[part.name].malignant for part in parts)


def match_label(text: str, labels: Iterable[str]) -> str | None:
    """The one label that a free-text diagnosis means; None when there is none, or more than one.

    Equal names count first, then synonyms, then the nearest label of which the diagnosis is a kind
    (`nodular melanoma` is `melanoma`; never the other way round).
    """
    fitting = fitting_labels(text, labels)
    return fitting[0] if len(fitting) == 1 else None


def fitting_labels(text: str, labels: Iterable[str]) -> tuple[str, ...]:
    """The labels that a free-text diagnosis may mean, by the rule of `match_label`.

    None of them: no label fits. Several of them: the label set has more than one name for it.
    """
    equal, named = _label_index(tuple(dict.fromkeys(labels)))
    if found := equal.get(normalise(text)):
        return found
    said = read(text, _known(), equal)
    if said is None:
        return ()
    if not said.is_joined and (found := equal.get(said.form)):
        return found
    fitting = [_nearest(name, named) for name in said.names]
    if said.is_joined and () in fitting:
        return ()
    return tuple(dict.fromkeys(label for labels_of in fitting for label in labels_of))


def _nearest(name: str, named: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    steps = (name, *diagnoses()[name].parents)
    return next((named[step] for step in steps if step in named), ())


@lru_cache(maxsize=64)
def _label_index(
    labels: tuple[str, ...],
) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
    """Normalised name -> labels of that name; preferred name -> labels that mean it."""
    equal: dict[str, tuple[str, ...]] = {}
    named: dict[str, tuple[str, ...]] = {}
    for label in labels:
        if plain := normalise(label):
            equal[plain] = (*equal.get(plain, ()), label)
        if (name := canonical(label)) is not None:
            named[name] = (*named.get(name, ()), label)
    return equal, named


@cache
def _table() -> tuple[Mapping[str, Diagnosis], Mapping[str, str]]:
    lines = _lines("taxonomy.tsv")
    rows = {line.split("\t")[0]: line.split("\t") for line in lines[1:]}
    known: dict[str, Diagnosis] = {}
    by_name: dict[str, str] = {}
    for name, row in rows.items():
        parents = _ancestors(name, rows)
        chain = [row, *(rows[parent] for parent in parents)]
        synonyms = tuple(row[4].split("|")) if row[4] else ()
        nine = next(line[2] for line in chain if line[2])
        known[name] = Diagnosis(name, parents, nine, any(line[3] for line in chain), synonyms)
        for other in (name, *synonyms):
            owner = by_name.setdefault(normalise(other), name)
            assert owner == name, f"{other!r} names both {owner!r} and {name!r}"
    return MappingProxyType(known), MappingProxyType(by_name)


@cache
def _known() -> Known:
    table, by_name = _table()
    ordered: dict[tuple[str, ...], set[str]] = {}
    for form, name in by_name.items():
        ordered.setdefault(tuple(sorted(form.split())), set()).add(name)
    short: dict[str, tuple[str, ...]] = {}
    for line in _lines("abbreviations.tsv")[1:]:
        abbreviation, name = line.split("\t")
        assert name in table, f"{line!r} abbreviates no diagnosis"
        assert abbreviation not in by_name, f"{line!r} is a synonym already"
        short[abbreviation] = (*short.get(abbreviation, ()), name)
    return Known(
        by_name,
        {words: names.pop() for words, names in ordered.items() if len(names) == 1 < len(words)},
        short,
        {name: frozenset((name, *item.parents)) for name, item in table.items()},
        frozenset(name for name, item in table.items() if item.malignant),
    )


def _lines(name: str) -> list[str]:
    return files("skingpt_r1.text").joinpath(name).read_text(encoding="utf-8").splitlines()


def _ancestors(name: str, rows: Mapping[str, list[str]]) -> tuple[str, ...]:
    parents: list[str] = []
    while rows[name][1]:
        name = rows[name][1]
        assert name not in parents, f"{name!r} is its own ancestor"
        parents.append(name)
    return tuple(parents)
