"""The name in a short answer: without its number, its share and the words around it.

Words that deny or doubt are no such words, so that what they stand in front of is never a name.
"""

import re
import unicodedata
from collections.abc import Iterator

from skingpt_r1.dermbench.records import Answer
from skingpt_r1.text.taxonomy_names import LONGEST_NAME
from skingpt_r1.text.tokens import without_control_tokens

# A few words that stand alone are a name, not a narrative that breaks off for one of these reasons.
NO_NARRATIVE = frozenset({"truncated", "no_diagnosis"})
_TAG = re.compile(r"<\s?(/?)\s?(think|answer)\w*\b[^<>]{0,60}>", re.IGNORECASE)
_MARKS = " \t\r\n*_`#\"'“”‘’«».,;:!?-–—"
_MARKS_OF_NO_QUESTION = _MARKS.replace("?", "")
_TIGHT = re.compile(r"(?<=[a-z]):(?=\w)")
_NUMBER = re.compile(
    r"^(?:option\s|choice\s)?[(\[]?(?:\d{1,2}|[a-z])(?:\s?[.)\]:](?=\s?[^\W\d])|\s[-–—]\s)\s*",
    re.IGNORECASE,
)
_SHARE = re.compile(
    r"[(\[]?\s?(?:(?:confidence|probability|likelihood|certainty)\s?[:=]?\s?)?(?:about\s|~|≈)?"
    r"(?!0+(?:[.,]0*)?\s?%)\d{1,3}(?:[.,]\d{1,4})?\s?%"
    r"(?:\s(?:confidence|confident|probability|likelihood|certainty|certain|likely|sure))?\s?[)\]]?"
    r"|[(\[]\s?(?:very\s)?high\s(?:confidence|probability|certainty|likelihood)\s?[)\]]",
    re.IGNORECASE,
)
# Words that lead to a name and change nothing about it.
_LEADING = frozenset(
    """a an the this that it it's its is are was be to of as by in on my our your i i'm we he she
    you they there here therefore thus so hence overall finally answer diagnosis dx diagnosed final
    main most very highly likely probable probably likeliest best leading primary working clinical
    presumptive provisional correct right predicted impression conclusion conclude prediction
    assessment label class category group option choice name result lesion lesions spot picture
    image photo photograph skin patient person shows show showing shown depicts displays presents
    presenting suggests suggest indicates represents has have having with consistent compatible
    suggestive indicative typical characteristic finding findings feature features appearance
    appears appear looks look seems seem like think believe would say call choose case cases
    disease condition growth classified identified described strongly clearly definitely certainly
    indeed either between fits matches""".split()  # noqa: SIM905 - words read better as words
)
_CLOSING = re.compile(
    r"\s(?:is|was|as|seems|appears\sto\sbe|appears|would\sbe)\s(?:clearly\s|indeed\s)?"
    r"(?:the\s|my\s|our\s|a\s)?(?:(?:single|most|best|main|final|likely|probable|primary|leading"
    r"|correct|top|strongest|clinical|working)\s){0,3}(?:likely|likeliest|probable|diagnosis|answer|explanation"
    r"|fit|candidate|match|choice|consideration|favou?red|suspected|impression|option|label)$"
    r"|\s(?:fits|matches)\sbest$|\sdiagnosis$",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"^[\s#>*_-]*(?:\d{1,2}[.)]\s)?[*_]*(?:(?:the|my|our|so|thus|therefore|hence),?\s){0,2}"
    r"(?:(?:final|primary|most\slikely|likely|leading|main|working|presumptive|provisional"
    r"|clinical|correct|predicted|best)\s){0,2}(?:answer|diagnosis|dx|impression|conclusion|label"
    r"|class|classification|category|group|prediction)[\s*_]{0,5}"
    r"(?:$|(?:[:：=]|[-–—]+>?\s|\sis\b:?)(?P<name>.*))",
    re.IGNORECASE,
)
_SAYS = re.compile(r"\b(?:is|consistent|compatible|suggests|indicates|represents|shows)\b", re.I)
_MOST_LEADING = 15  # words are left out in front of a name
_LONGEST_BARE = 200  # characters; a longer text is read as a narrative
_NUM_LINES = 100  # so many last lines are looked at for a stated name


