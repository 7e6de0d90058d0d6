"""Stage 4: what rules can find wrong with a narrative, without looking at the picture."""

import re
from collections.abc import Iterable, Iterator

from skingpt_r1.dermcot.corpus import Candidate, CaseRecord, StageRecord, drop
from skingpt_r1.dermcot.recipe import AuditRecipe
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.findings import is_negated, read_findings, statements
from skingpt_r1.text.giveaways import identity_words, invented_history, named_in
from skingpt_r1.text.narrative import Narrative, parse_narrative
from skingpt_r1.text.taxonomy import Closeness, closeness

# Counting words are used of findings too (`several findings`).
_NOT_COMPARED = frozenset({"count"})
# A raised plaque need not have a raised border, and a likelihood has no size.
_AMBIGUOUS = re.compile(
    r"\braised(?=\s+(?:lesions?|plaques?|papules?|nodules?|patch(?:es)?|areas?|bumps?|rash))"
    r"|\bmoderate(?=\s+(?:likelihood|probability|confidence|suspicion|certainty))",
    re.IGNORECASE,
)
_CONTRAST = re.compile(
    r"\b(?:lacks?|lacking|unlike|rather than|instead of|against|whereas|versus|differs?"
    r"|unlikely|less likely|ruled? out|excluded?s?)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;.]")

Problem = tuple[str, str]


def audit(candidates: Iterable[Candidate], recipe: AuditRecipe) -> Iterator[StageRecord]:
    """Whether each narrative stands; the first problem found drops it.

    Args:
        candidates: with a canonical narrative.
        recipe: what a narrative must look like.
    """
    for candidate in candidates:
        problem = find_problem(candidate.case, candidate.text("normalise"), recipe)
        if problem is None:
            yield StageRecord(id=candidate.case.id, stage="audit")
        else:
            yield drop(candidate, "audit", *problem)


def find_problem(case: CaseRecord, text: str, recipe: AuditRecipe) -> Problem | None:
    """The first problem of a narrative, as reason code and detail; None when it stands.

    In this order: identity words, structure, label, contradiction, invented history.
    """
    kind = identity_words(text)
    if kind is not None:
        return "identity", kind
    try:
        narrative = parse_narrative(text)
    except NarrativeError as error:
        return "structure", error.reason
    return (
        _structure(narrative, recipe)
        or _label(narrative, case.label)
        or _contradiction(narrative)
        or _history(narrative, case)
    )


def _structure(narrative: Narrative, recipe: AuditRecipe) -> Problem | None:
    for name, words in (("observation", narrative.observation), ("reasoning", narrative.reasoning)):
        count = len(words.split())
        if count < recipe.least_words:
            return "structure", f"{name} of {count} words; at least {recipe.least_words}"
    if len(narrative.text) > recipe.most_characters:
        most = recipe.most_characters
        return "structure", f"{len(narrative.text)} characters; at most {most}"
    return None


def _label(narrative: Narrative, label: str) -> Problem | None:
    if closeness(narrative.diagnosis, label) < Closeness.SYNONYM:
        return "label_mismatch", f"it concludes with {narrative.diagnosis[:80]!r}"
    if named_in(narrative.observation, label) is not None:
        return "structure", "the observation names the diagnosis"
    return None


def named_values(text: str) -> dict[str, set[str]]:
    """Every value that a text names of each slot, clause by clause."""
    return _values(_CLAUSE.split(text))


def reasoned_values(narrative: Narrative) -> dict[str, set[str]]:
    """Every value that the reasoning cites for its conclusion, not against another diagnosis."""
    return _values(
        clause
        for sentence in statements(narrative.reasoning)
        if read_findings(sentence)  # asked first, as it costs least
        and not (_CONTRAST.search(sentence) or is_negated(sentence))
        and not any(named_in(sentence, other) for other in narrative.differential)
        for clause in _CLAUSE.split(sentence)
    )


def _contradiction(narrative: Narrative) -> Problem | None:
    """A finding that the reasoning cites with a value that the observation does not have."""
    seen = named_values(narrative.observation)
    for slot, values in reasoned_values(narrative).items():
        if slot in seen and slot not in _NOT_COMPARED and not values <= seen[slot]:
            return "contradiction", f"{slot}: {_list(seen[slot])} seen, {_list(values)} cited"
    return None


def _values(clauses: Iterable[str]) -> dict[str, set[str]]:
    values: dict[str, set[str]] = {}
    for clause in clauses:
        for slot, value in read_findings(_AMBIGUOUS.sub(" ", clause)).items():
            values.setdefault(slot, set()).add(value)
    return values


def _history(narrative: Narrative, case: CaseRecord) -> Problem | None:
    for words in (narrative.observation, narrative.reasoning):
        kind = invented_history(words, case.context, case.attributes)
        if kind is not None:
            return "invented_history", kind
    return None


def _list(values: set[str]) -> str:
    return " and ".join(sorted(values))
