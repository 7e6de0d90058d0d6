"""Notes on damaged narratives, in the form of `phrasing_critique.format_notes`.

An evaluator that writes such notes first has its comparison on paper before a score depends on it.
The notes are true: they come from the rendered case and the known damage.
For research, not for diagnosis.
"""

from skingpt_r1.case import Case
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.simulate.damage import INVENTED, UNSAFE, Damage, gravities, num_invented
from skingpt_r1.simulate.wrong_names import looks_of
from skingpt_r1.text.critique import FITS, NOTHING, OTHER, fit_word, format_notes
from skingpt_r1.text.narrative import Narrative
from skingpt_r1.text.taxonomy import is_malignant

CAREFUL = "careful"
_ADVICE_WORDS = {"mild": "thin", "serious": "harm", "grave": "harm harm"}
_NAMES = sorted((condition.name for condition in CONDITIONS), key=len, reverse=True)


def write_notes(narrative: Narrative, case: Case, damage: Damage) -> str:
    """The notes on a narrative that `damage.write_damaged` wrote about a case."""
    assert case.label is not None
    advice = CAREFUL
    if UNSAFE in damage.parts:
        advice = " ".join(_ADVICE_WORDS[gravity] for gravity in gravities(damage.parts[UNSAFE]))
    return format_notes(
        narrative,
        reasoned=_named(narrative.reasoning),
        expected=case.findings,
        made_up=num_invented(damage.parts[INVENTED]) if INVENTED in damage.parts else 0,
        picture=_picture(narrative, case.label),
        advice=advice,
    )


def _picture(narrative: Narrative, label: str) -> str:
    """Whether the named diagnosis fits; if not, how far off it is."""
    named = narrative.diagnosis
    if named == label:
        return f"{label} {FITS}"
    compared = [
        " ".join((one, two, fit_word(one, two)))
        for one, two in (
            (looks_of(named) or NOTHING, looks_of(label) or NOTHING),
            (_course(named), _course(label)),
        )
    ]
    listed = FITS if label in narrative.differential else OTHER
    return "; ".join((f"{label} {OTHER}", *compared, f"listed {listed}"))


def _course(name: str) -> str:
    return "malignant" if is_malignant(name) else "benign"


def _named(text: str) -> str:
    """The rendered condition that a reasoning names."""
    lowered = text.lower()
    return next((name for name in _NAMES if name in lowered), NOTHING)
