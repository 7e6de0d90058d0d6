"""How a diagnosis is written: spelling, qualifiers, order of words, and the remarks around it.

What is left out of a name is looked at: a malignant part is never cut off, and a remark may take
the name back (`excluded`). Used by `taxonomy.py` alone, which knows the names.
"""

import re
import unicodedata
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

LONGEST_NAME = 300  # characters; a longer text is no name
_MOST_WORDS = 12  # of a name
_MOST_QUALIFIERS = 8  # are left out on each side
_MOST_WORDS_BESIDE = 6  # of unknown words in front of a bracket that has the name

_SPELLINGS = (
    ("haem", "hem"), ("naev", "nev"), ("oedema", "edema"), ("tumour", "tumor"), ("rrhoe", "rrhe"),
    ("leucopl", "leukopl"), ("aemi", "emi"), ("hydraden", "hidraden"), ("ised ", "ized "),
    ("nevi ", "nevus "), ("oses ", "osis "), ("iases ", "iasis "), ("lentigines ", "lentigo "),
    ("omata ", "oma "), ("itides ", "itis "), ("metastases ", "metastasis "), ("sses ", "ss "),
    ("uses ", "us "), ("rucae ", "ruca "), ("injuries ", "injury "), ("rashes ", "rash "),
)  # fmt: skip
_DOUBT = frozenset({"likely", "probable", "probably", "possible", "suspected", "presumed"})
# In front of a name or behind it; none of them makes another disease of what is named.
_QUALIFIERS = _DOUBT | frozenset(
    """a an the most very highly severe mild moderate early advanced classic classical typical
    definite clear obvious localized extensive widespread generalized recurrent active chronic
    acute inflamed irritated cutaneous pigmented nodular superficial invasive infiltrating
    infiltrative ulcerated crusted hyperkeratotic amelanotic desmoplastic subungual well moderately
    poorly differentiated solitary multiple single small large giant focal new old primary
    confirmed benign malignant""".split()  # noqa: SIM905 - words read better as words
)
_NOUNS = frozenset({"lesion", "condition", "disease", "disorder", "rash", "skin", "tumor"})
# Words that a remark begins with.
_LINKS = frozenset(
    """affecting involving likely probably secondary due caused with without on over overlying
    underlying within inside from type subtype variant consistent arising developing evolving
    progressing transforming turning adjacent near next beside alongside associated complicated
    coexisting together plus because given showing which that not no rather""".split()  # noqa: SIM905
)
_LINK = re.compile(rf"\s(?:{'|'.join(sorted(_LINKS))}|of the|in(?! situ))\b")
# What may stand between the head of a name and a part that it states.
_BEFORE_PART = (_QUALIFIERS | _LINKS | {"in", "of", "to", "into", "by", "and"}) - (
    _DOUBT | {"consistent", "without", "not", "no", "rather"}
)
_REMARK = re.compile(r"[,;:.]\s|\s[-–—]\s|\n")
_MALIGNANT_WORDS = frozenset(
    """malignant malignancy cancer cancerous carcinoma sarcoma lymphoma
    invasive""".split()  # noqa: SIM905
)
_DENIES = frozenset(
    """no not without never nor non neither negative free absence lack than mimicking resembling
    simulating risk potential precursor history chance""".split()  # noqa: SIM905
)
_DENIED_AFTER = re.compile(
    r"(?:(?:is|was|are|were|has|been) )*(?:excluded|ruled out|(?:less |un)likely|like)\b"
)
_TAKEN_BACK = re.compile(
    r"\b(?:excluded?|ruled? out|r o|unlikely|improbable|doubtful|in doubt|differential)\b"
    r"|\b(?:low|less|least|no|not) (?:likely|likelihood|probable|probability)\b|\bnot$"
    r"|^(?:no|not)\b(?! benign)|^0$"
)
UNNAMED = ""


class Reading(NamedTuple):
    """What a written name says.

    Attributes:
        form: the normalised words that count.
        names: what they mean, as the table calls it; empty for a label that is not in the table.
        is_joined: it says all of these; else it says one of them, such as an abbreviation.
    """

    form: str
    names: tuple[str, ...]
    is_joined: bool = False


class Part(NamedTuple):
    """A diagnosis that stands in a text.

    Attributes:
        name: as the table calls it; `UNNAMED` for a cancer without a name.
        is_denied: the text says that it is not there.
        is_stated: it stands alone, or in front of a remark.
    """

    name: str
    is_denied: bool
    is_stated: bool


class Known(NamedTuple):
    """The names of the table.

    Attributes:
        by_name: normalised name -> what it means.
        by_words: words in alphabetical order -> what they mean, where only one name has them.
        short: abbreviation -> what it may mean.
        lines: preferred name -> itself and its ancestors.
        malignant: preferred names of malignant tumours.
    """

    by_name: Mapping[str, str]
    by_words: Mapping[tuple[str, ...], str]
    short: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, frozenset[str]]
    malignant: frozenset[str]


