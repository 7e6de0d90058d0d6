"""Diagnosis names: how they are written, synonyms, parents and families, how close two names are.

The table is `taxonomy.tsv`: one diagnosis per line, its parent, the nine-part class of
Fitzpatrick17k, whether it is malignant, and its synonyms. What a line leaves open it inherits from
its parent; a line without a parent is a family. Abbreviations, which may mean several diagnoses,
are in `abbreviations.tsv`. Our own arrangement; it decides no treatment.
What is left out of a written name still counts: a malignant part is never cut off, and a remark
may take the name back (`excluded`).
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from skingpt_r1.recipes import PACKAGE
from skingpt_r1.text.tokens import VOCABULARY, patterns, words_of

LONGEST_NAME = 300  # characters; a longer text is no name
_MOST_WORDS = 12  # of a name
_MOST_QUALIFIERS = 8  # are left out on each side
_MOST_WORDS_BESIDE = 6  # of unknown words in front of a bracket that has the name

_DOUBT = frozenset({"likely", "probable", "probably", "possible", "suspected", "presumed"})
# In front of a name or behind it; none of them makes another disease of what is named.
_QUALIFIERS = _DOUBT | words_of("qualifiers")
_NOUNS = frozenset({"lesion", "condition", "disease", "disorder", "rash", "skin", "tumor"})
_LINKS = words_of("links")  # words that a remark begins with
_LINK = re.compile(rf"\s(?:{'|'.join(sorted(_LINKS))}|of the|in(?! situ))\b")
# What may stand between the head of a name and a part that it states.
_BEFORE_PART = (_QUALIFIERS | _LINKS | {"in", "of", "to", "into", "by", "and"}) - (
    _DOUBT | {"consistent", "without", "not", "no", "rather"}
)
_RE = patterns("taxonomy")
_MALIGNANT_WORDS, _DENIES = words_of("malignant"), words_of("denies")
_UNNAMED = ""  # a cancer without a name


class Closeness(IntEnum):
    """How close two names are, the closest highest."""

    OTHER = 0
    SAME_FAMILY = 1
    PARENT = 2
    SYNONYM = 3
    EXACT = 4


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the table, with what it inherits."""

    name: str  # the preferred one
    parents: tuple[str, ...]  # its ancestors, nearest first; the last one is the family
    nine_partition: str  # class in the nine parts of Fitzpatrick17k
    malignant: bool  # a malignant tumour; precursors are not
    synonyms: tuple[str, ...]

    @property
    def family(self) -> str:
        """The root that it belongs to."""
        return self.parents[-1] if self.parents else self.name

    @property
    def three_partition(self) -> str:
        """`benign`, `malignant` or `non-neoplastic`, as Fitzpatrick17k derives it."""
        first = self.nine_partition.split()[0]
        return first if first in ("benign", "malignant") else "non-neoplastic"


class _Index(NamedTuple):
    """The names of the table."""

    table: Mapping[str, Diagnosis]  # by preferred name
    by_name: Mapping[str, str]  # normalised name -> preferred name
    by_words: Mapping[tuple[str, ...], str]  # sorted words, where only one name has them
    short: Mapping[str, tuple[str, ...]]  # abbreviation -> preferred names that it may mean
    lines: Mapping[str, frozenset[str]]  # preferred name -> itself and its ancestors
    malignant: frozenset[str]  # preferred names of malignant tumours
    grave: frozenset[str]  # these, and the cancer without a name


@cache
def _index() -> _Index:
    rows = {row[0]: row for row in _rows("taxonomy.tsv")}
    table: dict[str, Diagnosis] = {}
    by_name: dict[str, str] = {}
    for name, row in rows.items():
        parents = _ancestors(name, rows)
        chain = [row, *(rows[parent] for parent in parents)]
        nine = next(line[2] for line in chain if line[2])
        is_malignant = any(line[3] for line in chain)
        synonyms = tuple(row[4].split("|")) if row[4] else ()
        table[name] = Diagnosis(name, parents, nine, is_malignant, synonyms)
        for other in (name, *synonyms):
            owner = by_name.setdefault(normalise(other), name)
            assert owner == name, f"{other!r} names both {owner!r} and {name!r}"
    ordered: dict[tuple[str, ...], set[str]] = {}
    for form, name in by_name.items():
        ordered.setdefault(tuple(sorted(form.split())), set()).add(name)
    short: dict[str, tuple[str, ...]] = {}
    for abbreviation, name in _rows("abbreviations.tsv"):
        assert name in table, f"{abbreviation!r} abbreviates no diagnosis"
        assert abbreviation not in by_name, f"{abbreviation!r} is a synonym already"
        short[abbreviation] = (*short.get(abbreviation, ()), name)
    malignant = frozenset(name for name, item in table.items() if item.malignant)
    return _Index(
        MappingProxyType(table),
        by_name,
        {words: names.pop() for words, names in ordered.items() if len(names) == 1 < len(words)},
        short,
        {name: frozenset((name, *item.parents)) for name, item in table.items()},
        malignant,
        malignant | {_UNNAMED},
    )


