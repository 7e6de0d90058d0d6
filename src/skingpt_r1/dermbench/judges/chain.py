"""What holds a chain of reasoning together: it begins with findings and ends where it leads.

Read from one text alone; the judge compares it with the reference's, so that a habit that the
reference shares costs nothing.
"""

from typing import NamedTuple

from skingpt_r1.dermcot.stages.audit import named_values, reasoned_values
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.giveaways import named_in
from skingpt_r1.text.narrative import Narrative, parse_narrative
from skingpt_r1.text.taxonomy import Closeness, closeness

# One text may say `raised` of a border and of a lesion: these slots are too loosely worded.
_NOT_COMPARED = frozenset({"count"})


class Chain(NamedTuple):
    """The links of one text.

    Attributes:
        concludes: it has a diagnosis that it clearly means.
        has_reasoning: it has words between what is seen and what is concluded.
        num_words: of the reasoning.
        ends_elsewhere: the reasoning leads to another name than the conclusion.
        is_argued: the reasoning names the conclusion.
        contradicted: slots that the reasoning cites with a value that was not observed.
    """

    concludes: bool
    has_reasoning: bool
    num_words: int
    ends_elsewhere: bool
    is_argued: bool
    contradicted: frozenset[str]


def read_chain(text: str, narrative: Narrative | None) -> Chain:
    """The links of a text.

    Args:
        text: as written.
        narrative: read from it; None where it is unreadable.
    """
    if narrative is None:
        return Chain(False, bool(text.strip()), len(text.split()), False, False, frozenset())
    reasoning = narrative.reasoning
    return Chain(
        concludes=True,
        has_reasoning=bool(reasoning.strip()),
        num_words=len(reasoning.split()),
        ends_elsewhere=_ends_elsewhere(reasoning, narrative.diagnosis),
        is_argued=named_in(reasoning, narrative.diagnosis) is not None,
        contradicted=_contradicted(narrative),
    )


def _ends_elsewhere(reasoning: str, diagnosis: str) -> bool:
    try:
        end = parse_narrative(reasoning).diagnosis
    except NarrativeError:
        return False
    return closeness(end, diagnosis) < Closeness.PARENT and named_in(end, diagnosis) is None


def _contradicted(narrative: Narrative) -> frozenset[str]:
    seen = named_values(narrative.observation)
    cited = reasoned_values(narrative)
    return frozenset(
        slot
        for slot, values in cited.items()
        if slot in seen and slot not in _NOT_COMPARED and not values <= seen[slot]
    )