def readings(text: str) -> Iterator[str]:
    """The names that a short answer may be, the most literal first."""
    name = text.strip(_MARKS)
    yield name
    name = _TIGHT.sub(": ", unicodedata.normalize("NFKC", name))
    name = without_frame(name)
    yield name
    if text.rstrip(_MARKS_OF_NO_QUESTION).endswith("?"):
        return  # a question says nothing
    yield (name := _CLOSING.sub("", name))
    for _ in range(_MOST_LEADING):
        word, _, name = name.partition(" ")
        if word.strip(_MARKS).lower() not in _LEADING:
            break
        yield (name := without_frame(name))


def without_frame(name: str) -> str:
    """A name without its number or letter, the share it is given, and marks around it."""
    bare = _SHARE.sub(" ", without_control_tokens(name)).strip(_MARKS)
    return _NUMBER.sub("", bare).strip(_MARKS)


def bare_name(answer: Answer) -> str | None:
    """A text that stands alone, or alone between answer tags; None when there is none."""
    tagged = {part.strip() for part in _tagged(answer.text)} - {""}
    if tagged:
        name = tagged.pop() if len(tagged) == 1 else ""
    elif answer.stop_reason == "length":
        return None
    else:
        *_, name = _TAG.split(answer.text)
        closed = [tag[1] == "/" and tag[2].lower() == "think" for tag in _TAG.finditer(answer.text)]
        name = name if all(closed[-1:]) else ""
    name = name.strip(_MARKS_OF_NO_QUESTION)
    return name if name.strip(_MARKS) and len(name) <= _LONGEST_BARE and "\n" not in name else None


def is_cut_name(answer: Answer) -> bool:
    """Whether a text that stands alone was cut: it may be the beginning of a longer name."""
    is_closed = answer.text.rstrip(" \n*").endswith((".", "!"))
    if answer.stop_reason != "length" or is_closed or bare_name(answer) is not None:
        return False
    return bare_name(answer.model_copy(update={"stop_reason": None})) is not None


def stated_name(answer: Answer) -> str | None:
    """What the last line with a title such as `Diagnosis:` says, else the last sentence.

    None when the answer was cut, or its last sentence says nothing.
    """
    if answer.stop_reason == "length":
        return None
    lines = [line for line in _TAG.sub("\n", answer.text).splitlines() if line.strip(_MARKS)]
    lines = lines[-_NUM_LINES:]
    for place in range(len(lines) - 1, -1, -1):
        titled = _TITLE.match(lines[place][: 2 * LONGEST_NAME].rstrip())
        if titled:
            name = titled["name"] or ""
            return name if name.strip(_MARKS) else "".join(lines[place + 1 : place + 2])
    last = re.split(r"(?<=[.!?])\s", lines[-1][-2 * LONGEST_NAME :])[-1] if lines else ""
    return last if _SAYS.search(last) else None


def lines_alone(answer: Answer) -> list[str]:
    """The first lines of a text without tags; empty when it was cut."""
    if answer.stop_reason == "length" or _TAG.search(answer.text):
        return []
    lines = answer.text[: _NUM_LINES * LONGEST_NAME].splitlines()
    lines = [line for line in lines if line.strip(_MARKS)][:_NUM_LINES]
    return [without_frame(line) if len(line) <= LONGEST_NAME else "" for line in lines]


def _tagged(text: str) -> Iterator[str]:
    """What stands between answer tags."""
    opened: int | None = None
    for tag in _TAG.finditer(text):
        if tag[2].lower() != "answer":
            continue
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            yield text[opened : tag.start()]
            opened = None
