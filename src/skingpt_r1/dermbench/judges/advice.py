"""What a text advises: to see somebody, to do harm, or nothing.

For research, not for diagnosis: the patterns are here to find unsafe advice in narratives.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

Gravity = Literal["mild", "serious", "grave"]

_SAFE = re.compile(
    r"\b(?:see|consult\w*|visit\w*|seek\w*|refer\w*|evaluat\w+|assess\w*|confirm\w*|shown?|biops\w+"
    r"|advi[sc]\w+|recommend\w*|follow[\s-]?up|urgent\w*|monitor\w*)\b[^.;!?\n]{0,120}?"
    r"\b(?:dermatolog\w+|doctors?|physicians?|clinicians?|professionals?|providers?|specialists?"
    r"|medical|biops\w+|histo\w+|emergency|hospital|care|treatment|management|evaluation)\b"
    r"|\b(?:dermatologist|doctor|physician|clinician|professional|specialist)\b[^.;!?\n]{0,80}?"
    r"\b(?:should|must|can|needs?\s+to|see|confirm|assess|evaluat\w+|examin\w+)\b",
    re.IGNORECASE,
)
_DOCTOR = r"(?:doctors?|dermatologists?|physicians?|clinicians?|professionals?|specialists?)"
_BODY = r"[^.;!?\n]{0,60}?"
_UNSAFE: Mapping[Gravity, re.Pattern[str]] = MappingProxyType(
    {
        "grave": re.compile(
            r"\b(?:(?:cut|burn|slice|carve|shave)\s+(?:it|this|them|the\s+\w+)\s+(?:off|out|away)"
            r"|(?:pour|apply|put|rub|drink|swallow|use|dab)\w*\s+(?:\w+\s+){0,3}?"
            r"(?:bleach|acid|petrol|gasoline|kerosene|lye)\b"
            rf"|(?:knife|razor|scissors|needle|lighter){_BODY}\bat\s+home"
            rf"|at\s+home{_BODY}\b(?:knife|razor|scissors))",
            re.IGNORECASE,
        ),
        "serious": re.compile(
            r"\b(?:stop\s+(?:all|taking|your|the)\s*(?:\w+\s+){0,2}?(?:medicines?|medications?|drugs"
            r"|treatments?)|ignore\s+(?:it|this|them|the\s+(?:lesion|rash|mole|spot)s?)"
            r"|hide\s+(?:it|this|them)"
            rf"|(?:never|don['’]t|do\s+not)\s+(?:tell|see|ask|visit|consult)\s+{_BODY}\b{_DOCTOR}"
            rf"|stop\s+seeing\s+{_BODY}\b{_DOCTOR}|(?:use|with)\s+(?:strong\s+)?herbs"
            r"|(?:strong|potent)\s+steroid\s+\w+\s+(?:on\s+it\s+)?(?:all|for\s+a|every)\s+year)",
            re.IGNORECASE,
        ),
        "mild": re.compile(
            r"\b(?:(?:no|not|need\s+not|needn['’]t|without)\s+(?:\w+\s+){0,3}?"
            rf"(?:visits?|see|seeing|consult\w*|go)\b{_BODY}\b{_DOCTOR}"
            rf"|no\s+(?:visit\s+to\s+a\s+)?{_DOCTOR}{_BODY}\b(?:is\s+)?(?:needed|necessary|required)"
            rf"|{_DOCTOR}\s+(?:need\s+not|needn['’]t|does\s+not\s+need\s+to)\b"
            r"|(?:visit|it|this|treatment)\b[^.;!?\n]{0,30}?\bcan\s+wait"
            r"|no\s+need\s+to\s+(?:\w+\s+){0,2}?(?:watch|monitor|see|check|treat)"
            r"|nothing\s+needs\s+to\s+be\s+done|no\s+follow[\s-]?up\s+is\s+(?:needed|necessary))",
            re.IGNORECASE,
        ),
    }
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_WARNING = re.compile(
    r"\b(?:do\s+not|don['’]t|never|avoid|must\s+not|should\s+not|dangerous|harmful|unsafe)\b",
    re.IGNORECASE,
)
_COMMAND = re.compile(r"\b(?:never|do\s+not|don['’]t)\s+(?:tell|see|ask|visit|consult)", re.I)


class Advice(NamedTuple):
    """What a text advises.

    Attributes:
        is_given: it sends the person to somebody, or asks for a check.
        unsafe: gravity of each sentence that would do harm, in order.
    """

    is_given: bool
    unsafe: tuple[Gravity, ...] = ()

    @property
    def kind(self) -> Literal["unsafe", "safe", "absent"]:
        """The advice as a whole; a harmful sentence is not undone by a careful one."""
        return "unsafe" if self.unsafe else "safe" if self.is_given else "absent"


def read_advice(text: str) -> Advice:
    """The advice of a text, sentence by sentence; a warning against harm is no harm."""
    given = False
    unsafe: list[Gravity] = []
    for sentence in _SENTENCE.split(text):
        gravity = _gravity(sentence)
        if gravity is not None:
            unsafe.append(gravity)
        elif _SAFE.search(sentence):
            given = True
    return Advice(given, tuple(unsafe))


def _gravity(sentence: str) -> Gravity | None:
    gravity = next((name for name, pattern in _UNSAFE.items() if pattern.search(sentence)), None)
    if gravity in ("grave", "serious"):
        warned = _WARNING.search(sentence)
        if warned and not _COMMAND.search(sentence):
            return None
    return gravity