def normalise(name: str) -> str:
    """A name in small letters, without accents, punctuation, plural and British spelling."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = " ".join(re.sub(r"[^a-z0-9.]+", " ", plain.replace("'", "")).split()).strip(" .") + " "
    for old, new in _SPELLINGS:
        plain = plain.replace(old, new)
    return " ".join(re.sub(r"(?<=\w\w\w)(?<!s)(?<!u)(?<!i)s$", "", word) for word in plain.split())


def read(name: str, known: Known, labels: Container[str] = ()) -> Reading | None:
    """What a name says; None when it names nothing known, or takes back what it names.

    Args:
        name: as written.
        known: the names of the table.
        labels: normalised names that count as well.
    """
    if len(name) > LONGEST_NAME:
        return None
    name = name.replace("’", "'")
    for form, left_out, rest in _forms(name):
        names = _look_up(form, known)
        if _contradicts(left_out, names, known) or not (names or form in labels):
            continue
        return _with_rest(Reading(form, names), rest, known)
    return _before_remark(name, known, labels)


def _before_remark(name: str, known: Known, labels: Container[str]) -> Reading | None:
    """What a name says in front of its first stop, unless the remark names something else."""
    name = name.strip()
    stop = _REMARK.search(name)
    head = None if stop is None else read(name[: stop.start()], known, labels)
    if stop is None or head is None:
        return None
    rest = normalise(name[stop.end() :])
    others = [part for part in parts_of(rest, known) if not part.is_denied]
    says_more = any(not _is_kin(part.name, head, known) for part in others)
    return None if says_more or _with_rest(head, rest, known) != head else head


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


def _look_up(form: str, known: Known) -> tuple[str, ...]:
    if form in known.by_name:
        return (known.by_name[form],)
    if form in known.short:
        return known.short[form]
    if form.count(" ") >= _MOST_WORDS:
        return ()
    full = " ".join(_full_word(word, known) for word in form.split())
    full = form if full == form else normalise(full)
    found = known.by_name.get(full) or known.by_words.get(tuple(sorted(full.split())))
    return () if found is None else (found,)


def _full_word(word: str, known: Known) -> str:
    """A word, or the name that it abbreviates, in the plural too: `AKs`."""
    if len(word) == 3 and word.endswith("s") and not (word in known.by_name or word in known.short):
        return _full_word(word[:2], known)
    if len(word) <= 3 and word in known.by_name:
        return known.by_name[word]
    meant = known.short.get(word, ())
    return meant[0] if len(meant) == 1 else word


def _contradicts(left_out: list[str], names: tuple[str, ...], known: Known) -> bool:
    """Whether `benign` or `malignant` stands beside a name that is not so."""
    is_malignant = {name in known.malignant for name in names}
    return ("benign" in left_out and is_malignant != {False}) or (
        "malignant" in left_out and is_malignant != {True}
    )


def _with_rest(head: Reading, rest: str, known: Known) -> Reading | None:
    """The reading of a name with what was left out of it: the worst part wins.

    A malignant part that the rest states takes the place of a benign head; one that it mentions in
    other words leaves both open.
    """
    parts = parts_of(rest, known)
    own = {line for name in head.names for line in known.lines[name]}
    if any(part.name in own for part in parts if part.is_denied):
        return None
    if not parts and _TAKEN_BACK.search(rest):
        return None
    is_malignant = not known.malignant.isdisjoint(head.names)
    graver = [
        part
        for part in parts
        if not part.is_denied
        and part.name in known.malignant | {UNNAMED}
        and not (is_malignant and _is_kin(part.name, head, known))
    ]
    return _with_graver(head, graver, is_malignant=is_malignant) if graver else head


def _with_graver(head: Reading, graver: list[Part], *, is_malignant: bool) -> Reading | None:
    named = [part for part in graver if part.name != UNNAMED]
    names = tuple(dict.fromkeys(part.name for part in named))
    if len(names) == 1 and named[0].is_stated and not is_malignant:
        return Reading(normalise(names[0]), names)
    if not names or not head.names:
        return None
    return Reading(head.form, (*head.names, *names), is_joined=True)


def _is_kin(name: str, head: Reading, known: Known) -> bool:
    """Whether a part says no more than the head: an ancestor, a kind of it, or `cancer`."""
    own = {line for said in head.names for line in known.lines[said]}
    return name in own | {UNNAMED} or not known.lines[name].isdisjoint(head.names)


def parts_of(text: str, known: Known) -> list[Part]:
    """The diagnoses that stand in a normalised text, from left to right, longest names first."""
    words = text.split()
    parts = []
    start = 0
    while start < len(words):
        stop = min(len(words), start + _MOST_WORDS)
        while stop > start and " ".join(words[start:stop]) not in known.by_name:
            stop -= 1
        stop = max(stop, start + 1)
        before, after = words[:start], words[stop:]
        stated = _is_stated(before, after)
        name = known.by_name.get(" ".join(words[start:stop]))
        if name is None and stated:
            name = _malignant_abbreviation(words[start], known)
        if name is None and words[start] in _MALIGNANT_WORDS:
            name = UNNAMED
        if name is not None:
            parts.append(Part(name, _is_denied(before, after), stated))
        start = stop
    return parts


def _malignant_abbreviation(word: str, known: Known) -> str | None:
    meant = known.short.get(word, ())
    return meant[0] if known.malignant.issuperset(meant) and meant else None


def _is_denied(before: list[str], after: list[str]) -> bool:
    if _DENIED_AFTER.match(" ".join(after[:6])):
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