def _rows(name: str) -> list[list[str]]:
    lines = (PACKAGE / "text" / name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


def _ancestors(name: str, rows: Mapping[str, list[str]]) -> tuple[str, ...]:
    parents: list[str] = []
    while rows[name][1]:
        name = rows[name][1]
        assert name not in parents, f"{name!r} is its own ancestor"
        parents.append(name)
    return tuple(parents)


def diagnoses() -> Mapping[str, Diagnosis]:
    """The whole table: preferred name -> diagnosis."""
    return _index().table


def normalise(name: str) -> str:
    """A name in small letters, without accents, punctuation, plural and British spelling."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = " ".join(re.sub(r"[^a-z0-9.]+", " ", plain.replace("'", "")).split()).strip(" .") + " "
    for old, new in VOCABULARY["spellings"].items():
        plain = plain.replace(old, new)
    return " ".join(re.sub(r"(?<=\w\w\w)(?<!s)(?<!u)(?<!i)s$", "", word) for word in plain.split())


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
    found = _read(name)
    return () if found is None else found.names


def is_name(text: str) -> bool:
    """Whether a whole text is a name of the table, such as `hand, foot and mouth disease`."""
    return normalise(text) in _index().by_name


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
    stated = (part.name for part in _parts_of(normalise(text)) if not part.is_denied)
    return not _index().grave.isdisjoint(stated)


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
    said = _read(text, equal)
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


class _Reading(NamedTuple):
    """What a written name says: all of `names` when joined, else one of them, as an abbreviation.

    `form` are the normalised words that count; a label outside the table has no names.
    """

    form: str
    names: tuple[str, ...]
    is_joined: bool = False


class _Part(NamedTuple):
    """A diagnosis that stands in a text, denied, or stated alone or in front of a remark."""

    name: str
    is_denied: bool
    is_stated: bool


def _read(name: str, labels: Container[str] = ()) -> _Reading | None:
    """What a name says; None when it names nothing known, or takes back what it names.

    `labels` are normalised names that count as well.
    """
    if len(name) > LONGEST_NAME:
        return None
    name = name.replace("’", "'")
    for form, left_out, rest in _forms(name):
        names = _look_up(form)
        if (names or form in labels) and not _contradicts(left_out, names):
            return _with_rest(_Reading(form, names), rest)
    return _before_remark(name, labels)


def _before_remark(name: str, labels: Container[str]) -> _Reading | None:
    """What a name says in front of its first stop, unless the remark names something else."""
    name = name.strip()
    stop = _RE["remark"].search(name)
    head = None if stop is None else _read(name[: stop.start()], labels)
    if stop is None or head is None:
        return None
    rest = normalise(name[stop.end() :])
    others = [part for part in _parts_of(rest) if not part.is_denied]
    says_more = any(not _is_kin(part.name, head) for part in others)
    return None if says_more or _with_rest(head, rest) != head else head


def _forms(name: str) -> Iterator[tuple[str, list[str], str]]:
    """Normalised forms of a name, the whole first; the qualifiers and the rest that each lacks."""
    inside = re.findall(r"\(([^()]+)\)", name)
    outside = re.sub(r"\([^()]*\)", " ", name)
    parts = [(name, ""), (outside, " ".join(inside))]
    if len(outside.split()) <= _MOST_WORDS_BESIDE:
        parts += [(part, " ".join((outside, *inside))) for part in inside]
    for part, remark in parts:
        head, rest, left_out = normalise(part), normalise(remark), list[str]()
        for _ in range(_MOST_QUALIFIERS):
            yield from ((*bare, rest) for bare in _bare_forms(head, left_out))
            if link := _LINK.search(head):
                behind = f"{head[link.start() :]} {rest}".strip()
                yield from ((*bare, behind) for bare in _bare_forms(head[: link.start()], left_out))
            word, _, head = head.partition(" ")
            if word not in _QUALIFIERS or not head:
                break
            left_out = [*left_out, word]


def _bare_forms(form: str, left_out: list[str]) -> Iterator[tuple[str, list[str]]]:
    """A form, and it without the qualifiers and general nouns behind it."""
    yield form, left_out
    for _ in range(_MOST_QUALIFIERS):
        form, _, word = form.rpartition(" ")
        if not form or word not in _QUALIFIERS | _NOUNS:
            break
        left_out = [*left_out, word]
        yield form, left_out


def _look_up(form: str) -> tuple[str, ...]:
    index = _index()
    if form in index.by_name:
        return (index.by_name[form],)
    if form in index.short or form.count(" ") >= _MOST_WORDS:
        return index.short.get(form, ())
    full = " ".join(map(_full_word, form.split()))
    full = form if full == form else normalise(full)
    found = index.by_name.get(full) or index.by_words.get(tuple(sorted(full.split())))
    return () if found is None else (found,)


def _full_word(word: str) -> str:
    """A word, or the name that it abbreviates, in the plural too: `AKs`."""
    index = _index()
    if (
        len(word) == 3
        and word.endswith("s")
        and not any(word in names for names in (index.by_name, index.short))
    ):
        return _full_word(word[:2])
    if len(word) <= 3 and word in index.by_name:
        return index.by_name[word]
    meant = index.short.get(word, ())
    return meant[0] if len(meant) == 1 else word


def _contradicts(left_out: list[str], names: tuple[str, ...]) -> bool:
    """Whether `benign` or `malignant` stands beside a name that is not so."""
    is_malignant = {name in _index().malignant for name in names}
    return ("benign" in left_out and is_malignant != {False}) or (
        "malignant" in left_out and is_malignant != {True}
    )


def _with_rest(head: _Reading, rest: str) -> _Reading | None:
    """The reading of a name with what was left out of it: the worst part wins.

    A malignant part that the rest states takes the place of a benign head; one that it mentions in
    other words leaves both open.
    """
    parts = _parts_of(rest)
    own = {line for name in head.names for line in _index().lines[name]}
    is_denied = any(part.name in own for part in parts if part.is_denied)
    if is_denied or (not parts and _RE["taken_back"].search(rest)):
        return None
    is_malignant = not _index().malignant.isdisjoint(head.names)
    grave = [part for part in parts if part.name in _index().grave and not part.is_denied]
    graver = [part for part in grave if not (is_malignant and _is_kin(part.name, head))]
    return _with_graver(head, graver, is_malignant=is_malignant) if graver else head


def _with_graver(head: _Reading, graver: list[_Part], *, is_malignant: bool) -> _Reading | None:
    named = [part for part in graver if part.name != _UNNAMED]
    names = tuple(dict.fromkeys(part.name for part in named))
    if len(names) == 1 and named[0].is_stated and not is_malignant:
        return _Reading(normalise(names[0]), names)
    if not names or not head.names:
        return None
    return _Reading(head.form, (*head.names, *names), is_joined=True)


def _is_kin(name: str, head: _Reading) -> bool:
    """Whether a part says no more than the head: an ancestor, a kind of it, or `cancer`."""
    own = {line for said in head.names for line in _index().lines[said]}
    return name in own | {_UNNAMED} or not _index().lines[name].isdisjoint(head.names)


def _parts_of(text: str) -> list[_Part]:
    """The diagnoses that stand in a normalised text, from left to right, longest names first."""
    words, by_name = text.split(), _index().by_name
    parts = []
    start = 0
    while start < len(words):
        stop = min(len(words), start + _MOST_WORDS)
        while stop > start + 1 and " ".join(words[start:stop]) not in by_name:
            stop -= 1
        before, after = words[:start], words[stop:]
        stated = _is_stated(before, after)
        name = by_name.get(" ".join(words[start:stop]))
        if name is None and stated:
            name = _malignant_abbreviation(words[start])
        if name is None and words[start] in _MALIGNANT_WORDS:
            name = _UNNAMED
        if name is not None:
            parts.append(_Part(name, _is_denied(before, after), stated))
        start = stop
    return parts


def _malignant_abbreviation(word: str) -> str | None:
    meant = _index().short.get(word, ())
    return meant[0] if _index().malignant.issuperset(meant) and meant else None


def _is_denied(before: list[str], after: list[str]) -> bool:
    if _RE["denied_after"].match(" ".join(after[:6])):
        return True
    for word in before[-1:-6:-1]:
        if word in ("but", "with") or word.startswith(("exclu", "rul")):
            return False
        if word in _DENIES:
            return True
    return False


def _is_stated(before: list[str], after: list[str]) -> bool:
    goes_on = not after or _LINK.match(" " + " ".join(after[:3])) is not None
    return goes_on and _BEFORE_PART.issuperset(before)


_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


@cache
def _longest_from() -> Mapping[str, int]:
    """First word of normalised names -> most words of one that begins so."""
    longest: dict[str, int] = {}
    for name in _index().by_name:
        words = name.split()
        if words:
            longest[words[0]] = max(longest.get(words[0], 0), len(words))
    return longest


def disease_mentions(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of the names of diagnoses in a text, the longest first, from left to right."""
    words = list(_WORD.finditer(text))
    row = 0
    while row < len(words):
        found = _mention_from(words, row, text)
        if found is not None:
            yield words[row].start(), words[found].end()
            row = found
        row += 1


def _mention_from(words: list[re.Match[str]], row: int, text: str) -> int | None:
    """The last word of the longest name that begins with a word; None where none does."""
    first, *_ = (*normalise(words[row][0]).split(), "")
    most = min(len(words) - row, _longest_from().get(first, 0))
    for last in range(row + most - 1, row - 1, -1):
        gaps = zip(words[row:last], words[row + 1 : last + 1], strict=True)
        if all(not text[one.end() : two.start()].strip(" -,") for one, two in gaps) and is_name(
            text[words[row].start() : words[last].end()]
        ):
            return last
    return row if patterns("conclusions")["disease"].fullmatch(words[row][0]) else None
