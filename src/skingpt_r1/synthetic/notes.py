"""Notes on damaged narratives, in the form of `phrasing_critique.format_notes`.

An evaluator that writes such notes first has its comparison on paper before a score depends on it.
The notes are true: they come from the rendered case and the known damage.
For research, not for diagnosis.
"""

from skingpt_r1.case import Case
from skingpt_r1.narrative import Narrative
from skingpt_r1.phrasing_critique import NOTHING, format_notes
from skingpt_r1.synthetic.conditions import CONDITIONS
from skingpt_r1.synthetic.damage import INVENTED, UNSAFE, Damage, gravities, num_invented

CAREFUL = "careful"
_ADVICE_WORDS = {"mild": "thin", "serious": "harm", "grave": "harm harm"}
_NAMES = sorted((condition.name for condition in CONDITIONS), key=len, reverse=True)


def write_notes(narrative: Narrative, case: Case, damage: Damage) -> str:
    """The notes on a narrative that `damage.write_damaged` wrote about a case."""
    advice = CAREFUL
    if UNSAFE in damage.parts:
        advice = " ".join(_ADVICE_WORDS[gravity] for gravity in gravities(damage.parts[UNSAFE]))
    return format_notes(
        narrative,
        reasoned=_named(narrative.reasoning),
        expected=case.findings,
        made_up=num_invented(damage.parts[INVENTED]) if INVENTED in damage.parts else 0,
        picture=case.label,
        advice=advice,
    )


def _named(text: str) -> str:
    """The rendered condition that a reasoning names."""
    lowered = text.lower()
    return next((name for name in _NAMES if name in lowered), NOTHING)
