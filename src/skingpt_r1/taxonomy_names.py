"""How a diagnosis is written: spelling, qualifiers, order of words, and the remarks around it.

What is left out of a name is looked at: a malignant part is never cut off, and a remark may take
the name back (`excluded`). Used by `taxonomy.py` alone, which knows the names.
"""

import re
import unicodedata
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

LONGEST_NAME = 300  # characters; a longer text is no name

_SPELLINGS = (
    ("haem", "hem"), ("naev", "nev"), ("oedema", "edema"), ("tumour", "tumor"), ("rrhoe", "rrhe"),
    ("leucopl", "leukopl"), ("aemi", "emi"), ("hydraden", "hidraden"), ("ised ", "ized "),
    ("nevi ", "nevus "), ("oses ", "osis "), ("iases ", "iasis "), ("lentigines ", "lentigo "),
    ("omata ", "oma "), ("itides ", "itis "), ("metastases ", "metastasis "), ("sses ", "ss "),
    ("uses ", "us "), ("rucae ", "ruca "), ("injuries ", "injury "), ("rashes ", "rash "),
)  # fmt: skip
_DOUBT = frozenset("likely probable probably possible suspected presumed presumptive".split())
# In front of a name or behind it; none of them makes another disease of what is named.
_QUALIFIERS = _DOUBT | frozenset(
    """a an the most very highly severe mild moderate early advanced classic classical typical
    definite clear obvious localized extensive widespread generalized recurrent active chronic acute
    inflamed irritated cutaneous pigmented nodular superficial invasive infiltrating infiltrative
    ulcerated crusted hyperkeratotic amelanotic desmoplastic subungual well moderately poorly
    differentiated solitary multiple single small large giant focal new old primary confirmed
    benign malignant""".split()
)
_NOUNS = frozenset("lesion condition disease disorder rash skin tumor".split())
# Words that a remark begins with.
_LINKS = (
    """affecting involving likely probably secondary due caused with without on over overlying
    underlying within inside from type subtype variant consistent arising developing evolving
    progressing transforming turning adjacent near next beside alongside associated complicated
    coexisting together plus because given showing"""
)  # fmt: skip
_LINK = re.compile(rf"\s(?:{'|'.join(_LINKS.split())}|of the|in(?! situ))\b")
# What may stand between the head of a name and a part that it states.
_BEFORE_PART = frozenset(f"{_LINKS} in of the to into by and".split()) | _QUALIFIERS
_BEFORE_PART -= _DOUBT | {"consistent", "without"}
_MALIGNANT_WORDS = frozenset(
    "malignant malignancy cancer cancerous carcinoma sarcoma lymphoma invasive".split()
)
_DENIES = frozenset(
    """no not without never nor non neither negative free absence lack than mimicking resembling
    simulating""".split()
)
_DENIED_AFTER = re.compile(r"(?:(?:is|was|are|were|has|been) )*(?:excluded|ruled out|unlikely|like)\b")
_TAKEN_BACK = re.compile(
    r"\b(?:exclude|excluded|ruled out|unlikely|improbable|doubtful|in doubt|differential)\b"
    r"|\b(?:low|less|least|no|not) (?:likely|likelihood|probable|probability)\b|\bnot$|^no$"
)
_OPEN = ""  # stands for a malignant disease that is not named


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
    for form, left_out, rest in _forms(name.replace("’", "'")):
        names = _look_up(form, known)
        if _contradicts(left_out, names, known) or not (names or form in labels):
            continue
        return _with_rest(Reading(form, names), rest.split(), known)
    return None


def mentioned(text: str, known: Known) -> set[str]:
    """Every diagnosis of the table that a text holds by name, and `""` for an unnamed cancer."""
    return {name for _, _, name in _mentions(normalise(text).split(), known)}


