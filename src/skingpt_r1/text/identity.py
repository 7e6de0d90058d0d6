"""Words in a text that may tell who the person is. A hit names its kind, never the words."""

import re
from collections.abc import Mapping
from types import MappingProxyType

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_NAME = r"[A-Z][\w'’-]+"
KINDS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "e-mail address": re.compile(r"[\w.+-]+\s?(?:@|\[at\]|\(at\))\s?[\w-]+\s?\.\s?\w{2,}"),
        "web address": re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE),
        "date": re.compile(
            r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\b\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)?\d{2}\b"
            rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{2,4}})?\b"
            rf"|\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?!\s*(?:mm|cm|%))"
            rf"|\b{_MONTH},?\s+(?:19|20)\d{{2}}\b",
            re.IGNORECASE,
        ),
        "hospital number": re.compile(
            r"\b(?:mrn|hospital|patient|case|chart|record|nhs|insurance|social security|ssn|id)"
            r"\s*(?:(?:no|number|id|nr)\b\.?)?\s*[:#]?\s*[A-Z]{0,4}[-_ ]?\d[\d\s-]{3,}\d\b"
            r"|\bpat_\d+\b|\b\d{7,}\b|\b\d{3}[\s-]\d{2}[\s-]\d{4}\b",
            re.IGNORECASE,
        ),
        "telephone number": re.compile(
            r"(?<![\w.])\+\d[\d\s().-]{6,}\d|(?<![\w.])\(?0\d{1,4}\)?[\s./-]?\d[\d\s.-]{4,}\d"
            r"|(?<![\w.])\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}(?!\d)"
        ),
        "name": re.compile(
            rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Sir|Señora?|Herr|Frau)\.?\s+{_NAME}"
            rf"|\b(?:[Nn]amed|[Nn]ame is|[Nn]ame:|[Cc]alled)\s+{_NAME}"
            rf"|\b[Pp]atient(?:'s name)?,?\s+{_NAME}\s+{_NAME}"
        ),
    }
)


def identity_words(text: str) -> str | None:
    """The kind of identifying words that a text holds; None when it holds none."""
    return next((kind for kind, pattern in KINDS.items() if pattern.search(text)), None)
