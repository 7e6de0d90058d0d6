"""Words in the place of a diagnosis that are none; used by `reading.py` alone."""

import re
from collections.abc import Mapping
from types import MappingProxyType

_NONE = re.compile(
    r"none|n\.?\s?[/\\]?\s?a\.?|nil|null|nan|nothing|undefined|tbd"
    r"|no\s(?:clear\s|specific\s|definite\s)?(?:diagnosis|answer|conclusion)"
    r"(?:\s(?:made|given|possible))?|not\s(?:applicable|available|given|provided|specified)",
    re.IGNORECASE,
)
_NORMAL = re.compile(
    r"(?:no|without)\s(?:(?:visible|obvious|apparent|evident|skin|dermatologic(?:al)?|cutaneous"
    r"|significant)\s){0,2}(?:diseases?|conditions?|lesions?|disorders?|pathology|abnormality"
    r"|abnormalities|problems?|findings?)|unremarkable|(?:clear|healthy|normal)(?:\sskin)?",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"(?:i\s)?(?:cannot|can['’]t|can\snot|unable\sto|could\snot)\s(?:be\s)?(?:assess(?:ed)?|say"
    r"|tell|diagnosed?|determined?|judged?)|(?:i\s)?(?:do\snot|don['’]t)\sknow"
    r"|(?:i\sam\s)?(?:unsure|uncertain|unclear|not\s(?:sure|assessable|certain|possible))"
    r"|unknown|undetermined|indeterminate|inconclusive|non-?diagnostic|insufficient\s\w+",
    re.IGNORECASE,
)
_PATTERNS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {"no_diagnosis": _NONE, "normal_skin": _NORMAL, "insufficient_information": _UNKNOWN}
)


def absence(value: str) -> str | None:
    """The reason code of a value such as `N/A` or `no disease`; None where it may be a name."""
    return next((code for code, words in _PATTERNS.items() if words.fullmatch(value)), None)