def _forms(name: str) -> Iterator[tuple[str, list[str], str]]:
    """Normalised forms of a name, the whole first; the qualifiers and the rest that each lacks."""
    inside = re.findall(r"\(([^()]+)\)", name)
    outside = re.sub(r"\([^()]*\)", " ", name)
    parts = [(name, ""), (outside, " ".join(inside))]
    parts += [(part, " ".join((outside, *inside[:n], *inside[n + 1 :]))) for n, part in
              enumerate(inside)]  # fmt: skip
    for part, remark in parts:
        form, rest = normalise(part), normalise(remark)
        yield form, [], rest
        head, left_out = form, list[str]()
        while (word := head.partition(" ")[0]) in _QUALIFIERS:
            left_out.append(word)
            head = head.partition(" ")[2]
            yield head, left_out, rest
        link = _LINK.search(head)
        if link:
            rest = f"{head[link.start() :]} {rest}"
            head = head[: link.start()]
            yield head, left_out, rest
        while (word := head.rpartition(" ")[2]) in _QUALIFIERS | _NOUNS and word != head:
            left_out.append(word)
            head = head.rpartition(" ")[0]
            yield head, left_out, rest


def _look_up(form: str, known: Known) -> tuple[str, ...]:
    if form in known.by_name:
        return (known.by_name[form],)
    if form in known.short:
        return known.short[form]
    full = normalise(" ".join(_full_word(word, known) for word in form.split()))
    found = known.by_name.get(full) or known.by_words.get(tuple(sorted(full.split())))
    return () if found is None else (found,)


def _full_word(word: str, known: Known) -> str:
    """A word, or the name that it abbreviates."""
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


def _with_rest(head: Reading, rest: list[str], known: Known) -> Reading | None:
    """The reading of a name with what was left out of it: the worst part wins.

    A malignant part that the rest states takes the place of a benign head; one that it mentions in
    other words leaves both open.
    """
    own = {line for name in head.names for line in known.lines[name]}
    is_malignant = not known.malignant.isdisjoint(head.names)
    others, stated = list[str](), ""
    mentions = list(_mentions(rest, known))
    for start, stop, name in mentions:
        if _is_denied(rest, start, stop):
            if name in own:
                return None
        elif not (is_malignant and _is_kin(name, head, own, known)) and (
            name == _OPEN or name in known.malignant
        ):
            others.append(name)
            stated = name if _is_stated(rest, start, stop) else stated
    if not mentions and _TAKEN_BACK.search(" ".join(rest)):
        return None
    if not others:
        return head
    if not is_malignant and others == [stated]:
        return Reading(normalise(stated), (stated,))
    if _OPEN in others or not head.names:
        return None
    return Reading(head.form, (*head.names, *others), is_joined=True)


def _is_kin(name: str, head: Reading, own: set[str], known: Known) -> bool:
    """Whether a malignant part says no more than the head: an ancestor, a kind, or `cancer`."""
    return name == _OPEN or name in own or not known.lines[name].isdisjoint(head.names)


def _mentions(words: list[str], known: Known) -> Iterator[tuple[int, int, str]]:
    """Where the longest names of the table stand, from left to right."""
    start = 0
    while start < len(words):
        stop = min(len(words), start + 12)
        while stop > start and " ".join(words[start:stop]) not in known.by_name:
            stop -= 1
        if stop > start:
            yield start, stop, known.by_name[" ".join(words[start:stop])]
        elif words[start] in _MALIGNANT_WORDS:
            yield start, start + 1, _OPEN
        start = max(stop, start + 1)


def _is_denied(words: list[str], start: int, stop: int) -> bool:
    if _DENIED_AFTER.match(" ".join(words[stop : stop + 6])):
        return True
    for word in reversed(words[max(0, start - 5) : start]):
        if word in ("but", "with") or word.startswith(("exclu", "rul")):
            return False
        if word in _DENIES:
            return True
    return False


def _is_stated(words: list[str], start: int, stop: int) -> bool:
    """Whether the rest is this name alone, or goes on with a remark about it."""
    is_first = all(word in _BEFORE_PART for word in words[:start])
    return is_first and (stop == len(words) or _LINK.match(" " + " ".join(words[stop:])) is not None)
