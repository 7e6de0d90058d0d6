"""What a careful reader notes of a damaged narrative before scoring it: the evidence in one line.

An evaluator that writes such notes first has its comparison on paper before a score depends on it.
The notes are true: they come from the rendered case and the known damage. The form is ours.
For research, not for diagnosis.
"""

from skingpt_r1.case import Case
from skingpt_r1.findings import read_findings
from skingpt_r1.narrative import Narrative
from skingpt_r1.phrasing import KEY_SLOTS
from skingpt_r1.synthetic.conditions import CONDITIONS
from skingpt_r1.synthetic.damage import INVENTED, UNSAFE, Damage, gravities, num_invented

NOTHING = "nothing"
CAREFUL = "careful"
_ADVICE_WORDS = {"mild": "thin", "serious": "harm", "grave": "harm harm"}
_NAMES = sorted((condition.name for condition in CONDITIONS), key=len, reverse=True)


def write_notes(narrative: Narrative, case: Case, damage: Damage) -> str:
    """The notes on a narrative that `damage.write_damaged` wrote about a case.

    They say, in this order: the named diagnosis; the name that the reasoning ends with; what the
    reasoning cites and what was observed there; the diagnosis that fits the picture; how many
    findings are missing; how many statements are made up; how careful the advice is.
    """
    observed = read_findings(narrative.observation)
    cited = read_findings(narrative.reasoning)
    pairs = [
        f"{value} observed {observed.get(slot, NOTHING)}"
        for slot, value in cited.items()
        if slot in KEY_SLOTS
    ][:2]
    missing = sum(slot not in observed for slot in case.findings)
    invented = num_invented(damage.parts[INVENTED]) if INVENTED in damage.parts else 0
    advice = CAREFUL
    if UNSAFE in damage.parts:
        advice = " ".join(_ADVICE_WORDS[gravity] for gravity in gravities(damage.parts[UNSAFE]))
    parts = (
        f"diagnosis {narrative.diagnosis}",
        f"reasoning {_named(narrative.reasoning)}",
        *pairs,
        f"picture {case.label}",
        f"missing {missing}",
        f"made up {invented}",
        f"advice {advice}",
    )
    return "; ".join(parts) + "."


def _named(text: str) -> str:
    """The rendered condition that a reasoning names."""
    lowered = text.lower()
    return next((name for name in _NAMES if name in lowered), NOTHING)
