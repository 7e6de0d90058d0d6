"""SkinGPT-R1: adapter-only dual distillation for dermatology reasoning.

For research, not for diagnosis. Names load on first use, so that `import skingpt_r1` stays light
and only what needs torch loads it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skingpt_r1.case import Case, SkinTone, Split
    from skingpt_r1.data import load_cases
    from skingpt_r1.evidence.verify import CheckedClaim, load_verifier, verify
    from skingpt_r1.model.load import load_model
    from skingpt_r1.model.skingpt import SkinGPT
    from skingpt_r1.text.claims import Claim, read_claims
    from skingpt_r1.text.narrative import Narrative, parse_narrative
    from skingpt_r1.text.rubric import Scores, Unscored, parse_scores

__version__ = "0.1.0"

__all__ = [
    "Case",
    "CheckedClaim",
    "Claim",
    "Narrative",
    "Scores",
    "SkinGPT",
    "SkinTone",
    "Split",
    "Unscored",
    "load_cases",
    "load_model",
    "load_verifier",
    "parse_narrative",
    "parse_scores",
    "read_claims",
    "verify",
]

_HOME = {
    "Case": "case",
    "CheckedClaim": "evidence.verify",
    "Claim": "text.claims",
    "Narrative": "text.narrative",
    "Scores": "text.rubric",
    "SkinGPT": "model.skingpt",
    "SkinTone": "case",
    "Split": "case",
    "Unscored": "text.rubric",
    "load_cases": "data",
    "load_model": "model.load",
    "load_verifier": "evidence.verify",
    "parse_narrative": "text.narrative",
    "parse_scores": "text.rubric",
    "read_claims": "text.claims",
    "verify": "evidence.verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = vars(import_module(f"{__name__}.{_HOME[name]}"))[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
