"""Narratives that are written as a JSON object; used by `reading.py` alone."""

import json
import re
from typing import Any, NamedTuple

_ROLES = {
    "diagnosis": {
        "diagnosis", "diagnoses", "final_diagnosis", "primary_diagnosis", "main_diagnosis",
        "most_likely_diagnosis", "leading_diagnosis", "final_answer", "answer", "label",
        "prediction", "dx",
    },
    "differential": {
        "differential", "differentials", "differential_diagnosis", "differential_diagnoses", "ddx",
        "alternatives", "other_diagnoses",
    },
    "observation": {"observation", "observations", "findings", "description"},
    "reasoning": {"reasoning", "analysis", "rationale", "explanation", "thought", "thinking"},
}  # fmt: skip
_ROLE = {name: role for role, names in _ROLES.items() for name in names}
_NAMES_OF_A_NAME = ("name", "diagnosis", "label", "condition", "disease")
_MOST_FAILURES = 20  # braces that open no object; behind so many there is none


class Fields(NamedTuple):
    """What an object tells.

    Attributes:
        diagnoses: the names under the key of the diagnosis; empty where that is null.
        differential: the names of the differential, or a text that lists them.
        observation: what is seen; empty where no key tells it.
        reasoning: how it leads to the diagnosis; empty where no key tells it.
    """

    diagnoses: tuple[str, ...]
    differential: tuple[str, ...]
    observation: str
    reasoning: str


def read_json(text: str) -> Fields | None:
    """The fields of the last JSON object with a diagnosis; None when the text has none."""
    decoder = json.JSONDecoder()
    found = None
    failures, place = 0, text.find("{")
    while place >= 0 and failures < _MOST_FAILURES:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            failures, end = failures + 1, place + 1
        else:
            found = _fields(value) or found
        place = text.find("{", end)
    return found


def _fields(value: dict[str, Any]) -> Fields | None:
    told = {
        role: item
        for key, item in value.items()
        if (role := _ROLE.get(re.sub(r"[\s-]+", "_", key.strip().lower()))) is not None
    }
    if "diagnosis" not in told:
        return None
    seen, thought = (" ".join(_names(told.get(role))) for role in ("observation", "reasoning"))
    return Fields(_names(told["diagnosis"]), _names(told.get("differential")), seen, thought)


def _names(value: Any) -> tuple[str, ...]:
    """The texts of a value: a text, an object with a name, or a list of these."""
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    if isinstance(value, list):
        return tuple(name for item in value for name in _names(item))
    if isinstance(value, dict):
        found = {key.strip().lower(): item for key, item in value.items()}
        return next((_names(found[key]) for key in _NAMES_OF_A_NAME if key in found), ())
    return ()
